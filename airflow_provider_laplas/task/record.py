"""
A task's record of what it submitted, so that no retry pays again.

It belongs to the task instance, not to a single try: it survives retries, a killed worker and a Clear, and is empty in
a new DAG run. Where it is kept: :mod:`~airflow_provider_laplas.task.note_stores`.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from airflow_provider_laplas.api.resume import Occasion
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.results.keeping import Reference, TaskKey
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.task.folder_notes import FolderNotes, digest
from airflow_provider_laplas.task.note_stores import open_store

log = logging.getLogger(__name__)

STORE_KEY = "laplas"
"""The key in the task's store of the record of its last work; those of earlier work have keys of their own."""


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """
    The generation that a task works on. It is written before the submission, and again with the id.

    :ivar fingerprint: identifies the audio, model and options; for a sensor, the id that it was given
    :ivar max_tries: Airflow's ``max_tries``, which only a Clear by a user raises
    :ivar deadline: epoch seconds at which waiting ends, across all tries
    :ivar generation_id: None until the API has answered
    :ivar submitted_at: epoch seconds
    :ivar ambiguity_reported: whether a try has failed with the error that the submission is ambiguous
    :ivar result: where the finished reply is stored
    """

    fingerprint: str
    max_tries: int
    deadline: float
    generation_id: str | None = None
    submitted_at: float | None = None
    result: Reference | None = None
    ambiguity_reported: bool = False


_BATCH = "batch"

_BEGAN = "laplas_began"
"""The key under which a batch notes that it began, before anything else can fail."""

_SHARED = ("fingerprint", "max_tries", "deadline", "generation_id", "submitted_at", "ambiguity_reported")
"""What a note in the folder holds of a record. Where the reply is stored is not in it: it is in that folder."""


FRESH = 30.0
"""Seconds for which what was read of a record holds. Airflow takes a try for dead that stands still for longer."""

_OTHER = -1
"""A number of tries that no task has, so that its record is one from before a Clear."""


def _key_of(work: str) -> str:
    return f"{STORE_KEY}-{digest(work)}"


def _parsed(noted: Any) -> GenerationRecord | None:
    """Return a record without what a newer version has added to it; None if it cannot be read."""
    known = {field.name for field in fields(GenerationRecord)}
    try:
        return GenerationRecord(**{name: value for name, value in noted.items() if name in known})
    except (AttributeError, TypeError):
        log.warning("The record of an earlier try of this task cannot be read: another version wrote it.")
        return None


class RecordStore:
    """
    Reads a task's record, once, and writes it.

    :ivar task: the task instance
    :ivar folder: its results folder, if it has one
    """

    def __init__(self, context: Mapping[str, Any], task: TaskKey, folder: str | None) -> None:
        # Before the store is asked, which may take its time.
        self._opened = time.time()
        self.task, self.folder = task, folder
        self._record: GenerationRecord | None = None
        self._loaded = False
        self._unwritten = False
        ti = context["ti"]
        self.max_tries = int(getattr(ti, "max_tries", 0) or 0)
        self._clears = int(getattr(context.get("dag_run"), "clear_number", 0) or 0)
        self._try = int(getattr(ti, "try_number", 1) or 1)
        self._retries = int(getattr(getattr(ti, "task", None), "retries", 0) or 0)
        self._store = open_store(context, task, folder, later=self._try > 1)
        self._unreadable = self._overtaken = False
        self._known_at = 0.0
        self._folder_notes: FolderNotes | None = None
        self._found: dict[str, Any] | None = None
        self._shared: dict[str, Any] | None = None

    @property
    def remembers(self) -> bool:
        """Whether anything is kept between tries: not without a folder, where Airflow has no state store."""
        return self._store.remembers

    def load(self) -> GenerationRecord | None:
        """Return an earlier try's record; None if there is none that can be read."""
        if not self._loaded:
            self._known_at = time.time()
            self._record, self._loaded = self._read(STORE_KEY), True
        return self._record

    def intend(self, record: GenerationRecord) -> None:
        """
        Write the record of a submission that is about to begin.

        A try that stood still may have been taken for dead, and another try have begun meanwhile.

        :raises LaplasError: if another try has noted something since: nothing may be submitted
        :raises Exception: it cannot be read or written
        """
        before, now = self.load(), time.time()
        if not 0 <= now - self._known_at < FRESH and not self._unwritten:
            self._overtaken = self._read(STORE_KEY) != before
            if self._overtaken:
                raise LaplasError(
                    "Another try of this task has begun while this one stood still, so this one submits nothing."
                )
        self._known_at = now
        self.save(record)

    def save(self, record: GenerationRecord) -> None:
        """
        Write the record, if it has changed.

        Retried for a few seconds, because the record is of paid work and Airflow's API server may be restarting.

        :raises Exception: it cannot be written; what is saved later holds it
        """
        before = self.load()
        if before is not None and before.fingerprint != record.fingerprint:
            # The audio may change back, and what was submitted of it is paid for.
            self._put(_key_of(before.fingerprint), before)
        if record != before or self._unwritten:
            self._write(record)

    def share(self) -> None:
        """
        Note submissions in the results folder, too, where the store's note may not be found again.

        That is so for a mapped task, whose list may change, and where Airflow drops the note of a task that succeeds.
        """
        if self.folder is not None and (self.task.map_index >= 0 or self._store.forgets_on_success):
            self._folder_notes = FolderNotes(self.folder, self.task, object_storage())

    def find(self, work: str) -> GenerationRecord | None:
        """
        Return the record of some work that is not this task's last.

        It did it earlier; or another map index did, or the store has dropped the record: then it is in the folder. Where
        nothing is remembered, or a note cannot be read, a retry has to expect that an earlier try has submitted it.

        :param work: its fingerprint
        :raises LaplasStorageError: if the folder cannot be read: the work may be paid for
        """
        suspected = GenerationRecord(work, self.max_tries, 0.0)
        if not self.remembers:
            return None if self._is_first_since_clear else suspected
        own = self.load()
        if own is not None and (before := self._read(_key_of(work))) is not None:
            return before
        if self._unreadable:
            return suspected
        if self._folder_notes is None or (own is None and self._clears == 0 and self._try <= 1):
            return None
        note = self._folder_notes.read(work)
        if not note:
            return None if note is None else suspected
        record = _parsed({name: note.get(name) for name in _SHARED})
        cleared = note.get("clears") != self._clears
        if record is None or note.get("map_index") == self.task.map_index:
            # Whether this index began to send is known better by the store.
            found = record if record is not None and record.generation_id is not None else None
        elif own is None and not cleared:
            # The list has the same audio twice, and the other index is submitting it right now.
            found = None
        else:
            # Its tries are counted otherwise.
            found = replace(record, max_tries=_OTHER if cleared else self.max_tries)
        self._found = note if found is not None else None
        return found

    def announce(self, record: GenerationRecord) -> None:
        """
        Note in the folder, if it is used, that a submission is about to begin. If that fails, it is logged.

        Before there is a connection: a storage may take its time.
        """
        self._share(record)
        if not self.remembers:
            log.warning(
                "This Airflow keeps no note of what a task has submitted: a retry of this task fails rather than pay "
                "twice, and a Clear submits and pays again. Set `results_path`, or [laplas] record_store = variable."
            )
        elif self._folder_notes is None and self._store.forgets_on_success:
            log.warning(
                "Airflow's [state_store] clear_on_success is on: this task's note goes when it succeeds, and a Clear after "
                "that submits and pays again. Turn it off, or set `results_path`, where the note is kept, too."
            )

    def try_to_save(self, record: GenerationRecord, what: str) -> None:
        """
        Write the record, if it has changed. If it cannot be written, that is logged, and the task goes on.

        :param what: what cannot be noted, and what that means
        """
        try:
            self.save(record)
        except Exception:
            log.exception("%s", what)

    def try_again(self) -> None:
        """Write what could not be written before, if there is anything. If it still cannot be, that is logged."""
        if self._unwritten and self._record is not None:
            self.try_to_save(self._record, "What this task has submitted still cannot be noted.")

    def restore(self, record: GenerationRecord | None) -> None:
        """
        Restore the earlier record, or none, after a submission that was not made.

        If that cannot be written, it is logged: the error that ended the submission says more. What another try has noted
        since stays.
        """
        if self._overtaken:
            return
        self._take_back(record)
        try:
            if record == self.load() and not self._unwritten:
                return
            if record is not None:
                self._write(record)
            else:
                persistently(self._store.delete, STORE_KEY)
                self._record, self._unwritten = None, False
        except Exception:
            log.exception(
                "The note of a submission that was not made cannot be taken back: a retry will take it for ambiguous."
            )

    def occasion(self, record: GenerationRecord) -> Occasion:
        """Return whether this try is a retry or follows a Clear."""
        return Occasion.RETRY if record.max_tries == self.max_tries else Occasion.CLEAR

    def renewed(self, record: GenerationRecord, *, timeout: float, now: float) -> GenerationRecord:
        """Return the record for this try: a Clear sets a new deadline, a retry does not."""
        if self.occasion(record) is Occasion.RETRY:
            return record
        return replace(record, max_tries=self.max_tries, deadline=now + timeout)

    def batch_tries(self) -> int | None:
        """Return ``max_tries`` as of when this task last started its batch; None if it has not."""
        record = self.load()
        return record.max_tries if record else None

    def first_began(self) -> float:
        """Return when the first try since the last Clear began its batch, in epoch seconds, also if it failed as it began."""
        noted = self._read(_BEGAN)
        if noted is not None and noted.max_tries == self.max_tries:
            return noted.submitted_at or 0.0
        self._put(_BEGAN, GenerationRecord(_BATCH, self.max_tries, 0.0, submitted_at=self._opened))
        return self._opened

    def note_batch(self) -> None:
        """Record that this try has started its batch. The state of each file is in the manifest."""
        self.save(GenerationRecord(_BATCH, self.max_tries, 0.0))

    @property
    def _is_first_since_clear(self) -> bool:
        """
        Tell whether this is a task's first try, or the first after a Clear, which raises ``max_tries``.

        So does a DAG whose ``retries`` were lowered look, but not in a run that was never cleared.
        """
        return self._try <= 1 or (self._clears > 0 and self._try == self.max_tries - self._retries + 1)

    def _read(self, key: str) -> GenerationRecord | None:
        stored = persistently(self._store.get, key)
        if stored is None:
            return None
        try:
            record = _parsed(json.loads(stored))
        except ValueError:
            record = _parsed(None)
        self._unreadable |= record is None
        return record

    def _write(self, record: GenerationRecord) -> None:
        # Also if it cannot be written: what is noted next holds it.
        self._record, self._unwritten = record, True
        self._put(STORE_KEY, record)
        self._unwritten = False
        self._share(record)

    def _put(self, key: str, record: GenerationRecord) -> None:
        persistently(self._store.set, key, json.dumps(asdict(record)))

    def _share(self, record: GenerationRecord) -> None:
        note = {name: getattr(record, name) for name in _SHARED}
        if self._folder_notes is None or note == self._shared:
            return
        if record.generation_id is None and self._is_known_of_another(record.fingerprint):
            return
        try:
            self._folder_notes.write(
                record.fingerprint, note | {"map_index": self.task.map_index, "clears": self._clears}
            )
        except (LaplasError, OSError) as error:
            log.warning("The folder has no note of this task, which only its state store holds: %s", error)
        self._shared = note

    def _is_known_of_another(self, work: str) -> bool:
        """Tell whether the folder has the generation of another map index: an intent must not replace that."""
        note = self._shared_note(work)
        return (
            note is not None
            and note.get("map_index") != self.task.map_index
            and bool(note.get("generation_id"))
        )

    def _shared_note(self, work: str) -> dict[str, Any] | None:
        if self._folder_notes is None:
            return None
        try:
            return self._folder_notes.read(work)
        except (LaplasError, OSError):
            return None

    def _take_back(self, record: GenerationRecord | None) -> None:
        """Undo :meth:`announce`, with the earlier record of the state store."""
        if self._folder_notes is None or self._shared is None:
            return
        work, note = self._shared["fingerprint"], self._found
        there = self._shared_note(work)
        if there is not None and there.get("map_index") != self.task.map_index:
            # The same audio is twice in the list, and the other index has noted it since.
            return
        if note is None and record is not None and record.fingerprint == work:
            self._share(record)
            return
        try:
            self._folder_notes.write(work, note)
        except (LaplasError, OSError) as error:
            log.warning("The folder's note of a submission that was not made cannot be taken back: %s", error)
        self._shared = None
