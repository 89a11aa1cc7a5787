"""How what happens to the files of a batch is noted in its journal, from an event loop."""

import asyncio
import logging
import time

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.batch import timing
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.redaction import redacted

log = logging.getLogger(__name__)


class Notes:
    """
    Writes what changed, for many coroutines at once: whoever has to wait for a write shares the next one.

    After a failure nothing more is written for those who wait: each of them gets the error.

    :param patience: seconds for which a write waits for others that are about to note something
    """

    def __init__(self, state: BatchState, patience: float = 0.0) -> None:
        self._state = state
        self._patience = patience
        self._lock = asyncio.Lock()
        self._asked = self._written = self._checked = 0
        self._checked_at = 0.0
        self._failure: Exception | None = None

    async def noted(self, *, check: bool = False) -> None:
        """
        Return when all that has changed up to now is written.

        :param check: whether the lease must still be held after that
        :raises LaplasArgumentError: if somebody else has taken the lease
        :raises LaplasStorageError: if it cannot be written
        """
        self._asked += 1
        wanted = self._asked
        async with self._lock:
            if self._failure is not None:
                raise self._failure
            try:
                if self._written < wanted:
                    await self._write()
                if check and not self._is_checked(wanted):
                    await self._check()
            except Exception as error:
                self._failure = error
                raise

    def _is_checked(self, wanted: int) -> bool:
        return self._checked >= wanted and time.monotonic() - self._checked_at < timing.LEASE_VALID

    async def _write(self) -> None:
        # What others are about to note goes with it.
        await asyncio.sleep(self._patience)
        upto = self._asked
        lines = self._state.take_changes()
        await self._state.storage.off_loop(self._state.uri, self._state.write, lines)
        self._written = upto

    async def _check(self) -> None:
        upto = self._written
        await self._state.storage.off_loop(self._state.uri, self._state.check)
        # However long it took: whoever takes the lease after it finds the intents, which were written before it.
        self._checked, self._checked_at = upto, time.monotonic()

    async def try_to_note(self, *, check: bool = False) -> Exception | None:
        """Write what changed, and return what went wrong, if anything did; see :meth:`noted`."""
        self._failure = None
        try:
            await self.noted(check=check)
        except Exception as error:  # noqa: BLE001
            return error
        return None


def end(state: BatchState, record: FileRecord, result: FileState, error: LaplasError) -> None:
    """Note that a file has failed."""
    METRICS.failed(error)
    state.transition(record, result, error=error.message, completed_at=time.time())
    log.warning("%s: %s", redacted(record.source), error)
