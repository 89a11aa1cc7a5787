"""
The state of each file of a batch, from which a retry, a Clear or another run continues.

The manifest is a JSON file beside the outputs. Intents are written before a group is submitted, ids right after, and
finished files every few seconds. Nothing is lost if it lags behind: an output in the folder counts as finished.

Several tries of a task can run at once: see :mod:`~airflow_provider_laplas.manifest.lease`.
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
"""Seconds without a write after which another task may take over a manifest."""

MOST_UNLISTED = 10_000
"""How many files that are no longer listed are kept: the newest ones."""


@dataclass(slots=True)
class Manifest:
    """
    All files of a batch, in the order in which they were given.

    :ivar uri: where it is stored
    :ivar owner: the task that writes it: dag_id, run_id, task_id, map_index
    :ivar max_tries: Airflow's ``max_tries``, which a Clear raises
    :ivar began_at: epoch seconds at which the owner first started
    :ivar unlisted: files of earlier runs that are not listed now, but may be listed again
    :ivar lease_token: the token of the writer's lease; not in the file
    :ivar storage: where it is stored; not in the file
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
        Write the manifest, atomically. Blocking; retried for a few seconds, because it is the record of paid work.

        :raises LaplasArgumentError: if another task or try has taken the lease: nothing more may be submitted then
        """
        self._save(time.time())

    def leave(self) -> None:
        """Write the manifest as unused, so that another task may take it over at once. Blocking."""
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
        """Return the manifest as JSON."""
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
        Take a batch's lease and merge the journals of all its writers. Blocking.

        :param owner: the ids of the task that takes it
        :return: the lease's token, and the manifest to be written with it; None if there is no manifest
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
            # A journal of a newer lease is in use.
            if journal < mine:
                storage.delete(journal)
        return token, manifest

    @classmethod
    def _read_journals(cls, uri: str, storage: Storage) -> "dict[str, Manifest]":
        """Read all journals, the newest lease's first."""
        while True:
            found = {journal: cls._read(journal, uri, storage) for journal in journals(uri, storage)}
            known = {journal: manifest for journal, manifest in found.items() if manifest}
            # A journal that vanished has just been merged into another one, so list them again.
            if len(known) == len(found):
                return known

    def learn_from(self, other: "Manifest") -> None:
        """Take over submissions that another writer knows more about."""
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
        Read a manifest. Blocking.

        :param storage: where it is stored. Default Airflow's object storage
        :raises LaplasArgumentError: if there is none, or the file is not a manifest of this version
        """
        manifest = cls.find(uri, storage)
        if manifest is None:
            raise LaplasArgumentError(f"There is no manifest at {redacted(uri)}.", argument="uri")
        return manifest

    @classmethod
    def find(cls, uri: str, storage: Storage | None = None) -> "Manifest | None":
        """
        Read a manifest; return None if there is none. Blocking.

        :raises LaplasArgumentError: if the file is not a manifest of this version
        """
        return cls._read(uri, uri, storage or object_storage())

    @classmethod
    def resumed(cls, uri: str, token: str, storage: Storage | None = None) -> "Manifest":
        """
        Read the manifest of a lease holder, to continue with the same lease. Blocking.

        :raises LaplasArgumentError: if another task or try has taken the lease
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
        """The folder of the manifest and the outputs."""
        return self.uri.rpartition("/")[0]

    def uri_of(self, entry: FileRecord) -> str:
        """Return the URI of a file's transcript, whether or not it exists."""
        return f"{self.folder}/{entry.output}"

    def having(self, *states: FileState) -> Iterator[FileRecord]:
        """Iterate over the entries in any of the states."""
        return (entry for entry in self.entries if entry.state in states)

    def counts(self) -> dict[str, int]:
        """Return how many files are in each state that occurs."""
        return dict(Counter(str(entry.state) for entry in self.entries))

    @property
    def task(self) -> str:
        """The owner, for messages: the DAG's, the run's and the task's id."""
        return "/".join(str(self.owner.get(name)) for name in ("dag_id", "run_id", "task_id"))

    def audio_seconds(self) -> float:
        """Return the seconds of finished audio."""
        return sum(entry.audio_seconds or 0.0 for entry in self.having(*TRANSCRIBED))

    def new_audio_seconds(self) -> float:
        """Return the seconds of audio that this DAG run transcribed and was billed for."""
        return sum(entry.audio_seconds or 0.0 for entry in self.new(*TRANSCRIBED))

    def new(self, *states: FileState) -> list[FileRecord]:
        """Return the entries in any of the states that this DAG run, not an earlier one, brought there."""
        return [e for e in self.having(*states) if (e.completed_at or 0.0) >= self.began_at]


def _no_manifest(uri: str) -> LaplasArgumentError:
    return LaplasArgumentError(
        f"{redacted(uri)} is not a manifest of this version. Use another `results_path`, or move it away.",
        argument="results_path",
    )
