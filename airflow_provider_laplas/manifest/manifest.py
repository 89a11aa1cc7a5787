"""
What became of each file of a batch: the one thing from which a retry, a Clear or another run goes on.

The manifest is a JSON file beside the outputs. Intents are in it before a group is submitted, ids right after, and what
finished every few seconds. What it lags behind is found again: an output that lies in the folder counts as finished.

Several tries of a task can be at work at once: see :mod:`~airflow_provider_laplas.manifest.lease`.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import FIELDS, TRANSCRIBED, FileRecord, FileState
from airflow_provider_laplas.manifest.lease import check_lease, journal_uri, journals, take_lease
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage, object_storage

VERSION = 1
NAME = "manifest.json"
"""The manifest's name in the folder of outputs."""

ABANDONED_AFTER = 300.0
"""Seconds after which a manifest that nobody wrote to may be taken over by another task."""

MOST_UNLISTED = 10_000
"""How many of the files are remembered that are not listed any more: the newest ones."""


@dataclass(slots=True)
class Manifest:
    """
    All files of a batch, in the order in which they were given.

    :ivar uri: where it lies
    :ivar owner: the task that writes it: dag_id, run_id, task_id, map_index
    :ivar max_tries: Airflow's count of allowed tries, which a user's Clear raises
    :ivar began_at: epoch seconds at which the owner first began
    :ivar unlisted: what became of files that are not to be transcribed now, and may be again
    :ivar lease_token: the token of the lease that it is written with, where several may be at work; not in the file
    :ivar storage: where it lies; not in the file
    """

    uri: str
    owner: dict[str, Any]
    max_tries: int
    entries: list[FileRecord] = field(default_factory=list)
    unlisted: list[FileRecord] = field(default_factory=list)
    written_at: float = 0.0
    began_at: float = field(default_factory=time.time)
    lease_token: str | None = None
    storage: Storage = field(default_factory=object_storage, repr=False, compare=False)

    def save(self) -> None:
        """
        Write it, whole or not at all. Blocking; repeated for some seconds, because what it notes is paid for.

        :raises LaplasArgumentError: where somebody else has taken the lease: nothing more may be submitted then
        """
        self._save(time.time())

    def leave(self) -> None:
        """Write it, and that nobody is at work any more: another task may take it over at once. Blocking."""
        self._save(0.0)

    def _save(self, written_at: float) -> None:
        def write() -> None:
            self.written_at = written_at
            text = self.to_json()
            if self.lease_token is not None:
                self.storage.write_text(journal_uri(self.uri, self.lease_token), text)
                check_lease(self.uri, self.lease_token, self.storage)
            self.storage.write_text(self.uri, text)

        persistently(write)

    def to_json(self) -> str:
        """Return the file's text."""
        content = {
            "version": VERSION,
            **{
                f.name: getattr(self, f.name)
                for f in fields(self)
                if f.name not in {"uri", "lease_token", "storage"}
            },
        }
        for name in ("entries", "unlisted"):
            content[name] = [{name: getattr(entry, name) for name in FIELDS} for entry in content[name]]
        return json.dumps(content)

    @classmethod
    def take_over(
        cls, uri: str, owner: Mapping[str, Any], storage: Storage | None = None
    ) -> "tuple[str, Manifest | None]":
        """
        Take a batch's lease, and bring together what all that were at work on it have noted. Blocking.

        :param owner: the ids of the task that takes it
        :return: the lease's token, and the manifest that may be written with it, None where there is none
        """
        storage = storage or object_storage()
        token = take_lease(uri, owner, storage)
        found = cls._read_journals(uri, storage)
        known = list(found.values()) or [
            manifest for manifest in (cls.find(uri, storage),) if manifest is not None
        ]
        if not known:
            return token, None
        manifest, *others = known
        for other in others:
            manifest.learn_from(other)
        manifest.lease_token = token
        mine = journal_uri(uri, token)
        persistently(storage.write_text, mine, manifest.to_json())
        for journal in found:
            # One whose lease is newer is at work.
            if journal < mine:
                storage.delete(journal)
        return token, manifest

    @classmethod
    def _read_journals(cls, uri: str, storage: Storage) -> "dict[str, Manifest]":
        """Read what each holder of a lease has noted, by its journal, the newest lease's first."""
        while True:
            found = {journal: cls._read(journal, uri, storage) for journal in journals(uri, storage)}
            known = {journal: manifest for journal, manifest in found.items() if manifest}
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
                entry.transition(**{name: getattr(theirs, name) for name in FIELDS})

    @classmethod
    def load(cls, uri: str, storage: Storage | None = None) -> "Manifest":
        """
        Read it. Blocking.

        :param storage: where it lies. Default Airflow's object storage
        :raises LaplasArgumentError: where there is none, or the file is no manifest of ours
        """
        manifest = cls.find(uri, storage)
        if manifest is None:
            raise LaplasArgumentError(f"There is no manifest at {redacted(uri)}.", argument="uri")
        return manifest

    @classmethod
    def find(cls, uri: str, storage: Storage | None = None) -> "Manifest | None":
        """
        Read it; None where there is none. Blocking.

        :raises LaplasArgumentError: where the file is no manifest of ours
        """
        return cls._read(uri, uri, storage or object_storage())

    @classmethod
    def resumed(cls, uri: str, token: str, storage: Storage | None = None) -> "Manifest":
        """
        Read what was written with a lease, to go on with it. Blocking.

        :raises LaplasArgumentError: where somebody else has taken the lease since
        """
        storage = storage or object_storage()
        manifest = cls._read(journal_uri(uri, token), uri, storage)
        if manifest is None:
            check_lease(uri, token, storage)
            manifest = cls.load(uri, storage)
        manifest.lease_token = token
        return manifest

    @classmethod
    def _read(cls, file: str, uri: str, storage: Storage) -> "Manifest | None":
        try:
            content = json.loads(storage.read_text(file))
        except FileNotFoundError:
            return None
        except ValueError:
            raise _no_manifest(file) from None
        if not isinstance(content, dict) or content.pop("version", None) != VERSION:
            raise _no_manifest(file)
        try:
            for name in ("entries", "unlisted"):
                content[name] = [
                    FileRecord(**each | {"state": FileState(each["state"])}) for each in content[name]
                ]
            return cls(uri, **content, storage=storage)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _no_manifest(file) from None

    @property
    def folder(self) -> str:
        """The folder of the outputs, in which it lies."""
        return self.uri.rpartition("/")[0]

    def uri_of(self, entry: FileRecord) -> str:
        """Return where a file's transcript lies, or would."""
        return f"{self.folder}/{entry.output}"

    def having(self, *states: FileState) -> Iterator[FileRecord]:
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

    def new(self, *states: FileState) -> list[FileRecord]:
        """Return the entries that came into one of some states by the owner's doing, and not by an earlier run's."""
        return [e for e in self.having(*states) if (e.completed_at or 0.0) >= self.began_at]


def _no_manifest(uri: str) -> LaplasArgumentError:
    return LaplasArgumentError(
        f"{redacted(uri)} is no manifest of this version. Use another `results_path`, or move it away.",
        argument="results_path",
    )
