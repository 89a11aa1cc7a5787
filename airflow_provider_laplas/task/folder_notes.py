"""
What a task notes in its results folder, beside its state store, so that others of the task find it by the work.

Airflow keeps a mapped task's state by its map index, which no other index can read. If the list changes between two
tries, another index has the work, and would pay for it again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.storage import Storage
from airflow_provider_laplas.transcript.json_objects import read_object

FOLDER = ".notes"
"""The folder of the notes, in the results folder."""

TAKEN_BACK = json.dumps(None)
"""What a note is overwritten with, as deleting needs another permission."""


@dataclass(frozen=True, slots=True)
class FolderNotes:
    """
    The notes of one task, of all its map indexes, in one DAG run. Blocking.

    :ivar folder: the results folder
    :ivar task: one of the task's instances
    """

    folder: str
    task: TaskKey
    storage: Storage

    def read(self, work: str) -> dict[str, Any] | None:
        """
        Return what was noted of some work; None if nothing was, or it was taken back; empty if it cannot be read.

        :param work: its fingerprint
        :raises LaplasStorageError: if the storage does not work
        """
        try:
            text = self.storage.read_text(self._uri(work))
        except FileNotFoundError:
            return None
        # Half of a note, which some storages leave behind, says that there was one.
        return None if text == TAKEN_BACK else read_object(text) or {}

    def write(self, work: str, note: Mapping[str, Any] | None) -> None:
        """
        Note something of some work; None takes back what was noted, which needs no right to delete.

        :raises LaplasStorageError: if the storage does not work
        """
        self.storage.write_text(self._uri(work), json.dumps(note))

    def _uri(self, work: str) -> str:
        task = json.dumps([self.task.dag_id, self.task.run_id, self.task.task_id])
        return f"{self.folder.rstrip('/')}/{FOLDER}/{digest(task)}/{digest(work)}.json"


def digest(work: str) -> str:
    """Return a name for some work that is safe in paths and keys."""
    # A URL has no version, and its fingerprint may end where that would begin.
    return hashlib.sha256(work.rstrip("-").encode()).hexdigest()[:32]
