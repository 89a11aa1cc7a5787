"""How far a batch is, in a few hundred bytes: what other tasks see of it, and whether it is at work."""

import json
import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import UNFINISHED
from airflow_provider_laplas.manifest.journal import meta_folder
from airflow_provider_laplas.manifest.lease import Lease, check_lease
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.manifest.state import BatchState, Tally
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.storage import Storage, object_storage

log = logging.getLogger(__name__)

ABANDONED_AFTER = 300.0
"""Seconds after which a batch whose summary nobody wrote may be taken over by another task."""

WRITE_EVERY = ABANDONED_AFTER / 10
"""Seconds between two writes of the summary."""


def summary_uri(manifest: str) -> str:
    """Return where the summary lies."""
    return f"{meta_folder(manifest)}/summary.json"


def read_summary(manifest: str, storage: Storage | None = None) -> dict[str, Any] | None:
    """
    Return the summary of a batch, None if there is none. Blocking.

    Its keys: ``task``, ``lease`` (its number), ``active`` (whether the task is at work), ``changed_at`` (epoch seconds),
    ``files``, ``counts`` (files by state), ``per_hour`` (files done an hour, None if that is not known),
    ``audio_seconds``.

    :param manifest: the manifest's URI
    :param storage: where it lies. Default: Airflow's object storage
    """
    try:
        content: dict[str, Any] = json.loads((storage or object_storage()).read_text(summary_uri(manifest)))
    except (FileNotFoundError, ValueError):
        return None
    return content


class SummaryWriter:
    """Writes a batch's summary every :data:`WRITE_EVERY` seconds."""

    def __init__(self, state: BatchState) -> None:
        self._state = state
        self._began, self._unfinished = time.monotonic(), state.tally.unfinished
        self._written_at = -WRITE_EVERY

    def write_if_due(self) -> None:
        """Write it if that is due. Blocking."""
        if self._is_due:
            write_summary(self._state.lease, self._state.storage, self._state.tally, self._per_hour)
            self._written_at = time.monotonic()

    async def try_to_write(self) -> Exception | None:
        """Do what :meth:`write_if_due` does, on the event loop, and return what went wrong, if anything did."""
        if not self._is_due:
            return None
        try:
            await self._state.storage.off_loop(self._state.uri, self.write_if_due)
        except Exception as error:  # noqa: BLE001
            return error
        return None

    @property
    def _is_due(self) -> bool:
        return time.monotonic() - self._written_at >= WRITE_EVERY

    @property
    def _per_hour(self) -> float | None:
        done, took = self._unfinished - self._state.tally.unfinished, time.monotonic() - self._began
        return 3600 * done / took if took > 0 and done else None


def write_summary(
    lease: Lease, storage: Storage, tally: Tally, per_hour: float | None = None, *, active: bool = True
) -> None:
    """Write the summary. Blocking."""
    _write({**_facts(lease, active=active), **_counts(tally, per_hour)}, lease, storage)


def _facts(lease: Lease, *, active: bool) -> dict[str, Any]:
    return {"task": lease.task, "lease": lease.number, "active": active, "changed_at": time.time()}


def _counts(tally: Tally, per_hour: float | None) -> dict[str, Any]:
    return {
        "files": tally.total,
        "counts": tally.counts(),
        "per_hour": per_hour,
        "audio_seconds": tally.audio_seconds,
    }


def _write(content: Mapping[str, Any], lease: Lease, storage: Storage) -> None:
    storage.write_text(summary_uri(lease.manifest), json.dumps(content))


def keep(lease: Lease, storage: Storage) -> None:
    """Say that the holder of a lease is at work, if nobody has said so for some seconds. Blocking."""
    summary = read_summary(lease.manifest, storage) or _counts(Tally(lease.number), None)
    if summary.get("lease") != lease.number or time.time() - summary["changed_at"] >= WRITE_EVERY:
        _write({**summary, **_facts(lease, active=True)}, lease, storage)


def leave(lease: Lease, storage: Storage, tally: Tally | None = None) -> None:
    """
    Say that nobody is at work any more, so that another task may take the batch over at once. Blocking.

    Whoever has lost the lease says nothing.

    :param tally: counts of the files, of a task that has just written its manifest. Default: those of the last task
    """
    try:
        if tally is None:
            check_lease(lease, storage)
            summary = read_summary(lease.manifest, storage) or _counts(Tally(lease.number), None)
            _write({**summary, **_facts(lease, active=False)}, lease, storage)
        else:
            write_summary(lease, storage, tally, active=False)
    except LaplasArgumentError:
        log.debug("The lease is lost: the summary is another task's.")
    except Exception as error:  # noqa: BLE001
        log.warning(
            "The summary cannot be written: other tasks may use the folder in %s: %s",
            timedelta(seconds=ABANDONED_AFTER),
            redact(repr(error)),
        )


def check_free(lease: Lease | None, owner: Mapping[str, Any], storage: Storage) -> None:
    """
    Refuse to use a folder in which another task is at work. Blocking.

    :param lease: the last one that was taken
    :param owner: the ids of the task that would use it
    :raises LaplasArgumentError: naming ``results_path``
    """
    if lease is None or lease.owner == owner:
        return
    summary = read_summary(lease.manifest, storage) or {}
    active, since = True, lease.taken_at
    if summary.get("lease", 0) >= lease.number:
        active, since = summary["active"], summary["changed_at"]
    if active and time.time() - since < ABANDONED_AFTER:
        raise _at_work(lease.task)


def check_version_1(earlier: Manifest, owner: Mapping[str, Any]) -> None:
    """
    Do what :func:`check_free` does, where version 0.1 may be at work.

    :raises LaplasArgumentError: naming ``results_path``
    """
    if earlier.folded or earlier.began_lease or earlier.owner == owner:
        return
    busy = any(record.state in UNFINISHED for record in earlier.entries)
    if busy and time.time() - earlier.written_at < ABANDONED_AFTER:
        raise _at_work(earlier.task)


def _at_work(task: str) -> LaplasArgumentError:
    return LaplasArgumentError(
        f"`results_path`: task {task} is at work in this folder. Wait for it; if it was killed, clear it, or wait "
        f"until it has written nothing for {ABANDONED_AFTER:g} s. Or use a separate folder for each task (max_active_runs=1 keeps "
        "runs of one DAG apart).",
        argument="results_path",
    )
