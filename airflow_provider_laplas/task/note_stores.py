"""
Where a task keeps its notes between its tries: by name, as text, for one task instance of one DAG run.

A store tells an outage from a note that is not there: whoever takes one for the other pays twice.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from airflow_provider_laplas.airflow_compat import (
    delete_variable,
    forgets_on_success,
    get_variable,
    keep_for_ever,
    option,
    set_variable,
)
from airflow_provider_laplas.arguments import check_choice
from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.task.folder_notes import FolderNotes, digest

log = logging.getLogger(__name__)

PROBE = "laplas_probe"
"""The Variable that shows whether Variables can be read."""

RECORD_STORE = "record_store"
"""The option in the section ``laplas`` that chooses the store."""


UNREADABLE = ""
"""What stands for a note that is there, and is none of ours."""


class NoteStore(Protocol):
    """
    Keeps a task's notes. Every method is blocking, and raises an exception if the store does not work.

    :ivar remembers: whether anything is kept
    :ivar forgets_on_success: whether Airflow drops the notes once the task succeeds
    """

    remembers: bool
    forgets_on_success: bool

    def get(self, name: str) -> str | None:
        """Return a note; None if there is none."""

    def set(self, name: str, note: str) -> None:
        """Write a note."""

    def delete(self, name: str) -> None:
        """Delete a note, if there is one."""


class StateStore:
    """Airflow's ``task_state_store`` (3.3 and newer), as long as the DAG run."""

    remembers = True

    def __init__(self, store: Any) -> None:
        self._store = store
        self.forgets_on_success = forgets_on_success()

    def get(self, name: str) -> str | None:
        """Return a note; None if there is none."""
        note = self._store.get(name)
        return note if note is None or isinstance(note, str) else UNREADABLE

    def set(self, name: str, note: str) -> None:
        """Write a note."""
        keep_for_ever(self._store, name, note)

    def delete(self, name: str) -> None:
        """Delete a note, if there is one."""
        self._store.delete(name)


class FolderStore:
    """Small files in the results folder, until somebody deletes them. Their names are hashes."""

    remembers = True
    forgets_on_success = False

    def __init__(self, folder: str, task: TaskKey) -> None:
        self._notes = FolderNotes(folder, task, object_storage())
        self._map_index = task.map_index

    def get(self, name: str) -> str | None:
        """Return a note; None if there is none."""
        note = self._notes.read(self._named(name))
        return None if note is None else note.get("note", UNREADABLE)

    def set(self, name: str, note: str) -> None:
        """Write a note."""
        self._notes.write(self._named(name), {"note": note})

    def delete(self, name: str) -> None:
        """Overwrite a note with none, which needs no right to delete."""
        self._notes.write(self._named(name), None)

    def _named(self, name: str) -> str:
        return f"{name} of {self._map_index}"


class VariableStore:
    """
    Airflow's Variables, encrypted, until somebody deletes them. Their names are hashes.

    :param doubts: whether to make sure, of a note that is not there, that Airflow's database works
    """

    remembers = True
    forgets_on_success = False

    def __init__(self, task: TaskKey, *, doubts: bool = False) -> None:
        self._task = task
        self._doubts = doubts

    def get(self, name: str) -> str | None:
        """Return a note; None if there is none."""
        note = get_variable(self._named(name))
        if note is None and self._doubts:
            # Airflow's API server takes a database that fails for a Variable that is not there.
            set_variable(PROBE, "works", "Whether Airflow's Variables can be read, for Laplas tasks.")
            if get_variable(PROBE) is None:
                raise LaplasStorageError("Airflow's Variables cannot be read. Check its database.")
            note = get_variable(self._named(name))
        return note

    def set(self, name: str, note: str) -> None:
        """Write a note."""
        set_variable(self._named(name), note, "What a Laplas task has submitted, for its retries.")

    def delete(self, name: str) -> None:
        """Delete a note, if there is one."""
        delete_variable(self._named(name))

    def _named(self, name: str) -> str:
        return f"laplas_{digest(f'{self._task} {name}')}"


class NoStore:
    """Keeps nothing."""

    remembers = False
    forgets_on_success = False

    def get(self, name: str) -> str | None:
        """Return None."""

    def set(self, name: str, note: str) -> None:
        """Do nothing."""

    def delete(self, name: str) -> None:
        """Do nothing."""


class MovedStore:
    """
    A store, and others in which the tries before this one may have kept their notes.

    Airflow may have been upgraded since, or ``record_store`` been changed.
    """

    def __init__(self, store: NoteStore, others: Sequence[NoteStore]) -> None:
        self._store, self._others = store, others
        self.remembers, self.forgets_on_success = store.remembers, store.forgets_on_success

    def get(self, name: str) -> str | None:
        """Return a note; None if there is none in any of them."""
        found = (store.get(name) for store in (self._store, *self._others))
        return next((note for note in found if note is not None), None)

    def set(self, name: str, note: str) -> None:
        """Write a note."""
        self._store.set(name, note)

    def delete(self, name: str) -> None:
        """Delete a note, if there is one."""
        self._store.delete(name)


def open_store(context: Mapping[str, Any], task: TaskKey, folder: str | None, *, later: bool) -> NoteStore:
    """
    Return the store of a task: Airflow's, where it has one, else the results folder; or what ``record_store`` says.

    :param folder: the results folder, if there is one
    :param later: whether there was a try before this one, whose notes may be in another store
    :raises LaplasArgumentError: if the option is neither empty nor ``variable``
    """
    stores: list[NoteStore] = []
    # One that is empty may be false.
    if (state := context.get("task_state_store")) is not None:
        stores.append(StateStore(state))
    if folder is not None:
        stores.append(FolderStore(folder, task))
    if check_choice(f"[laplas] {RECORD_STORE}", option(RECORD_STORE), ("", "variable")):
        stores.insert(0, VariableStore(task, doubts=later))
    else:
        stores = [*(stores or [NoStore()]), VariableStore(task)]
    return MovedStore(stores[0], stores[1:]) if later else stores[0]
