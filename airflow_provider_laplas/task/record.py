"""
What a task remembers of work that is paid for, so that no retry pays again.

A record lies in Airflow's ``task_state_store``, which belongs to the task and not to one try of it: it survives
retries, a killed worker and a user's Clear, and is empty in a new DAG run.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from airflow_provider_laplas.api.resume import Occasion
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.results.keeping import Reference

log = logging.getLogger(__name__)

STORE_KEY = "laplas"
"""The record's key in the task's state store."""


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """
    The generation that a task works on. It is written before a submission, and again with its id.

    :ivar fingerprint: what work it is; other work gets another record. A sensor's is the id that it was given
    :ivar max_tries: Airflow's count of allowed tries, which grows with every Clear by a user and with nothing else
    :ivar deadline: epoch seconds at which waiting ends; the work's, not a try's
    :ivar generation_id: None between the intent and the API's answer
    :ivar submitted_at: epoch seconds
    :ivar result: where the finished reply lies
    """

    fingerprint: str
    max_tries: int
    deadline: float
    generation_id: str | None = None
    submitted_at: float | None = None
    result: Reference | None = None


_BATCH = "batch"


class RecordStore:
    """A task's record; read once, however often it is asked for. Without a state store nothing is remembered."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store = context.get("task_state_store")
        self._record: GenerationRecord | None = None
        self._loaded = False
        self.max_tries = int(getattr(context["ti"], "max_tries", 0) or 0)

    def load(self) -> GenerationRecord | None:
        """Return what an earlier try left, None where there is nothing that can be read."""
        if not self._loaded:
            self._record, self._loaded = self._read(), True
        return self._record

    def save(self, record: GenerationRecord) -> None:
        """
        Write the record, unless it is the one that is there.

        Repeated for some seconds, because what it holds is paid for: Airflow's API server may be restarting.
        """
        if record != self.load():
            self._write(record)

    def restore(self, record: GenerationRecord | None) -> None:
        """Put back what was noted before, where what was noted since did not come to pass."""
        if record is not None:
            self.save(record)
        elif self._store is not None:
            persistently(self._store.delete, STORE_KEY)
            self._record = None

    def occasion(self, record: GenerationRecord) -> Occasion:
        """Return why this try takes the record up."""
        return Occasion.RETRY if record.max_tries == self.max_tries else Occasion.CLEAR

    def renewed(self, record: GenerationRecord, *, timeout: float, now: float) -> GenerationRecord:
        """Return the record as this try has it: a user's Clear begins a new deadline, a retry does not."""
        if self.occasion(record) is Occasion.RETRY:
            return record
        return replace(record, max_tries=self.max_tries, deadline=now + timeout)

    def batch_tries(self) -> int | None:
        """Return ``max_tries`` when this task last began its batch, None where it has not."""
        record = self.load()
        return record.max_tries if record else None

    def note_batch(self) -> None:
        """Note that this try has begun its batch; what became of the files, the manifest says."""
        self.save(GenerationRecord(_BATCH, self.max_tries, 0.0))

    def _read(self) -> GenerationRecord | None:
        stored = self._store.get(STORE_KEY) if self._store is not None else None
        if not isinstance(stored, str):
            return None
        try:
            return GenerationRecord(**json.loads(stored))
        except (ValueError, TypeError):
            log.warning("What an earlier try of this task noted cannot be read; it was another version's.")
            return None

    def _write(self, record: GenerationRecord) -> None:
        if self._store is not None:
            persistently(self._store.set, STORE_KEY, json.dumps(asdict(record)))
        self._record = record
