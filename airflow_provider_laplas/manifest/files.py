"""The files of a batch: their states and the names of their outputs. Pure."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from enum import StrEnum
from typing import Any


class FileState(StrEnum):
    """The state of a file."""

    PENDING = "pending"
    INTENT = "intent"
    SUBMITTED = "submitted"
    SPLIT = "split"
    """It is transcribed in parts, each of which is a record of its own."""

    COMPLETED = "completed"
    FAILED = "failed"
    GONE = "gone"
    AMBIGUOUS = "ambiguous"
    TIMED_OUT = "timed_out"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    SKIPPED = "skipped"


UNFINISHED = frozenset({FileState.PENDING, FileState.INTENT, FileState.SUBMITTED, FileState.SPLIT})
FAILED_STATES = frozenset(
    {
        FileState.FAILED,
        FileState.GONE,
        FileState.AMBIGUOUS,
        FileState.TIMED_OUT,
        FileState.REJECTED,
    }
)
"""States that count as failures of a batch. ``REJECTED`` means that a quality check or writing a format failed."""

TRANSCRIBED = frozenset({FileState.COMPLETED, FileState.REJECTED, FileState.SKIPPED})
"""States of files whose transcript was billed and is stored."""

WITHOUT_TRANSCRIPT = frozenset({FileState.SUBMITTED, FileState.TIMED_OUT, FileState.GONE})
"""States of files whose generation was accepted, and is billed if it succeeds, but whose transcript is not stored."""

_UNKNOWN = frozenset({FileState.PENDING, FileState.INTENT, FileState.AMBIGUOUS})


@dataclass(slots=True)
class FileRecord:
    """
    One file of a batch, or one part of a file that is submitted in parts.

    :ivar source: where the audio is, redacted
    :ivar fingerprint: identifies the audio, its version, the model and the options
    :ivar output: the transcript's path below the batch's folder
    :ivar deadline: epoch seconds
    :ivar completed_at: epoch seconds at which it finished or failed
    :ivar audio_seconds: length of the finished audio
    :ivar error: why it failed, in a sentence
    :ivar duplicate_of: the output of the file with the same content, which is the one that is submitted
    :ivar content: what tells the same content from another, where duplicates are looked for
    :ivar formats: what lies in the folder and was judged; None where a worker has not seen the transcript yet
    :ivar replaces: when the output was written that was there before this submission, by the storage's clock
    :ivar announced: whether an asset event has told of it
    :ivar attempt: counts the submissions of this output, so that what writers know of one can be told from another
    :ivar reported: whether a task that ended has reported that the submission is ambiguous: a Clear is then consent
    :ivar other_ids: generation ids that are known of this output beside its own: given up, or of a late answer
    :ivar listed: whether it is among the files that the last task was to transcribe
    :ivar lease: the number of the lease under which it finished or failed
    :ivar plan: of a file that is submitted in parts: how it is cut, as a
        :class:`~airflow_provider_laplas.media.MediaPlan` says
    :ivar part_of: of a part: the output of its file
    :ivar part: of a part: its number, from 0
    """

    source: str
    fingerprint: str
    output: str
    state: FileState = FileState.PENDING
    generation_id: str | None = None
    submitted_at: float | None = None
    deadline: float | None = None
    completed_at: float | None = None
    audio_seconds: float | None = None
    error: str | None = None
    duplicate_of: str | None = None
    content: str | None = None
    formats: list[str] | None = None
    replaces: float | None = None
    announced: bool = False
    attempt: int = 0
    reported: bool = False
    other_ids: list[str] | None = None
    listed: bool = True
    lease: int = 0
    plan: dict[str, Any] | None = None
    part_of: str | None = None
    part: int | None = None

    @property
    def billed_seconds(self) -> float:
        """Seconds of transcribed audio; 0 for a file whose parts were transcribed, which count."""
        return self.audio_seconds or 0.0 if self.state in TRANSCRIBED and self.plan is None else 0.0

    def names(self, formats: Iterable[str] | None = None) -> list[str]:
        """Return the paths of the file's formats below the batch's folder, by default of those already written."""
        stem = self.output.removesuffix(".json")
        return [f"{stem}.{name}" for name in (formats or self.formats or ())]

    def transition(self, state: FileState, **facts: Any) -> set[str]:
        """
        Put the file into a state, with what is known of it then, and return the names of the fields that changed.

        An id that is given up stays among :attr:`other_ids`.
        """
        facts["state"] = state
        given_up = self.generation_id
        if given_up is not None and facts.get("generation_id", given_up) != given_up:
            facts["other_ids"] = [*(self.other_ids or ()), given_up][-MOST_OTHER_IDS:]
        changed = {name for name, value in facts.items() if getattr(self, name) != value}
        for name in changed:
            setattr(self, name, facts[name])
        return changed

    def to_line(self, names: Collection[str] | None = None) -> str:
        """
        Return the record as a line of JSON, without what is as it is by default.

        :param names: the fields that changed. Default: all. Those that tell one submission from another are always there
        """
        if names is None:
            return json.dumps(self.to_fields())
        return json.dumps(
            {name: getattr(self, name) for name in (*_IDENTITY, *sorted(set(names) - _IDENTITY_SET))}
        )

    def to_fields(self) -> dict[str, Any]:
        """Return the record as JSON, without what is as it is by default."""
        return {name: value for name in _NAMES if (value := getattr(self, name)) != _DEFAULTS.get(name)}

    @classmethod
    def from_fields(cls, content: Mapping[str, Any]) -> "FileRecord":
        """
        Read what :meth:`to_fields` returned.

        :raises ValueError: or a TypeError, if it is something else
        """
        record = cls(**content)
        record.state = FileState(record.state)
        return record

    def changed(self, content: Mapping[str, Any]) -> "FileRecord":
        """Return the record with the changes that :meth:`to_line` wrote, parsed."""
        # The same output: as another string it would be in memory twice.
        return replace(self, **{**content, "state": FileState(content["state"]), "output": self.output})


MOST_OTHER_IDS = 5
"""How many ids are remembered of one output, beside its own."""


def differences(one: FileRecord, other: FileRecord) -> set[str]:
    """Return the names of the fields in which two records differ."""
    return {name for name in _NAMES if getattr(one, name) != getattr(other, name)}


_IDENTITY = ("output", "state", "attempt", "generation_id")
_IDENTITY_SET = frozenset(_IDENTITY)
_NAMES = tuple(item.name for item in fields(FileRecord))
ALL_FIELDS = frozenset(_NAMES)
"""The names of a record's fields."""

# The state is always written: it is what people read.
_DEFAULTS = {
    item.name: item.default
    for item in fields(FileRecord)
    if item.default is not MISSING and item.name != "state"
}


def merge(older: FileRecord, newer: FileRecord) -> FileRecord:
    """
    Return what two writers know of one output; ``newer`` is what the later lease's holder wrote, or wrote last.

    It is the newer one, unless that lacks the id of the same submission, which the older one has. Ids of other submissions
    that the newer one does not know are kept in :attr:`FileRecord.other_ids`: they are paid for.
    """
    theirs = older.generation_id
    if theirs is None and not older.other_ids:
        return newer
    same = older.attempt == newer.attempt and newer.generation_id is None and newer.state in _UNKNOWN
    if theirs is not None and same:
        return _with_ids(older, newer.other_ids)
    # One that is finished is superseded where the audio changed, but not where the same was submitted twice.
    twice = older.fingerprint == newer.fingerprint and older.state is not FileState.FAILED
    if theirs is not None and (older.state in WITHOUT_TRANSCRIPT or twice):
        return _with_ids(newer, [*(older.other_ids or ()), theirs])
    return _with_ids(newer, older.other_ids)


def _with_ids(record: FileRecord, ids: Iterable[str] | None) -> FileRecord:
    """Return the record with these ids among its others."""
    known = record.other_ids or []
    lacking = [each for each in ids or () if each != record.generation_id and each not in known]
    return replace(record, other_ids=[*lacking, *known]) if lacking else record
