"""A batch: what it consists of, and its two halves, submitting (a worker's) and waiting for all (the trigger's)."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async

from airflow_provider_laplas.api import Generation
from airflow_provider_laplas.audio import list_audio, open_source
from airflow_provider_laplas.body import CHUNK
from airflow_provider_laplas.durable import fingerprint_request, fingerprint_version, unsigned
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasBatchError,
    LaplasError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
    LaplasTooLargeError,
    LaplasValidationError,
)
from airflow_provider_laplas.manifest import (
    ABANDONED_AFTER,
    BAD,
    NAME,
    UNFINISHED,
    Entry,
    FileState,
    Manifest,
    ResumePolicy,
    check_owner,
    output_names,
    resume,
)
from airflow_provider_laplas.polling import SharedClient, shared_client
from airflow_provider_laplas.probe import audio_seconds
from airflow_provider_laplas.redaction import redact_url
from airflow_provider_laplas.results import TaskKey, load_transcript
from airflow_provider_laplas.storage import list_files, modified_at, read_text, write_text
from airflow_provider_laplas.waiting import Wait

log = logging.getLogger(__name__)

GROUP = 100
"""Files whose intents are written, and that are then submitted, together."""

CONCURRENT_SUBMISSIONS = 16
SAVE_EVERY = 3.0
"""Seconds between two writings of the manifest while files finish."""

SIGN_OF_LIFE = ABANDONED_AFTER / 5
"""Seconds after which the manifest is written though nothing finished: it shows that somebody is at work."""

SAY_EVERY = 30.0
"""Seconds between two lines of progress in the log."""


async def off_loop(function: Callable[..., Any], *args: Any) -> Any:
    """Run something that blocks in a thread, from which Airflow's own look-ups still find back to the loop."""
    return await sync_to_async(function, thread_sensitive=False)(*args)


@dataclass(slots=True)
class Progress:
    """Says how far a batch is, at sensible intervals."""

    manifest: Manifest
    started: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)
    _done_before: int = -1

    def say(self, *, now: bool = False) -> None:
        """Log a line if it is time to."""
        clock = time.monotonic()
        total = len(self.manifest.entries)
        done = total - sum(1 for entry in self.manifest.entries if entry.state in UNFINISHED)
        if self._done_before < 0:
            self._done_before = done
        if not now and clock - self._said < SAY_EVERY:
            return
        self._said = clock
        rate = (done - self._done_before) / max(clock - self.started, 0.001)
        left = f", about {(total - done) / rate:.0f} s left" if rate and done < total else ""
        log.info("%d of %d files done, %.1f a second%s.", done, total, rate, left)


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
    client: SharedClient, manifest: Manifest, sources: Mapping[str, str], request: Request, *, room: int
) -> None:
    """
    Submit pending files until ``room`` are submitted or none is left.

    A file that the API refuses is failed; a refused key, missing credits and an API that cannot be reached end it for
    all, after what was submitted is noted.

    :param sources: the audio by the entry's output: entries hold what may be shown only
    """
    # What is cut off without an id is ambiguous, sent or not, so no more than a group is under way at a time.
    limit = asyncio.Semaphore(CONCURRENT_SUBMISSIONS)
    progress = Progress(manifest)
    while group := list(islice(manifest.having(FileState.PENDING), min(max(room, 0), GROUP))):
        for entry in group:
            entry.move(FileState.INTENT)
        await off_loop(manifest.save)
        tasks = [
            asyncio.create_task(_submit(client, entry, sources.get(entry.output), request, limit))
            for entry in group
        ]
        left = set(tasks)
        while left:
            # A group of large uploads takes minutes: the ids that are known by then are noted meanwhile.
            _, left = await asyncio.wait(left, timeout=SAVE_EVERY)
            await off_loop(manifest.save)
        progress.say()
        if errors := [error for task in tasks if (error := task.exception())]:
            raise errors[0]
        room -= sum(entry.state is FileState.SUBMITTED for entry in group)


async def _submit(
    client: SharedClient, entry: Entry, source: str | None, request: Request, limit: asyncio.Semaphore
) -> None:
    async with limit:
        try:
            audio = await off_loop(_open, source)
            generation_id = await _submit_once_or_twice(client, audio, request)
        except LaplasAmbiguousSubmitError as error:
            _end(entry, FileState.AMBIGUOUS, error)
        except (LaplasArgumentError, LaplasTooLargeError, LaplasValidationError) as error:
            _end(entry, FileState.FAILED, error)
        except LaplasError:
            entry.move(FileState.PENDING)
            raise
        else:
            now = time.time()
            entry.move(
                FileState.SUBMITTED,
                generation_id=generation_id,
                submitted_at=now,
                deadline=now + request.timeout,
            )


def _open(source: str | None) -> Any:
    if source is None:
        raise LaplasArgumentError(
            "`audio`: the file is no longer where it was when the task began.", argument="audio"
        )
    return open_source(source)


async def _submit_once_or_twice(client: SharedClient, audio: Any, request: Request) -> str:
    await client.take_turn()
    try:
        return await client.hook.asubmit(audio, model=request.model, options=request.options)
    except LaplasAmbiguousSubmitError as error:
        if not request.resubmit:
            raise
        log.warning("Submitting again, as on_ambiguous says, and perhaps paying twice: %s", error)
    await client.take_turn()
    return await client.hook.asubmit(audio, model=request.model, options=request.options)


async def wait_for_submitted(
    client: SharedClient,
    manifest: Manifest,
    folder: str,
    *,
    poll_interval: float,
    timeout: float,  # noqa: ASYNC109 - the generations', not this call's.
    resume_at: int,
) -> None:
    """
    Wait for the submitted files and write each transcript as it finishes.

    :param folder: where the outputs go
    :param timeout: seconds for a generation whose deadline a user's Clear has renewed
    :param resume_at: how many may be left when files are still pending, for the worker to submit the next ones
    """
    finished: asyncio.Queue[None] = asyncio.Queue()
    progress = Progress(manifest)

    async def wait(entry: Entry) -> None:
        try:
            await _finish(entry, client, folder, poll_interval, timeout)
        finally:
            finished.put_nowait(None)

    await off_loop(take_stored, manifest, folder)
    submitted = list(manifest.having(FileState.SUBMITTED))
    tasks = [asyncio.ensure_future(wait(entry)) for entry in submitted]
    more = any(manifest.having(FileState.PENDING))
    left, saved_at = len(tasks), time.monotonic()
    try:
        while left > (resume_at if more else 0):
            with suppress(TimeoutError):
                async with asyncio.timeout(SIGN_OF_LIFE):
                    await finished.get()
                    left -= 1
            while not finished.empty():
                finished.get_nowait()
                left -= 1
            progress.say(now=left == 0)
            if time.monotonic() - saved_at >= SAVE_EVERY:
                await off_loop(manifest.save)
                saved_at = time.monotonic()
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await off_loop(manifest.save)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def take_stored(manifest: Manifest, folder: str) -> None:
    """
    Count as completed what lies in the folder though the manifest missed it. Blocking.

    Whoever wrote it was killed before noting it, and by now the API may have forgotten it. An output that is older than
    the submission is of an earlier one, with other audio or other options.
    """
    submitted = list(manifest.having(FileState.SUBMITTED))
    stored = set(list_files(folder, ".json")) if submitted else set()
    for entry in submitted:
        uri = f"{folder.rstrip('/')}/{entry.output}"
        if entry.output in stored and modified_at(uri) >= (entry.submitted_at or 0.0):
            duration = load_transcript(uri).duration
            entry.move(FileState.COMPLETED, audio_seconds=duration, completed_at=modified_at(uri), error=None)


async def _finish(
    entry: Entry, client: SharedClient, folder: str, poll_interval: float, seconds: float
) -> None:
    if entry.deadline is None:
        entry.deadline = time.time() + seconds
    wait = Wait(str(entry.generation_id), entry.deadline, poll_interval, entry.submitted_at)
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
        await asyncio.shield(_store(entry, generation, folder))


async def _store(entry: Entry, generation: Generation, folder: str) -> None:
    from tenacity import AsyncRetrying, stop_after_attempt, wait_exponential_jitter  # noqa: PLC0415

    retrying = AsyncRetrying(stop=stop_after_attempt(5), wait=wait_exponential_jitter(), reraise=True)
    write: Callable[..., Awaitable[float | None]] = sync_to_async(_write, thread_sensitive=False)
    duration: float | None = await retrying(write, generation, f"{folder.rstrip('/')}/{entry.output}")
    entry.move(FileState.COMPLETED, audio_seconds=duration, completed_at=time.time(), error=None)


def _write(generation: Generation, uri: str) -> float | None:
    write_text(uri, json.dumps(generation.reply, allow_nan=False))
    try:
        return generation.transcript().duration
    except LaplasError:
        return None


def _end(entry: Entry, state: FileState, error: LaplasError) -> None:
    entry.move(state, error=error.message, completed_at=time.time())
    log.warning("%s: %s", entry.source, error)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a batch may do; see :class:`~airflow_provider_laplas.operators.TranscribeBatchOperator`."""

    max_in_flight: int
    max_failed: int
    max_files: int | None
    max_audio_seconds: float | None
    deduplicate: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """
    A batch as its worker sees it: blocking, one step at a time.

    :ivar audio: a list of sources, or a folder or glob
    :ivar folder: where transcripts and manifest go
    """

    conn_id: str
    audio: Any = field(repr=False)
    folder: str
    request: Request
    policy: ResumePolicy
    limits: Limits
    poll_interval: float

    @property
    def uri(self) -> str:
        """The manifest's URI."""
        return f"{self.folder}/{NAME}"

    def load(self, task: TaskKey) -> Manifest:
        """
        Read the manifest that this task has begun.

        :raises LaplasArgumentError: where it is gone, or another task has taken the folder over
        """
        manifest = Manifest.load(self.uri)
        if manifest is None:
            raise LaplasArgumentError(
                f"The batch's manifest is gone: {redact_url(self.uri)}. Clear the task to begin anew.",
                argument="results_path",
            )
        if manifest.owner != asdict(task):
            raise LaplasArgumentError(
                f"`results_path`: task {manifest.task} has taken this folder over, as nothing was written for "
                f"{ABANDONED_AFTER:g} s. What was submitted is in its manifest. Use a folder for each, or "
                "max_active_runs=1.",
                argument="results_path",
            )
        return manifest

    def begin(self, task: TaskKey, max_tries: int, *, durable: bool) -> Manifest:
        """
        List the files, check the limits, take over what an earlier try or run has done, and note it.

        :return: without entries where there are no files; nothing is written then
        :raises LaplasArgumentError: where there are more files than the limits allow, or the folder is taken
        """
        sources = self.sources()
        if self.limits.max_files is not None and len(sources) > self.limits.max_files:
            raise LaplasArgumentError(
                f"`max_files` is {self.limits.max_files}, and there are {len(sources)} files. Nothing was submitted.",
                argument="max_files",
            )
        with ThreadPoolExecutor(CONCURRENT_SUBMISSIONS) as threads:
            entries = list(threads.map(self._entry, sources.keys(), sources.values()))
        manifest = Manifest(self.uri, asdict(task), max_tries, entries)
        if not entries:
            return manifest
        earlier = Manifest.load(self.uri)
        check_owner(manifest, earlier)
        if durable:
            stored = set(list_files(self.folder, ".json")) if earlier else set()
            resume(manifest, earlier, stored, self.policy)
            take_stored(manifest, self.folder)
        if self.limits.deduplicate:
            self._mark_duplicates(manifest, sources)
        self._check_length(manifest, sources)
        manifest.save()
        log.info("%d files: %s.", len(entries), _listed(manifest))
        return manifest

    def sources(self) -> dict[str, str]:
        """Return the audio of each file, by the path of its output."""
        if not isinstance(self.audio, str):
            return dict(zip(output_names(self.audio, None), self.audio, strict=True))
        folder, found = list_audio(self.audio)
        return dict(zip(output_names(found, folder), found, strict=True))

    def submit(self, manifest: Manifest) -> bool:
        """Submit as many files as there is room for; True where there is something to wait for."""
        room = self.limits.max_in_flight - sum(1 for _ in manifest.having(FileState.SUBMITTED))
        pending = any(manifest.having(FileState.PENDING))
        if pending and room > 0 and self._stopped(manifest) is None:
            asyncio.run(self._submit(manifest, room))
        return any(manifest.having(FileState.SUBMITTED))

    def resume_at(self, manifest: Manifest) -> int:
        """Return how many files may be open when the worker is called back: none where it has nothing to submit."""
        return 0 if self._stopped(manifest) else self.limits.max_in_flight // 2

    def wait(self, manifest: Manifest) -> Manifest:
        """Wait in place."""
        asyncio.run(self._wait(manifest))
        return manifest

    def summarise(self, manifest: Manifest) -> dict[str, Any]:
        """
        Write what duplicates share, and return the summary.

        :raises LaplasBatchError: more files failed than may, or a limit kept files from being submitted
        """
        done = {entry.output: entry for entry in manifest.having(FileState.COMPLETED)}
        for entry in manifest.having(FileState.DUPLICATE):
            if entry.duplicate_of in done:
                write_text(f"{self.folder}/{entry.output}", read_text(f"{self.folder}/{entry.duplicate_of}"))
        manifest.save()
        stopped = self._stopped(manifest)
        log.info(
            "%d files: %s; %.0f s of audio.",
            len(manifest.entries),
            _listed(manifest),
            manifest.audio_seconds(),
        )
        if stopped is not None:
            raise LaplasBatchError(
                f"{stopped} {_listed(manifest)}. The manifest says what became of each: {redact_url(manifest.uri)}",
                manifest=redact_url(manifest.uri),
            )
        counts = manifest.counts()
        return {
            "files": len(manifest.entries),
            "completed": counts.get(FileState.COMPLETED, 0) + counts.get(FileState.DUPLICATE, 0),
            "failed": sum(counts.get(state, 0) for state in BAD),
            "counts": counts,
            "audio_seconds": manifest.audio_seconds(),
            "manifest": manifest.uri,
            "results_path": self.folder,
        }

    def _stopped(self, manifest: Manifest) -> str | None:
        """Return why nothing more is submitted, None where nothing forbids it."""
        bad = list(manifest.having(*BAD))
        if len(bad) > self.limits.max_failed:
            first = f"{bad[0].source}: {bad[0].error}"
            return f"{len(bad)} files failed (max_failed={self.limits.max_failed}), the first: {first}"
        limit = self.limits.max_audio_seconds
        if limit is not None and manifest.audio_seconds() > limit and any(manifest.having(FileState.PENDING)):
            return f"The finished audio passed max_audio_seconds={limit:g}, so nothing more was submitted:"
        return None

    def _entry(self, output: str, source: str) -> Entry:
        work = fingerprint_request(source, self.request.model, self.request.options)
        shown = redact_url(source) if "://" in source else source
        try:
            return Entry(shown, f"{work}-{fingerprint_version(open_source(source))}", output)
        except LaplasArgumentError as error:
            return Entry(shown, work, output, state=FileState.FAILED, error=error.message)

    def _mark_duplicates(self, manifest: Manifest, sources: Mapping[str, str]) -> None:
        pending = list(manifest.having(FileState.PENDING))
        originals: dict[str, str] = {}
        with ThreadPoolExecutor(CONCURRENT_SUBMISSIONS) as threads:
            contents = threads.map(_content, [sources[entry.output] for entry in pending])
            for entry, content in zip(pending, contents, strict=True):
                original = originals.setdefault(content, entry.output)
                if original != entry.output:
                    entry.move(FileState.DUPLICATE, duplicate_of=original)

    def _check_length(self, manifest: Manifest, sources: Mapping[str, str]) -> None:
        limit = self.limits.max_audio_seconds
        if limit is None:
            return
        uploads = (open_source(sources[entry.output]) for entry in manifest.having(FileState.PENDING))
        with ThreadPoolExecutor(CONCURRENT_SUBMISSIONS) as threads:
            lengths = threads.map(
                audio_seconds, (upload for upload in uploads if not isinstance(upload, str))
            )
            total = manifest.audio_seconds() + sum(length or 0.0 for length in lengths)
        if total > limit:
            raise LaplasArgumentError(
                f"`max_audio_seconds` is {limit:g}, and the uploads hold {total:.0f} s. Nothing was submitted.",
                argument="max_audio_seconds",
            )

    async def _submit(self, manifest: Manifest, room: int) -> None:
        sources = self.sources()
        await submit_pending(shared_client(self.conn_id), manifest, sources, self.request, room=room)

    async def _wait(self, manifest: Manifest) -> None:
        await wait_for_submitted(
            shared_client(self.conn_id),
            manifest,
            self.folder,
            poll_interval=self.poll_interval,
            timeout=self.request.timeout,
            resume_at=self.resume_at(manifest),
        )


def _content(source: str) -> str:
    """Return what tells the same content from another: an upload's hash, or the URL without its signature."""
    opened = open_source(source)
    if isinstance(opened, str):
        return unsigned(opened)
    digest = hashlib.sha256()
    with opened.open() as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _listed(manifest: Manifest) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(manifest.counts().items()))
