"""The worker's half of a batch: submit files concurrently and record their ids. On an event loop."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.api.resume import Action, Earlier, Occasion, ResumePolicy, resume
from airflow_provider_laplas.audio.fingerprint import fingerprint
from airflow_provider_laplas.audio.sources import is_web_url, open_source
from airflow_provider_laplas.batch import timing
from airflow_provider_laplas.batch.notes import end, try_to_save
from airflow_provider_laplas.batch.progress import Progress
from airflow_provider_laplas.client.rate_limited import RateLimitedClient
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasError,
    LaplasTooLargeError,
    LaplasValidationError,
)
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.storage import Storage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """
    The parts of the request that all files of a batch share.

    :ivar timeout: seconds for each generation, from its submission
    :ivar policy: whether a submission that got no answer is repeated, once
    """

    model: str
    options: Mapping[str, Any] = field(repr=False)
    timeout: float
    policy: ResumePolicy


async def submit_pending(
    client: RateLimitedClient,
    manifest: Manifest,
    sources: Mapping[str, str],
    request: Request,
    *,
    room: int,
    stopped: Callable[[], object],
) -> None:
    """
    Submit pending files until ``room`` are submitted or none is left.

    A file that the API refuses is marked as failed. A refused key, missing credits or an unreachable API ends the
    submissions, after the ids received so far are saved.

    :param sources: the audio by the entry's output, because entries contain only redacted URLs
    :param stopped: called before each group; true if nothing more is to be submitted
    """
    # If the task is killed, a whole group without ids is ambiguous, so only one group is submitted at a time.
    limit = asyncio.Semaphore(timing.CONCURRENT_SUBMISSIONS)
    progress = Progress(manifest)
    while not stopped() and (
        group := list(islice(manifest.having(FileState.PENDING), min(max(room, 0), timing.GROUP)))
    ):
        for entry in group:
            entry.transition(FileState.INTENT)
        await manifest.storage.off_loop(manifest.uri, manifest.save)
        tasks = [
            asyncio.create_task(
                _submit(client, entry, sources.get(entry.output), request, manifest.storage, limit)
            )
            for entry in group
        ]
        await _note_ids(manifest, tasks)
        progress.say()
        if errors := [error for task in tasks if (error := task.exception())]:
            raise errors[0]
        # Ambiguous submissions may have been accepted, so they count as well.
        room -= sum(entry.state in {FileState.SUBMITTED, FileState.AMBIGUOUS} for entry in group)


async def _note_ids(manifest: Manifest, tasks: Sequence["asyncio.Task[None]"]) -> None:
    """
    Wait for a group's submissions, saving ids as they arrive, because large uploads take minutes.

    If saving fails, the submissions under way are still waited for, because they are billed.
    """
    left, failure = set(tasks), None
    try:
        while left:
            _, left = await asyncio.wait(left, timeout=timing.SAVE_EVERY)
            failure = await try_to_save(manifest)
    except asyncio.CancelledError:
        # A timeout: save the ids received so far. Submissions still under way stay in the state INTENT.
        failure = await try_to_save(manifest)
        raise
    finally:
        if failure is not None:
            ids = {entry.output: entry.generation_id for entry in manifest.having(FileState.SUBMITTED)}
            log.error(
                "The manifest cannot be written. These generations were submitted and are billed: %s", ids
            )
    if failure is not None:
        raise failure


async def _submit(
    client: RateLimitedClient,
    entry: FileRecord,
    source: str | None,
    request: Request,
    storage: Storage,
    limit: asyncio.Semaphore,
) -> None:
    async with limit:
        try:
            audio = await _open(entry, source, storage)
            # The file may have changed since it was listed.
            entry.fingerprint = fingerprint(entry.fingerprint, audio)
            generation_id = await _submit_once_or_twice(client, audio, request)
        except LaplasAmbiguousSubmitError as error:
            end(entry, FileState.AMBIGUOUS, error)
        except (LaplasArgumentError, LaplasTooLargeError, LaplasValidationError) as error:
            end(entry, FileState.FAILED, error)
        except LaplasError:
            entry.transition(FileState.PENDING)
            raise
        else:
            METRICS.submitted()
            now = time.time()
            entry.transition(
                FileState.SUBMITTED,
                generation_id=generation_id,
                submitted_at=now,
                deadline=now + request.timeout,
            )


async def _open(entry: FileRecord, source: str | None, storage: Storage) -> str | Upload:
    if source is None:
        raise LaplasArgumentError(
            "`audio`: the file is no longer where it was when the task started.", argument="audio"
        )
    try:
        if is_web_url(source):
            return source
        return await storage.off_loop(source, open_source, source, storage)
    except BaseException:
        # Nothing was sent, so this must not look like an interrupted submission.
        entry.transition(FileState.PENDING)
        raise


async def _submit_once_or_twice(client: RateLimitedClient, audio: Any, request: Request) -> str:
    try:
        return await client.submit(audio, model=request.model, options=request.options)
    except LaplasAmbiguousSubmitError as error:
        if resume(Earlier.UNANSWERED, Occasion.RETRY, request.policy) is Action.FAIL:
            raise
        log.warning("Submitting again, as on_ambiguous says, and perhaps paying twice: %s", error)
    return await client.submit(audio, model=request.model, options=request.options)
