"""
What became of each file of a batch: the one thing from which a retry, a Clear or another run goes on.

The manifest is a JSON file beside the outputs. Intents are in it before a group is submitted, ids right after, and what
finished every few seconds. What it lags behind is found again: an output that lies in the folder counts as finished.

Several tries of a task can be at work at once: see :mod:`~airflow_provider_laplas.claim`.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_laplas.api.retry import ambiguous_submission
from airflow_provider_laplas.claim import check_claim, claim, persistently, writer_uri, writers
from airflow_provider_laplas.durable import unsigned
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import show_location
from airflow_provider_laplas.storage import object_storage

VERSION = 1
NAME = "manifest.json"
"""The manifest's name in the folder of outputs."""

ABANDONED_AFTER = 300.0
"""Seconds after which a manifest that nobody wrote to may be taken over by another task."""

MOST_UNLISTED = 10_000
"""How many of the files are remembered that are not listed any more: the newest ones."""


class FileState(StrEnum):
    """How far a file has come."""

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
"""States that count as failures of a batch; rejected is what a quality check, or a format, did not take."""

TRANSCRIBED = frozenset({FileState.COMPLETED, FileState.REJECTED, FileState.SKIPPED})
"""States of files whose transcript is there, and was billed."""

_UNKNOWN = frozenset({FileState.PENDING, FileState.INTENT, FileState.AMBIGUOUS})


@dataclass(slots=True)
class Entry:
    """
    One file of a batch.

    :ivar source: where the audio is; a URL without its signature, as it may be shown
    :ivar fingerprint: what is submitted: audio, its version, model and options
    :ivar output: the transcript's path below the batch's folder
    :ivar deadline: epoch seconds
    :ivar completed_at: epoch seconds at which it was finished, well or badly
    :ivar audio_seconds: of the finished audio
    :ivar error: why it failed, in a sentence
    :ivar duplicate_of: the output of the file with the same content, which is the one that is submitted
    :ivar content: what tells the same content from another, where duplicates are looked for
    :ivar formats: what lies in the folder and was judged; None where a worker has not seen the transcript yet
    :ivar replaces: when the output was written that was there before this submission, by the storage's clock
    :ivar announced: whether an asset event has told of it
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
        """Return the paths of the file's formats below the batch's folder, by default of those that are there."""
        stem = self.output.removesuffix(".json")
        return [f"{stem}.{name}" for name in (formats or self.formats or ())]

    def knows_less_than(self, other: "Entry") -> bool:
        """Tell whether another writer's entry of the same file, which it has begun, says more of its submission."""
        if self.generation_id is not None or self.state not in _UNKNOWN:
            return False
        return other.generation_id is not None or self.state is FileState.PENDING

    def move(self, state: FileState, **facts: Any) -> None:
        """
        Put the file into a state, with what is known of it then.

        The state comes last, and is read first: a thread that writes the manifest meanwhile notes no file as submitted
        whose id it does not have.
        """
        for name, value in facts.items():
            setattr(self, name, value)
        self.state = state


# In this order they are read, see Entry.move.
_FIELDS = ("state", *(item.name for item in fields(Entry) if item.name != "state"))


@dataclass(slots=True)
class Manifest:
    """
    All files of a batch, in the order in which they were given.

    :ivar uri: where it lies
    :ivar owner: the task that writes it: dag_id, run_id, task_id, map_index
    :ivar max_tries: Airflow's count of allowed tries, which a user's Clear raises
    :ivar began_at: epoch seconds at which the owner first began
    :ivar unlisted: what became of files that are not to be transcribed now, and may be again
    :ivar claim: of the writer, where several may be at work; not in the file
    """

    uri: str
    owner: dict[str, Any]
    max_tries: int
    entries: list[Entry] = field(default_factory=list)
    unlisted: list[Entry] = field(default_factory=list)
    written_at: float = 0.0
    began_at: float = field(default_factory=time.time)
    claim: str | None = None

    def save(self) -> None:
        """
        Write it, whole or not at all. Blocking; repeated for some seconds, because what it notes is paid for.

        :raises LaplasArgumentError: where somebody else has claimed the batch: nothing more may be submitted then
        """
        self._save(time.time())

    def leave(self) -> None:
        """Write it, and that nobody is at work any more: another task may claim it at once. Blocking."""
        self._save(0.0)

    def _save(self, written_at: float) -> None:
        def write() -> None:
            self.written_at = written_at
            text = self.to_json()
            if self.claim is not None:
                object_storage().write_text(writer_uri(self.uri, self.claim), text)
                check_claim(self.uri, self.claim)
            object_storage().write_text(self.uri, text)

        persistently(write)

    def to_json(self) -> str:
        """Return the file's text."""
        content = {
            "version": VERSION,
            **{f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"uri", "claim"}},
        }
        for name in ("entries", "unlisted"):
            content[name] = [{name: getattr(entry, name) for name in _FIELDS} for entry in content[name]]
        return json.dumps(content)

    @classmethod
    def take_over(cls, uri: str, owner: Mapping[str, Any]) -> "tuple[str, Manifest | None]":
        """
        Claim a batch, and bring together what all that were at work on it have noted. Blocking.

        :param owner: the ids of the task that claims it
        :return: the claim, and the manifest that may be written with it, None where there is none
        """
        token = claim(uri, owner)
        found = cls._read_writers(uri)
        known = list(found.values()) or [manifest for manifest in (cls.find(uri),) if manifest]
        if not known:
            return token, None
        manifest, *others = known
        for other in others:
            manifest.learn_from(other)
        manifest.claim = token
        mine = writer_uri(uri, token)
        persistently(lambda: object_storage().write_text(mine, manifest.to_json()))
        for writer in found:
            # One that has claimed the batch since is at work.
            if writer < mine:
                object_storage().delete(writer)
        return token, manifest

    @classmethod
    def _read_writers(cls, uri: str) -> "dict[str, Manifest]":
        """Read what each writer has noted, by its file, the newest claim's first."""
        while True:
            found = {writer: cls._read(writer, uri) for writer in writers(uri)}
            known = {writer: manifest for writer, manifest in found.items() if manifest}
            # What is gone by now was taken over just now: it is to be found in another.
            if len(known) == len(found):
                return known

    def learn_from(self, other: "Manifest") -> None:
        """Take over what another writer knows of submissions, and this one does not."""
        mine = {entry.output: entry for entry in self.entries}
        for theirs in other.entries:
            entry = mine.get(theirs.output)
            begun = theirs.generation_id is not None or theirs.state in {
                FileState.INTENT,
                FileState.AMBIGUOUS,
            }
            if entry is None and begun:
                self.entries.append(theirs)
            elif entry is not None and begun and entry.knows_less_than(theirs):
                entry.move(**{name: getattr(theirs, name) for name in _FIELDS})

    @classmethod
    def load(cls, uri: str) -> "Manifest":
        """
        Read it. Blocking.

        :raises LaplasArgumentError: where there is none, or the file is no manifest of ours
        """
        manifest = cls.find(uri)
        if manifest is None:
            raise LaplasArgumentError(f"There is no manifest at {show_location(uri)}.", argument="uri")
        return manifest

    @classmethod
    def find(cls, uri: str) -> "Manifest | None":
        """
        Read it; None where there is none. Blocking.

        :raises LaplasArgumentError: where the file is no manifest of ours
        """
        return cls._read(uri, uri)

    @classmethod
    def resumed(cls, uri: str, token: str) -> "Manifest":
        """
        Read what was written with a claim, to go on with it. Blocking.

        :raises LaplasArgumentError: where somebody else has claimed the batch since
        """
        manifest = cls._read(writer_uri(uri, token), uri)
        if manifest is None:
            check_claim(uri, token)
            manifest = cls.load(uri)
        manifest.claim = token
        return manifest

    @classmethod
    def _read(cls, file: str, uri: str) -> "Manifest | None":
        try:
            content = json.loads(object_storage().read_text(file))
        except FileNotFoundError:
            return None
        except ValueError:
            raise _no_manifest(file) from None
        if not isinstance(content, dict) or content.pop("version", None) != VERSION:
            raise _no_manifest(file)
        try:
            for name in ("entries", "unlisted"):
                content[name] = [
                    Entry(**each | {"state": FileState(each["state"])}) for each in content[name]
                ]
            return cls(uri, **content)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _no_manifest(file) from None

    @property
    def folder(self) -> str:
        """The folder of the outputs, in which it lies."""
        return self.uri.rpartition("/")[0]

    def uri_of(self, entry: Entry) -> str:
        """Return where a file's transcript lies, or would."""
        return f"{self.folder}/{entry.output}"

    def having(self, *states: FileState) -> Iterator[Entry]:
        """Iterate over the entries in one of some states."""
        return (entry for entry in self.entries if entry.state in states)

    def counts(self) -> dict[str, int]:
        """Return how many files are in each state that occurs."""
        return dict(Counter(str(entry.state) for entry in self.entries))

    @property
    def task(self) -> str:
        """The owner, for people: the DAG's, the run's and the task's id."""
        return "/".join(str(self.owner.get(name)) for name in ("dag_id", "run_id", "task_id"))

    def audio_seconds(self) -> float:
        """Return the seconds of finished audio."""
        return sum(entry.audio_seconds or 0.0 for entry in self.having(*TRANSCRIBED))

    def new_audio_seconds(self) -> float:
        """Return the seconds of audio that were transcribed, and billed, in this DAG run."""
        return sum(entry.audio_seconds or 0.0 for entry in self.new(*TRANSCRIBED))

    def new(self, *states: FileState) -> list[Entry]:
        """Return the entries that came into one of some states by the owner's doing, and not by an earlier run's."""
        return [e for e in self.having(*states) if (e.completed_at or 0.0) >= self.began_at]


def output_names(sources: Iterable[str], folder: str | None) -> list[str]:
    """
    Return the transcript's path for each source: always the same for the same source.

    Below a folder the source's own path is kept (``talks/a.mp3.json``). Sources of a list may have the same name in
    different places, so theirs carries a part of a hash of the whole.
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
        # The same source given twice is transcribed twice.
        names.append(f"{name}.json" if seen[name] == 1 else f"{name}-{seen[name]}.json")
    return names


def resume(
    manifest: Manifest,
    earlier: Manifest | None,
    outputs: Collection[str],
    policy: "ResumePolicy",
    *,
    last_tries: int | None = None,
) -> None:
    """
    Take over what an earlier try, or an earlier run over the same folder, has done.

    :param manifest: of the files to be transcribed now; changed in place
    :param earlier: what lies in the folder
    :param outputs: the paths of the transcripts that lie there
    :param last_tries: Airflow's count of allowed tries when this very task last began; None where it has not, or where
        nothing is known of it
    """
    if earlier is None:
        return
    mine = earlier.owner == manifest.owner
    if mine:
        manifest.began_at = earlier.began_at
        last_tries = earlier.max_tries if last_tries is None else last_tries
    again = last_tries is not None
    cleared = again and last_tries != manifest.max_tries
    listed = {entry.output: entry for entry in manifest.entries}
    for old in (*earlier.unlisted, *earlier.entries):
        state = policy.state_after(old, stored=old.output in outputs, same_run=again, cleared=cleared)
        entry = listed.get(old.output)
        if entry is None:
            # Its audio is gone, and what is paid for is not: neither lost, nor hidden from those who wait for it.
            untold = state in {FileState.COMPLETED, FileState.DUPLICATE} and not old.announced
            if untold or state is FileState.SUBMITTED or (mine and state is FileState.AMBIGUOUS):
                manifest.entries.append(replace(old, state=state, **_facts(old, state, cleared=cleared)))
            elif old.state is not FileState.PENDING:
                # It may come back: another run of a DAG, cleared, has its own list.
                ambiguous = old.state is FileState.INTENT
                manifest.unlisted.append(replace(old, state=FileState.AMBIGUOUS) if ambiguous else old)
        elif state is not FileState.PENDING and _same_work(entry, old):
            taken = {name: getattr(old, name) for name in _FIELDS}
            entry.move(**taken | _facts(old, state, cleared=cleared) | {"state": state})
    del manifest.unlisted[:-MOST_UNLISTED]


def _facts(old: Entry, state: FileState, *, cleared: bool) -> dict[str, Any]:
    """Return what changes of an entry beside its state when it is taken over."""
    if state is FileState.SUBMITTED and cleared:
        return {"deadline": None}
    if old.state in {FileState.REJECTED, FileState.SKIPPED}:
        return {"error": None, "formats": None}
    if old.state is FileState.INTENT and state is FileState.AMBIGUOUS:
        error = ambiguous_submission("An earlier try was cut off before the generation's id was noted.")
        return {"error": error.message, "completed_at": time.time()}
    return {}


def _same_work(entry: Entry, old: Entry) -> bool:
    """Tell whether both are the same request; of audio that cannot be read any more, nobody knows the version."""
    if entry.state is FileState.FAILED:
        begun = old.generation_id is not None or old.state in {FileState.INTENT, FileState.AMBIGUOUS}
        known = begun or old.state in TRANSCRIBED | {FileState.FAILED}
        return known and old.fingerprint.startswith(entry.fingerprint)
    return old.fingerprint == entry.fingerprint


def _no_manifest(uri: str) -> LaplasArgumentError:
    return LaplasArgumentError(
        f"{show_location(uri)} is no manifest of this version. Use another `results_path`, or move it away.",
        argument="results_path",
    )


@dataclass(frozen=True, slots=True)
class ResumePolicy:
    """What a try does with a file that an earlier one has begun."""

    on_ambiguous: str = "fail"
    on_expired: str = "fail"

    def state_after(self, entry: Entry, *, stored: bool, same_run: bool, cleared: bool) -> FileState:
        """Return the state in which the file is taken up."""
        submitted = entry.generation_id is not None
        match entry.state:
            # What was rejected or skipped is judged again: the checks may be others now.
            case FileState.COMPLETED | FileState.REJECTED | FileState.SKIPPED | FileState.DUPLICATE if stored:
                duplicate = entry.state is FileState.DUPLICATE
                return FileState.DUPLICATE if duplicate else FileState.COMPLETED
            case FileState.INTENT | FileState.SUBMITTED | FileState.TIMED_OUT if submitted:
                return FileState.SUBMITTED
            case FileState.INTENT | FileState.AMBIGUOUS:
                again = cleared or self.on_ambiguous == "resubmit"
                return FileState.PENDING if again else FileState.AMBIGUOUS
            case FileState.GONE:
                return FileState.PENDING if self.on_expired == "resubmit" else FileState.GONE
            # What failed is tried again by a retry or a Clear, and not by every later run: it would fail, and be
            # paid for, each time.
            case FileState.FAILED:
                return FileState.PENDING if same_run else FileState.FAILED
        return FileState.PENDING


def settle_intents(manifest: Manifest, policy: "ResumePolicy") -> None:
    """Decide on the submissions that another writer began and did not note the end of, amid a try of the task."""
    for entry in list(manifest.having(FileState.INTENT)):
        state = policy.state_after(entry, stored=False, same_run=True, cleared=False)
        entry.move(state, **_facts(entry, state, cleared=False))


def check_owner(manifest: Manifest, earlier: Manifest | None) -> None:
    """
    Refuse to write into a folder in which another task is at work.

    :raises LaplasArgumentError: naming ``results_path``
    """
    if earlier is None or earlier.owner == manifest.owner:
        return
    busy = any(entry.state in UNFINISHED for entry in earlier.entries)
    if busy and time.time() - earlier.written_at < ABANDONED_AFTER:
        raise LaplasArgumentError(
            f"`results_path`: task {earlier.task} is at work in this folder. Wait for it, or use a folder for each "
            "(max_active_runs=1 keeps runs of one DAG apart).",
            argument="results_path",
        )
