"""The trigger's half of a batch: wait for the submitted files and store each as it finishes. On an event loop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.api.responses import RETENTION, Generation
from airflow_provider_laplas.batch import timing
from airflow_provider_laplas.batch.notes import Notes, end
from airflow_provider_laplas.batch.progress import Progress
from airflow_provider_laplas.client.rate_limited import RateLimitedClient
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
    LaplasStorageError,
)
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.manifest.summary import SummaryWriter
from airflow_provider_laplas.persistence import apersistently
from airflow_provider_laplas.redaction import redact, redacted
from airflow_provider_laplas.results.keeping import UNWRITTEN_KEY, TaskKey, load_reply, set_aside, write_reply
from airflow_provider_laplas.results.output import ONLY_JSON, Output
from airflow_provider_laplas.results.publishing import publish
from airflow_provider_laplas.storage import Storage, off_loop
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.quality import check

log = logging.getLogger(__name__)


async def wait_for_submitted(
    client: RateLimitedClient,
    state: BatchState,
    *,
    poll_interval: float,
    resume_at: int,
    output: Output = ONLY_JSON,
) -> None:
    """
    Wait for the submitted files and write each transcript as it finishes.

    :param resume_at: how many may be left when files are still pending, for the worker to submit the next ones
    :param output: the formats that are written beside it, and the checks; what they find is left to the worker to report
    :raises LaplasArgumentError: if somebody else has taken the lease
    """
    finished: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
    notes, progress, summary = Notes(state), Progress(state.tally), SummaryWriter(state)
    submitted = list(state.having(FileState.SUBMITTED))
    replies = _Replies(state, output)
    tasks = [
        asyncio.create_task(_finish(record, client, state, poll_interval, replies.store))
        for record in submitted
    ]
    for task in tasks:
        task.add_done_callback(finished.put_nowait)
    more = state.tally.states[FileState.PENDING] > 0
    left, noted_at, unnoted = len(tasks), time.monotonic(), False
    try:
        while left > (resume_at if more else 0):
            ended = await _take_finished(finished, timing.SAVE_EVERY if unnoted else timing.HEARTBEAT)
            left -= ended
            unnoted = unnoted or ended > 0
            progress.say(now=left == 0)
            if time.monotonic() - noted_at >= timing.SAVE_EVERY:
                await _note_progress(notes, summary)
                noted_at, unnoted = time.monotonic(), False
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await replies.end()
        await _note_progress(notes, summary)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


async def _take_finished(finished: "asyncio.Queue[asyncio.Task[None]]", patience: float) -> int:
    """Wait up to ``patience`` seconds for a file to finish, and return how many did."""
    ends = []
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            ends.append(await finished.get())
    while not finished.empty():
        ends.append(finished.get_nowait())
    # Airflow's own timeout, which is not an Exception, can be raised in any of the tasks, and ends them all.
    for task in ends:
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Exception):
            raise error
    return len(ends)


async def _note_progress(notes: Notes, summary: SummaryWriter) -> None:
    """
    Note how far the wait has come. A storage that is away does not end it, as it is noted later.

    :raises LaplasArgumentError: if somebody else has taken the lease
    """
    failure = await notes.try_to_note(check=True)
    if failure is None:
        failure = await summary.try_to_write()
    if isinstance(failure, LaplasArgumentError):
        raise failure
    if failure is not None:
        # Of an outage, the storage has said so once.
        level = logging.DEBUG if isinstance(failure, LaplasStorageError) else logging.WARNING
        log.log(level, "The journal cannot be written now, but the wait goes on: %s", redact(repr(failure)))


async def _finish(
    record: FileRecord,
    client: RateLimitedClient,
    state: BatchState,
    poll_interval: float,
    store: Callable[[FileRecord, Generation], Awaitable[None]],
) -> None:
    poller = Poller(
        str(record.generation_id),
        record.deadline or 0.0,
        poll_interval,
        record.submitted_at,
        # Thousands of files would flood the log; the batch logs its own progress.
        log_level=logging.DEBUG,
    )
    try:
        generation = await client.wait_for(poller)
    except LaplasGenerationFailedError as error:
        end(state, record, FileState.FAILED, error)
    except LaplasGenerationGoneError as error:
        if not await _adopt(record, state):
            end(state, record, FileState.GONE, error)
    except LaplasGenerationTimeoutError as error:
        end(state, record, FileState.TIMED_OUT, error)
    else:
        await store(record, generation)


async def _adopt(record: FileRecord, state: BatchState) -> bool:
    """Count a file as completed whose transcript another process has stored, and was killed before it noted it."""

    def adopt() -> Callable[[], None] | None:
        try:
            info = state.storage.info(state.uri_of(record))
        except FileNotFoundError:
            return None
        if info.modified == record.replaces:
            return None
        seconds = seconds_of(state.uri_of(record), state.storage)
        return lambda: state.transition(
            record, FileState.COMPLETED, audio_seconds=seconds, completed_at=info.modified, error=None
        )

    found = await state.storage.off_loop(state.uri, adopt)
    if found is not None:
        found()
    return found is not None


class _Replies:
    """Stores each reply with its formats."""

    def __init__(self, state: BatchState, output: Output) -> None:
        self._state = state
        self._output = output
        self._storing: set[asyncio.Task[None]] = set()
        self._unwritten: dict[str, Mapping[str, Any]] = {}

    async def store(self, record: FileRecord, generation: Generation) -> None:
        """Store one, also if the caller is cancelled meanwhile: what is paid for is stored even if the trigger is moved."""
        task = asyncio.create_task(self._store(record, generation))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        await asyncio.shield(task)

    async def end(self) -> None:
        """Wait some seconds for those that are being stored, which would else be polled again, and see to the failed ones."""
        if self._storing:
            await asyncio.wait(self._storing, timeout=timing.GRACE)
        if not self._unwritten:
            return
        log.error(
            "The API does not keep these %d transcripts any more, and they cannot be written to %s. They are kept as the "
            "XCom %r of this task, which writes them when it goes on. Make the folder writable.",
            len(self._unwritten),
            redacted(self._state.folder),
            UNWRITTEN_KEY,
        )
        await off_loop(set_aside, self._unwritten, TaskKey(**self._state.lease.owner))

    async def _store(self, record: FileRecord, generation: Generation) -> None:
        state, uri = self._state, self._state.uri_of(record)

        again = False

        def store() -> dict[str, Any]:
            nonlocal again
            if again:
                # Meanwhile others may have transcribed newer audio, whose reply must not be replaced.
                state.check()
            again = True
            write_reply(uri, generation.reply, state.storage)
            try:
                transcript = Transcript.from_reply(generation.reply)
            except LaplasError:
                # A reply without a transcript: the worker reports it.
                return {"audio_seconds": None}
            # Of a part nothing else is made: that is done of the whole.
            output = self._output if record.part_of is None else ONLY_JSON
            return {
                "audio_seconds": transcript.duration,
                "formats": _write_formats(uri, transcript, output, state.storage),
            }

        # The API keeps it for so long, and nobody else has it.
        until = (record.submitted_at or time.time()) + RETENTION
        try:
            facts = await apersistently(state.storage.off_loop, uri, store, until=until)
        except LaplasArgumentError:
            # Whoever has the lease now stores it.
            raise
        except Exception:
            self._unwritten[uri] = generation.reply
            raise
        METRICS.finished(facts["audio_seconds"])
        state.transition(record, FileState.COMPLETED, completed_at=time.time(), error=None, **facts)


def _write_formats(uri: str, transcript: Transcript, output: Output, storage: Storage) -> list[str] | None:
    """Write a transcript's other formats, and return all; None where the worker has something to do or to report."""
    if output.quality and check(transcript, output.quality):
        return None
    try:
        return sorted(publish(uri, transcript, output.formats, output.captions, storage))
    except LaplasError:
        # The reply is stored, so nothing is lost.
        return None


def seconds_of(uri: str, storage: Storage) -> float | None:
    """Return the seconds of audio of a stored reply. Blocking."""
    return _duration(load_reply(uri, storage))


def _duration(reply: Mapping[str, Any]) -> float | None:
    try:
        return Transcript.from_reply(reply).duration
    except LaplasError:
        # A reply without a transcript: the worker reports it when it checks the quality.
        return None
