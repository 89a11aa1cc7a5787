"""The two halves of a batch on an event loop: submitting files (a worker's), and waiting for all of them (the trigger's)."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.api.responses import RETENTION, Generation
from airflow_provider_laplas.audio import open_source
from airflow_provider_laplas.client.rate_limited import RateLimitedClient
from airflow_provider_laplas.durable import fingerprint
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
    LaplasTooLargeError,
    LaplasValidationError,
)
from airflow_provider_laplas.manifest import ABANDONED_AFTER, UNFINISHED, Entry, FileState, Manifest
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.results import load_reply
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.transcript import Transcript

log = logging.getLogger(__name__)

GROUP = 100
"""Files whose intents are written, and that are then submitted, together."""

CONCURRENT_SUBMISSIONS = 16
SAVE_EVERY = 3.0
"""Seconds between two writings of the manifest while files finish."""

SIGN_OF_LIFE = ABANDONED_AFTER / 5
"""Seconds after which the manifest is written though nothing finished: it shows that somebody is at work."""

LONGEST_STORE_PAUSE = 30.0
"""The longest pause, in seconds, between two tries to store a finished transcript."""

LEAST_TO_COUNT = 5.0
"""Seconds from which on a pace is told."""

SAY_EVERY = 30.0
"""Seconds between two lines of progress in the log."""


async def off_loop(function: Callable[..., Any], *args: Any) -> Any:
    """Run something that blocks in a thread, from which Airflow's own look-ups still find back to the loop."""
    return await sync_to_async(function, thread_sensitive=False)(*args)


@dataclass(slots=True)
class Progress:
    """
    Says how far a batch is, at sensible intervals: what is done and under way, how fast, and how long the rest takes.

    :param manifest: the batch; what is done in it by now does not count towards the pace
    """

    manifest: Manifest
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    _began: float = field(init=False, repr=False)
    _said: float = field(init=False, repr=False)
    _done_before: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._began = self._said = self.clock()
        self._done_before = self._done()

    def say(self, *, now: bool = False) -> None:
        """Log a line if it is time to."""
        clock = self.clock()
        # Before anything is counted: it is asked whenever a file finishes, and there may be thousands.
        if not now and clock - self._said < SAY_EVERY:
            return
        self._said = clock
        total, done = len(self.manifest.entries), self._done()
        under_way = sum(1 for _ in self.manifest.having(FileState.SUBMITTED))
        # A pace of a second or two says nothing.
        took = clock - self._began
        pace = (done - self._done_before) / took if took >= LEAST_TO_COUNT else 0.0
        how_fast = f", {3600 * pace:.0f} an hour" if pace else ""
        left = (
            f", about {timedelta(seconds=round((total - done) / pace))} left" if pace and done < total else ""
        )
        log.info("%d of %d files done, %d under way%s%s.", done, total, under_way, how_fast, left)

    def _done(self) -> int:
        return sum(entry.state not in UNFINISHED for entry in self.manifest.entries)


@dataclass(frozen=True, slots=True)
class Request:
    """
    What all files of a batch are submitted with.

    :ivar timeout: seconds for each generation, from its submission
    :ivar resubmit: whether a submission that was not answered is repeated, once
    """

    model: str
    options: Mapping[str, Any]
    timeout: float
    resubmit: bool


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

    A file that the API refuses is failed; a refused key, missing credits and an API that cannot be reached end it for
    all, after what was submitted is noted.

    :param sources: the audio by the entry's output: entries hold what may be shown only
    :param stopped: asked after each group; true where nothing more is to be submitted
    """
    # What is cut off without an id is ambiguous, sent or not, so no more than a group is under way at a time.
    limit = asyncio.Semaphore(CONCURRENT_SUBMISSIONS)
    progress = Progress(manifest)
    while not stopped() and (
        group := list(islice(manifest.having(FileState.PENDING), min(max(room, 0), GROUP)))
    ):
        for entry in group:
            entry.move(FileState.INTENT)
        await off_loop(manifest.save)
        tasks = [
            asyncio.create_task(_submit(client, entry, sources.get(entry.output), request, limit))
            for entry in group
        ]
        await _note_ids(manifest, tasks)
        progress.say()
        if errors := [error for task in tasks if (error := task.exception())]:
            raise errors[0]
        # What may have been accepted takes its room as well.
        room -= sum(entry.state in {FileState.SUBMITTED, FileState.AMBIGUOUS} for entry in group)


async def _note_ids(manifest: Manifest, tasks: Sequence["asyncio.Task[None]"]) -> None:
    """
    Wait for a group's submissions, noting meanwhile the ids that are known: large uploads take minutes.

    Where they cannot be noted, the submissions under way are waited for all the same: they are billed.
    """
    left, failure = set(tasks), None
    try:
        while left:
            _, left = await asyncio.wait(left, timeout=SAVE_EVERY)
            failure = await _try_to_save(manifest)
    except asyncio.CancelledError:
        # A time-out: what is known by now is noted, and what is still under way stays an intent.
        failure = await _try_to_save(manifest)
        raise
    finally:
        if failure is not None:
            ids = {entry.output: entry.generation_id for entry in manifest.having(FileState.SUBMITTED)}
            log.error("The manifest cannot be written. These generations are submitted, and billed: %s", ids)
    if failure is not None:
        raise failure


async def _try_to_save(manifest: Manifest) -> Exception | None:
    try:
        await off_loop(manifest.save)
    except Exception as error:  # noqa: BLE001
        return error
    return None


async def _submit(
    client: RateLimitedClient, entry: Entry, source: str | None, request: Request, limit: asyncio.Semaphore
) -> None:
    async with limit:
        try:
            audio = await _open(entry, source)
            # It may have been changed since the files were listed.
            entry.fingerprint = fingerprint(entry.fingerprint, audio)
            generation_id = await _submit_once_or_twice(client, audio, request)
        except LaplasAmbiguousSubmitError as error:
            _end(entry, FileState.AMBIGUOUS, error)
        except (LaplasArgumentError, LaplasTooLargeError, LaplasValidationError) as error:
            _end(entry, FileState.FAILED, error)
        except LaplasError:
            entry.move(FileState.PENDING)
            raise
        else:
            METRICS.submitted()
            now = time.time()
            entry.move(
                FileState.SUBMITTED,
                generation_id=generation_id,
                submitted_at=now,
                deadline=now + request.timeout,
            )


async def _open(entry: Entry, source: str | None) -> Any:
    if source is None:
        raise LaplasArgumentError(
            "`audio`: the file is no longer where it was when the task began.", argument="audio"
        )
    try:
        return await off_loop(open_source, source, object_storage())
    except BaseException:
        # Whatever it was, nothing was sent: not to be taken for a submission that was cut off.
        entry.move(FileState.PENDING)
        raise


async def _submit_once_or_twice(client: RateLimitedClient, audio: Any, request: Request) -> str:
    try:
        return await client.submit(audio, model=request.model, options=request.options)
    except LaplasAmbiguousSubmitError as error:
        if not request.resubmit:
            raise
        log.warning("Submitting again, as on_ambiguous says, and perhaps paying twice: %s", error)
    return await client.submit(audio, model=request.model, options=request.options)


async def wait_for_submitted(
    client: RateLimitedClient,
    manifest: Manifest,
    *,
    poll_interval: float,
    resume_at: int,
) -> None:
    """
    Wait for the submitted files and write each transcript as it finishes.

    :param resume_at: how many may be left when files are still pending, for the worker to submit the next ones
    """
    finished: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
    await off_loop(take_stored, manifest)
    progress = Progress(manifest)
    submitted = list(manifest.having(FileState.SUBMITTED))
    tasks = [
        asyncio.create_task(_finish(entry, client, manifest.uri_of(entry), poll_interval))
        for entry in submitted
    ]
    for task in tasks:
        task.add_done_callback(finished.put_nowait)
    more = any(manifest.having(FileState.PENDING))
    left, saved_at, unsaved = len(tasks), time.monotonic(), False
    try:
        while left > (resume_at if more else 0):
            ended = await _take_finished(finished, SAVE_EVERY if unsaved else SIGN_OF_LIFE)
            left -= ended
            unsaved = unsaved or ended > 0
            progress.say(now=left == 0)
            if time.monotonic() - saved_at >= SAVE_EVERY:
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
    """Wait some seconds until a file is finished, and return how many are."""
    ends = []
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            ends.append(await finished.get())
    while not finished.empty():
        ends.append(finished.get_nowait())
    # Airflow's own time-out, which can come up in any of them, is no Exception, and ends them all.
    for task in ends:
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Exception):
            raise error
    return len(ends)


async def _save_progress(manifest: Manifest) -> None:
    """
    Write how far the wait has come; a storage that is away does not end it, as what it missed is found again.

    :raises LaplasArgumentError: where somebody else has claimed the batch
    """
    failure = await _try_to_save(manifest)
    if isinstance(failure, LaplasArgumentError):
        raise failure
    if failure is not None:
        log.warning("The manifest cannot be written now; the wait goes on: %s", redact(repr(failure)))


def take_stored(manifest: Manifest) -> None:
    """
    Count as completed what lies in the folder though the manifest missed it. Blocking.

    Whoever wrote it was killed before noting it, and by now the API may have forgotten it. An output that was there
    before the submission is of an earlier one, with other audio or other options.
    """
    submitted = list(manifest.having(FileState.SUBMITTED))
    stored = set(object_storage().list_files(manifest.folder, ".json")) if submitted else set()
    for entry in submitted:
        uri = manifest.uri_of(entry)
        if entry.output not in stored:
            continue
        written_at = object_storage().modified_at(uri)
        if written_at != entry.replaces:
            duration = _duration(load_reply(uri))
            entry.move(FileState.COMPLETED, audio_seconds=duration, completed_at=written_at, error=None)


async def _finish(entry: Entry, client: RateLimitedClient, uri: str, poll_interval: float) -> None:
    wait = Poller(
        str(entry.generation_id),
        entry.deadline or 0.0,
        poll_interval,
        entry.submitted_at,
        # Thousands of files would fill the log; how far they are, the batch says.
        log_level=logging.DEBUG,
    )
    try:
        generation = await client.wait_for(wait)
    except LaplasGenerationFailedError as error:
        _end(entry, FileState.FAILED, error)
    except LaplasGenerationGoneError as error:
        _end(entry, FileState.GONE, error)
    except LaplasGenerationTimeoutError as error:
        _end(entry, FileState.TIMED_OUT, error)
    else:
        # Shielded: what is paid for is stored even if the trigger is moved right now.
        await asyncio.shield(_store(entry, generation, uri))


async def _store(entry: Entry, generation: Generation, uri: str) -> None:
    from tenacity import (  # noqa: PLC0415
        AsyncRetrying,
        before_sleep_log,
        stop_after_attempt,
        stop_after_delay,
        wait_exponential_jitter,
    )

    # As long as the API would still have it: it is in nobody's hands but ours.
    left = (entry.submitted_at or time.time()) + RETENTION - time.time()
    retrying = AsyncRetrying(
        stop=stop_after_attempt(5) & stop_after_delay(left),
        wait=wait_exponential_jitter(max=LONGEST_STORE_PAUSE),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )
    write: Callable[..., Awaitable[float | None]] = sync_to_async(_write, thread_sensitive=False)
    duration: float | None = await retrying(write, generation, uri)
    METRICS.finished(duration)
    entry.move(FileState.COMPLETED, audio_seconds=duration, completed_at=time.time(), error=None)


def _write(generation: Generation, uri: str) -> float | None:
    object_storage().write_text(uri, json.dumps(generation.reply, allow_nan=False))
    return _duration(generation.reply)


def _duration(reply: Mapping[str, Any]) -> float | None:
    try:
        return Transcript.from_reply(reply).duration
    except LaplasError:
        # A reply without a transcript: the worker says so when it judges it.
        return None


def _end(entry: Entry, state: FileState, error: LaplasError) -> None:
    METRICS.failed(error)
    entry.move(state, error=error.message, completed_at=time.time())
    log.warning("%s: %s", entry.source, error)
