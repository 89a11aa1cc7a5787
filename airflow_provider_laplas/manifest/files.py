"""The files of a batch: their states and the names of their outputs. Pure."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_laplas.redaction import unsigned


class FileState(StrEnum):
    """The state of a file."""

    PENDING = "pending"
    INTENT = "intent"
    SUBMITTED = "submitted"
    COMPLETED = "completed"
    FAILED = "failed"
    GONE = "gone"
    AMBIGUOUS = "ambiguous"
    TIMED_OUT = "timed_out"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    SKIPPED = "skipped"


UNFINISHED = frozenset({FileState.PENDING, FileState.INTENT, FileState.SUBMITTED})
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

_UNKNOWN = frozenset({FileState.PENDING, FileState.INTENT, FileState.AMBIGUOUS})


@dataclass(slots=True)
class FileRecord:
    """
    One file of a batch.

    :ivar source: where the audio is, redacted
    :ivar fingerprint: identifies the audio, its version, the model and the options
    :ivar output: the transcript's path below the batch's folder
    :ivar deadline: epoch seconds
    :ivar completed_at: epoch seconds at which it finished or failed
    :ivar audio_seconds: length of the finished audio
    :ivar error: why it failed, in a sentence
    :ivar duplicate_of: the output of the file with the same content that was submitted in its place
    :ivar content: a key that identifies the content, if duplicates are looked for
    :ivar formats: the formats that were written; None until a worker has checked the transcript
    :ivar replaces: when an output that existed before this submission was written, by the storage's clock
    :ivar announced: whether an asset event has included it
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

    def names(self, formats: Iterable[str] | None = None) -> list[str]:
        """Return the paths of the file's formats below the batch's folder, by default of those already written."""
        stem = self.output.removesuffix(".json")
        return [f"{stem}.{name}" for name in (formats or self.formats or ())]

    def knows_less_than(self, other: "FileRecord") -> bool:
        """Return whether another writer's started entry of the same file knows more about its submission."""
        if self.generation_id is not None or self.state not in _UNKNOWN:
            return False
        return other.generation_id is not None or self.state is FileState.PENDING

    def transition(self, state: FileState, **facts: Any) -> None:
        """
        Set the fields that come with a state, then the state.

        The state is set last and read first, so a thread that writes the manifest at the same time never records a file
        as submitted without its id.
        """
        for name, value in facts.items():
            setattr(self, name, value)
        self.state = state


# The order in which they are read, see FileRecord.transition.
FIELDS = ("state", *(item.name for item in fields(FileRecord) if item.name != "state"))


def output_names(sources: Iterable[str], folder: str | None) -> list[str]:
    """
    Return the transcript's path for each source. The same source always gets the same path.

    Sources in a folder keep their path (``talks/a.mp3.json``). Sources in a list may share a file name, so a hash of
    the full source is appended.
    """
    names, seen = [], Counter[str]()
    for source in sources:
        if folder is not None:
            name = source.removeprefix(folder.rstrip("/") + "/")
        else:
            plain = unsigned(source)
            stem = PurePosixPath(urlsplit(plain).path if "://" in plain else plain).name or "audio"
            name = f"{stem}-{hashlib.sha256(plain.encode()).hexdigest()[:10]}"
        seen[name] += 1
        # A source that is listed twice is transcribed twice.
        names.append(f"{name}.json" if seen[name] == 1 else f"{name}-{seen[name]}.json")
    return names
