"""The worker's half of a batch: submit files concurrently, and note their intents and ids."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.api.resume import Action, Earlier, Occasion, ResumePolicy, resume
from airflow_provider_laplas.audio.fingerprint import fingerprint
from airflow_provider_laplas.audio.sources import is_web_url, open_listed
from airflow_provider_laplas.batch import timing
from airflow_provider_laplas.batch.notes import Notes, end
from airflow_provider_laplas.batch.preparing import PreparedAudio, not_prepared
from airflow_provider_laplas.batch.progress import Progress
from airflow_provider_laplas.client.rate_limited import RateLimitedClient
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasError,
    LaplasStorageError,
    LaplasTooLargeError,
    LaplasValidationError,
)
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.manifest.summary import WRITE_EVERY, SummaryWriter
from airflow_provider_laplas.media.preparation import Preparation
from airflow_provider_laplas.persistence import apersistently

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """
    The parts of the request that all files of a batch share.

    :ivar timeout: seconds for each generation, from its submission
    :ivar policy: whether a submission that got no answer is repeated, once
    :ivar preparation: what is done with a recording before; None if each is submitted as it is
    """

    model: str
    options: Mapping[str, Any] = field(repr=False)
    timeout: float
    policy: ResumePolicy
    preparation: Preparation | None = None


def submit_pending(
    client: Callable[[], RateLimitedClient],
    state: BatchState,
    audio_of: Callable[[FileRecord], str | None],
    request: Request,
    *,
    room: int,
    stopped: Callable[[], object],
) -> None:
    """
    Submit pending files until ``room`` are submitted or none is left. Blocking.

    A file that the API refuses is failed; a refused key, missing credits and an API that cannot be reached end it for
    all, after what was submitted is noted. If the task is ended from outside, nothing more is sent, and what is under way
    is given some seconds to be answered.

    :param client: makes the client, on the event loop
    :param audio_of: a file's audio: records hold only what may be shown
    :param stopped: asked before each file; true if nothing more is to be submitted
    """
    submissions = Submissions(state, audio_of, request, room=room, stopped=stopped)
    with asyncio.Runner() as runner:
        try:
            runner.run(submissions.run(client))
        except BaseException:
            # A time-out or a signal of Airflow comes up here while submissions are under way.
            runner.run(submissions.wind_down())
            # Answers that came while the loop came to its end: none comes from here on.
            submissions.note_last()
            raise


class Submissions:
    """Submit files, several at a time, each after its intent is noted."""

    def __init__(
        self,
        state: BatchState,
        audio_of: Callable[[FileRecord], str | None],
        request: Request,
        *,
        room: int,
        stopped: Callable[[], object],
    ) -> None:
        self._state = state
        self._notes = Notes(state, timing.PATIENCE)
        self._audio_of = audio_of
        self._request = request
        self._room = room
        self._stopped = stopped
        self._next: deque[FileRecord] = deque()
        self._reading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._progress = Progress(state.tally)
        self._over = False
        self._unreadable = 0
        self._prepared = PreparedAudio(state, request.preparation) if request.preparation else None
        # Files of which it is not known yet whether they are submitted in parts.
        self._undecided: dict[str, asyncio.Future[None]] = {}
        self._noting: asyncio.Task[Exception | None] | None = None

    async def run(self, client: Callable[[], RateLimitedClient]) -> None:
        """
        Submit.

        :raises LaplasError: what ends it for all files
        """
        self._client = client()
        count = min(self._room, timing.CONCURRENT_SUBMISSIONS)
        self._tasks = [asyncio.create_task(self._submit_files()) for _ in range(count)]
        at_work = asyncio.create_task(self._show_that_it_works())
        await asyncio.wait(self._tasks)
        at_work.cancel()
        self._close()
        # What was taken and not submitted is not lost: whoever goes on after a hand-over finds it.
        for record in self._next:
            self._state.add(record)
        errors = [error for task in self._tasks if (error := task.exception())]
        await self._note_rest()
        if errors:
            raise errors[0]

    async def wind_down(self) -> None:
        """Send nothing more, wait some seconds for the answers to what was sent, and note them."""
        self._over = True
        if left := [task for task in self._tasks if not task.done()]:
            log.warning("The task is ended: nothing more is submitted.")
            await asyncio.wait(left, timeout=timing.GRACE)
        self._close()
        # Also where all were answered: their ids may not have been noted yet.
        await self._note_rest()

    async def _note_rest(self) -> None:
        while True:
            if failure := await self._notes.try_to_note():
                self._log_ids()
                raise failure
            # Answers may have come while it was written.
            if not self._state.changed:
                return

    def note_last(self) -> None:
        """Note what has come since the last note. Blocking; the event loop has ended."""
        try:
            self._state.note()
        except Exception:
            self._log_ids()
            raise

    def _log_ids(self) -> None:
        ids = {record.output: record.generation_id for record in self._state.having(FileState.SUBMITTED)}
        log.error("The manifest cannot be written. These generations were submitted and are billed: %s", ids)

    async def _show_that_it_works(self) -> None:
        """Write the summary now and then: a large upload takes minutes, after which others would take the folder."""
        summary = SummaryWriter(self._state)
        while True:
            await asyncio.sleep(WRITE_EVERY)
            await summary.try_to_write()

    async def _submit_files(self) -> None:
        try:
            while (record := await self._take()) is not None or await self._may_have_more():
                if record is not None:
                    await self._submit(record)
                    self._progress.say()
        except BaseException:
            self._over = True
            raise

    async def _take(self) -> FileRecord | None:
        async with self._reading:
            if self._over or self._room <= 0 or self._stopped():
                return None
            if not self._next:
                count = min(self._room, timing.CONCURRENT_SUBMISSIONS)
                self._next.extend(
                    await self._state.storage.off_loop(self._state.uri, self._state.next_pending, count)
                )
            if not self._next:
                return None
            self._room -= 1
            record = self._next.popleft()
            if self._prepared is not None and record.part is None:
                self._undecided[record.output] = asyncio.get_running_loop().create_future()
            return record

    def _decided(self, record: FileRecord) -> None:
        if (decided := self._undecided.pop(record.output, None)) is not None:
            decided.set_result(None)

    async def _may_have_more(self) -> bool:
        """Wait for a recording that may be submitted in parts, and return whether there was one."""
        if not self._undecided or self._over or self._room <= 0 or self._stopped():
            return False
        await asyncio.wait([*self._undecided.values()], return_when=asyncio.FIRST_COMPLETED)
        return True

    async def _submit(self, record: FileRecord) -> None:
        state = self._state
        try:
            await self._open_and_submit(record)
        except LaplasAmbiguousSubmitError as error:
            end(state, record, FileState.AMBIGUOUS, error)
        except _StoppedError as ended:
            state.add(record)
            if ended.__cause__ is not None:
                raise ended.__cause__ from None
        except (LaplasArgumentError, LaplasTooLargeError, LaplasValidationError) as error:
            end(state, record, FileState.FAILED, error)
        except LaplasStorageError as error:
            # One file's trouble, such as an archived object, is that file's; if no file can be read, it is the storage's.
            self._unreadable += 1
            if self._unreadable >= timing.CONCURRENT_SUBMISSIONS:
                state.transition(record, FileState.PENDING)
                raise
            end(state, record, FileState.FAILED, error)
        except LaplasError:
            state.transition(record, FileState.PENDING)
            raise
        finally:
            self._decided(record)
        if record.state not in {FileState.SUBMITTED, FileState.AMBIGUOUS}:
            # What may have been accepted takes its room.
            self._room += 1

    async def _open_and_submit(self, record: FileRecord) -> None:
        audio = await self._open(record)
        # The file may have changed since it was listed.
        changed = fingerprint(record.fingerprint, audio)
        if self._prepared is None:
            if record.part is not None:
                raise not_prepared("media")
            self._accepted(record, await self._submit_once_or_twice(record, changed, audio))
            return
        async with AsyncExitStack() as stack:
            ready = await self._prepared.enter(stack, record, changed, audio)
            self._decided(record)
            # Else it is submitted in parts, which are pending now.
            if ready is not None:
                self._accepted(record, await self._submit_once_or_twice(record, changed, ready))

    def _accepted(self, record: FileRecord, generation_id: str) -> None:
        METRICS.submitted()
        self._unreadable = 0
        now = time.time()
        self._state.transition(
            record,
            FileState.SUBMITTED,
            generation_id=generation_id,
            submitted_at=now,
            deadline=now + self._request.timeout,
        )
        # Not waited for: the next file's intent is noted with it.
        self._noting = asyncio.create_task(self._notes.try_to_note())

    def _close(self) -> None:
        if self._prepared is not None:
            self._prepared.close()

    async def _open(self, record: FileRecord) -> str | Upload:
        source = self._audio_of(record)
        if source is None:
            raise LaplasArgumentError(
                "`audio`: the file is no longer where it was when the task started.", argument="audio"
            )
        if is_web_url(source):
            return source
        storage = self._state.storage
        return await apersistently(storage.off_loop, source, open_listed, source, record.fingerprint, storage)

    async def _submit_once_or_twice(self, record: FileRecord, changed: str, audio: str | Upload) -> str:
        async def intend() -> None:
            if self._over or self._stopped():
                raise _StoppedError
            if record.state is not FileState.INTENT:
                self._state.transition(record, FileState.INTENT, fingerprint=changed)
            try:
                await self._notes.noted(check=True)
            except Exception as error:
                raise _StoppedError from error

        model, options = self._request.model, self._request.options
        try:
            return await self._client.submit(audio, model=model, options=options, before=intend)
        except _StoppedError:
            # Nothing was sent.
            if record.state is FileState.INTENT:
                self._state.transition(record, FileState.PENDING)
            raise
        except LaplasAmbiguousSubmitError as error:
            if resume(Earlier.UNANSWERED, Occasion.RETRY, self._request.policy) is Action.FAIL:
                raise
            log.warning("Submitting again, as on_ambiguous says, and perhaps paying twice: %s", error)
            try:
                return await self._client.submit(audio, model=model, options=options, before=intend)
            except _StoppedError:
                raise error from None


class _StoppedError(Exception):
    """Nothing more is submitted; the cause, if there is one, is to be raised."""
