"""The trigger's half of a batch: wait for the submitted files and store each as it finishes. On an event loop."""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.api.responses import RETENTION, Generation
from airflow_provider_laplas.batch import timing
from airflow_provider_laplas.batch.notes import end, try_to_save
from airflow_provider_laplas.batch.progress import Progress
from airflow_provider_laplas.client.rate_limited import RateLimitedClient
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
)
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.manifest.takeover import adopt_outputs
from airflow_provider_laplas.persistence import apersistently
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.results.keeping import load_reply, write_reply
from airflow_provider_laplas.storage import Storage
from airflow_provider_laplas.transcript.model import Transcript

log = logging.getLogger(__name__)


async def wait_for_submitted(
    client: RateLimitedClient,
    manifest: Manifest,
    *,
    poll_interval: float,
    resume_at: int,
) -> None:
    """
    Wait for the submitted files and write each transcript as it finishes.

    :param resume_at: return once this many are left, if there are pending files for the worker to submit
    """
    finished: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
    await manifest.storage.off_loop(manifest.uri, adopt_outputs, manifest, seconds_of)
    progress = Progress(manifest)
    submitted = list(manifest.having(FileState.SUBMITTED))
    tasks = [asyncio.create_task(_finish(entry, client, manifest, poll_interval)) for entry in submitted]
    for task in tasks:
        task.add_done_callback(finished.put_nowait)
    more = any(manifest.having(FileState.PENDING))
    left, saved_at, unsaved = len(tasks), time.monotonic(), False
    try:
        while left > (resume_at if more else 0):
            ended = await _take_finished(finished, timing.SAVE_EVERY if unsaved else timing.HEARTBEAT)
            left -= ended
            unsaved = unsaved or ended > 0
            progress.say(now=left == 0)
            if time.monotonic() - saved_at >= timing.SAVE_EVERY:
                await _save_progress(manifest)
                saved_at, unsaved = time.monotonic(), False
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await _save_progress(manifest)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


async def _take_finished(finished: "asyncio.Queue[asyncio.Task[None]]", patience: float) -> int:
    """Wait up to ``patience`` seconds for files to finish, and return how many did."""
    ends = []
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            ends.append(await finished.get())
    while not finished.empty():
        ends.append(finished.get_nowait())
    # Airflow's task timeout is not an Exception. It can be raised in any of the tasks, and has to end all of them.
    for task in ends:
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Exception):
            raise error
    return len(ends)


async def _save_progress(manifest: Manifest) -> None:
    """
    Write the manifest. A storage failure does not end the wait, because the outputs are found again later.

    :raises LaplasArgumentError: if another task or try has taken the lease
    """
    failure = await try_to_save(manifest)
    if isinstance(failure, LaplasArgumentError):
        raise failure
    if failure is not None:
        log.warning("The manifest cannot be written now; still waiting: %s", redact(repr(failure)))


async def _finish(
    entry: FileRecord, client: RateLimitedClient, manifest: Manifest, poll_interval: float
) -> None:
    wait = Poller(
        str(entry.generation_id),
        entry.deadline or 0.0,
        poll_interval,
        entry.submitted_at,
        # Thousands of files would flood the log; the batch logs its progress instead.
        log_level=logging.DEBUG,
    )
    try:
        generation = await client.wait_for(wait)
    except LaplasGenerationFailedError as error:
        end(entry, FileState.FAILED, error)
    except LaplasGenerationGoneError as error:
        end(entry, FileState.GONE, error)
    except LaplasGenerationTimeoutError as error:
        end(entry, FileState.TIMED_OUT, error)
    else:
        # Shielded, so that the paid reply is stored even if the trigger is being moved to another triggerer.
        await asyncio.shield(_store(entry, generation, manifest.uri_of(entry), manifest.storage))


async def _store(entry: FileRecord, generation: Generation, uri: str, storage: Storage) -> None:
    # Retry for as long as the API keeps the reply: until it is stored, only this process has a copy.
    until = (entry.submitted_at or time.time()) + RETENTION
    await apersistently(storage.off_loop, uri, write_reply, uri, generation.reply, storage, until=until)
    duration = _duration(generation.reply)
    METRICS.finished(duration)
    entry.transition(FileState.COMPLETED, audio_seconds=duration, completed_at=time.time(), error=None)


def seconds_of(uri: str) -> float | None:
    """Return the seconds of audio of a stored reply. Blocking."""
    return _duration(load_reply(uri))


def _duration(reply: Mapping[str, Any]) -> float | None:
    try:
        return Transcript.from_reply(reply).duration
    except LaplasError:
        # A reply without a transcript: the worker reports it when it checks the quality.
        return None
