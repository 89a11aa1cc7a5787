"""The steps of a batch in the worker. Blocking."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.audio.fingerprint import fingerprint, fingerprint_request
from airflow_provider_laplas.audio.length import audio_seconds
from airflow_provider_laplas.audio.sources import list_audio, open_source
from airflow_provider_laplas.backends import FileInfo
from airflow_provider_laplas.batch import timing
from airflow_provider_laplas.batch.limits import BatchLimits
from airflow_provider_laplas.batch.submit import Request, submit_pending
from airflow_provider_laplas.batch.wait import seconds_of, wait_for_submitted
from airflow_provider_laplas.client.multipart import CHUNK
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasBatchError,
    LaplasMalformedReplyError,
    LaplasQualityError,
)
from airflow_provider_laplas.hooks import shared_client
from airflow_provider_laplas.manifest.files import (
    FAILED_STATES,
    UNFINISHED,
    FileRecord,
    FileState,
    output_names,
)
from airflow_provider_laplas.manifest.manifest import ABANDONED_AFTER, NAME, Manifest
from airflow_provider_laplas.manifest.takeover import adopt_outputs, check_owner, resolve_intents, take_over
from airflow_provider_laplas.redaction import redacted, unsigned
from airflow_provider_laplas.results.keeping import TaskKey, load_transcript
from airflow_provider_laplas.results.output import Output
from airflow_provider_laplas.results.publishing import check_quality, publish
from airflow_provider_laplas.storage import Storage, object_storage

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """
    One file's audio.

    :ivar audio: a URL, a path or a URI
    :ivar info: what a listing said of it
    """

    audio: str = field(repr=False)
    info: FileInfo | None = None

    def open(self, storage: Storage) -> str | Upload:
        """Return what is submitted."""
        return open_source(self.audio, storage, self.info)


@dataclass(frozen=True, slots=True)
class Batch:
    """
    A batch in the worker: one blocking method for each step.

    :ivar audio: a list of sources, or a folder or glob
    :ivar folder: the folder for the transcripts and the manifest
    :ivar min_age: seconds; files in a folder that were changed more recently are left out
    """

    conn_id: str
    audio: Any = field(repr=False)
    folder: str
    request: Request
    limits: BatchLimits
    output: Output
    poll_interval: float
    min_age: float = 0.0
    storage: Storage = field(default_factory=object_storage, repr=False)

    @property
    def uri(self) -> str:
        """The manifest's URI."""
        return f"{self.folder}/{NAME}"

    def load(self, task: TaskKey) -> Manifest:
        """
        Take the lease of the batch that this task started, and return its manifest.

        :raises LaplasArgumentError: if the manifest is gone, or another task has taken over the folder
        """
        self._check_task(Manifest.find(self.uri, self.storage), task)
        _, manifest = Manifest.take_over(self.uri, asdict(task), self.storage)
        manifest = self._check_task(manifest, task)
        resolve_intents(manifest, self.request.policy)
        return manifest

    def _check_task(self, manifest: Manifest | None, task: TaskKey) -> Manifest:
        if manifest is None:
            raise LaplasArgumentError(
                f"The batch's manifest is gone: {redacted(self.uri)}. Clear the task to start again.",
                argument="results_path",
            )
        if manifest.owner != asdict(task):
            raise LaplasArgumentError(
                f"`results_path`: task {manifest.task} has taken over this folder, because nothing was written for "
                f"{ABANDONED_AFTER:g} s. What was submitted is in its manifest. Use a separate folder for each task, "
                "or max_active_runs=1.",
                argument="results_path",
            )
        return manifest

    def begin(
        self, task: TaskKey, max_tries: int, *, durable: bool, last_tries: int | None = None
    ) -> Manifest:
        """
        List the files, take over the results of an earlier try or run, check the limits, and save the manifest.

        :param last_tries: ``max_tries`` as of when this task last started; None if it has not
        :return: a manifest, without entries if there is nothing to do
        :raises LaplasArgumentError: if the files exceed the limits, or another task is using the folder
        """
        # First, because files that fail from here on count towards this run.
        began_at = time.time()
        sources = self.sources(min_age=self.min_age)
        entries = _in_threads(self._entry, sources.items())
        earlier = Manifest.find(self.uri, self.storage)
        manifest = Manifest(
            self.uri, asdict(task), max_tries, entries, began_at=began_at, storage=self.storage
        )
        if not entries and not (durable and earlier):
            return manifest
        check_owner(manifest, earlier)
        # From here on, an earlier try that is still running cannot submit the files that this one submits.
        manifest.lease_token, earlier = Manifest.take_over(self.uri, asdict(task), self.storage)
        # Again: another task may have started in between.
        check_owner(manifest, earlier)
        stored = self.storage.list_files(self.folder)
        if durable:
            take_over(manifest, earlier, stored, self.request.policy, last_tries=last_tries)
            if not manifest.entries:
                return manifest
            adopt_outputs(manifest, seconds_of)
        for entry in manifest.having(FileState.SUBMITTED):
            # A Clear resets the deadline.
            if entry.deadline is None:
                entry.deadline = time.time() + self.request.timeout
        if self.limits.deduplicate:
            self._mark_duplicates(manifest, sources)
        for entry in manifest.having(FileState.PENDING):
            if entry.output in stored:
                entry.replaces = stored[entry.output].modified
        self._check_count(manifest)
        self._check_length(manifest, sources)
        manifest.save()
        log.info("Files: %s.", _listed(manifest))
        return manifest

    def sources(self, *, min_age: float = 0.0) -> dict[str, "Source"]:
        """
        Return each file, by the path of its output.

        :param min_age: seconds; files in a folder that were changed more recently are left out
        """
        if not isinstance(self.audio, str):
            return {
                output: Source(audio)
                for output, audio in zip(output_names(self.audio, None), self.audio, strict=True)
            }
        folder, found = list_audio(self.audio, self.storage, min_age=min_age)
        uris = [f"{folder.rstrip('/')}/{name}" for name in found]
        return {
            output: Source(uri, info)
            for output, uri, info in zip(output_names(uris, folder), uris, found.values(), strict=True)
        }

    def submit(self, manifest: Manifest) -> bool:
        """
        Submit as many files as there is room for, and return whether there is anything to wait for.

        If the API accepts none of them, the next ones are submitted at once, because no trigger would call back.
        """
        while any(manifest.having(FileState.PENDING)) and self._stopped(manifest) is None:
            room = self.limits.max_in_flight - sum(1 for _ in manifest.having(FileState.SUBMITTED))
            if room > 0:
                asyncio.run(self._submit(manifest, room))
                log.info("Files: %s.", _listed(manifest))
            if any(manifest.having(FileState.SUBMITTED)):
                break
        return any(manifest.having(FileState.SUBMITTED))

    def resume_at(self, manifest: Manifest) -> int:
        """Return how many files may be in progress when the worker is called back: 0 if nothing more is submitted."""
        return 0 if self._stopped(manifest) else self.limits.max_in_flight // 2

    def wait(self, manifest: Manifest) -> Manifest:
        """Wait in the worker."""
        asyncio.run(self._wait(manifest))
        return manifest

    def publish(self, manifest: Manifest) -> None:
        """Check the quality of newly completed files, write their other formats, and copy them for duplicates."""
        by_output = {entry.output: entry for entry in manifest.entries}
        lacking = [
            entry
            for entry in manifest.having(FileState.COMPLETED, FileState.DUPLICATE)
            if self._lacks_formats(entry)
        ]
        # A duplicate whose original is not in the batch any more is handled like any file: it has its own reply.
        shared = [(e, by_output[e.duplicate_of]) for e in lacking if e.duplicate_of in by_output]
        todo = [entry for entry in lacking if entry.duplicate_of not in by_output]
        _in_threads(self._publish, map(manifest.uri_of, todo), todo)
        _in_threads(self._share, shared)
        if todo or shared:
            manifest.save()

    def _lacks_formats(self, entry: FileRecord) -> bool:
        return entry.formats is None or bool(set(self.output.formats) - set(entry.formats))

    def _publish(self, uri: str, entry: FileRecord) -> None:
        try:
            transcript = load_transcript(uri)
            if why := check_quality(transcript, self.output.quality, str(entry.generation_id)):
                entry.transition(FileState.SKIPPED, error=why)
                return
            files = publish(uri, transcript, self.output.formats, self.output.captions, self.storage)
        except (LaplasQualityError, LaplasArgumentError, LaplasMalformedReplyError) as error:
            METRICS.failed(error)
            entry.transition(FileState.REJECTED, error=error.message)
        else:
            entry.transition(FileState.COMPLETED, formats=sorted({*files, *(entry.formats or ())}))

    def _share(self, pair: tuple[FileRecord, FileRecord]) -> None:
        entry, original = pair
        if original.state is FileState.COMPLETED:
            for name, other in zip(entry.names(original.formats), original.names(), strict=True):
                self.storage.write_text(
                    f"{self.folder}/{name}", self.storage.read_text(f"{self.folder}/{other}")
                )
            entry.transition(
                FileState.DUPLICATE, formats=original.formats, completed_at=original.completed_at
            )
        elif original.state in FAILED_STATES | {FileState.SKIPPED}:
            entry.transition(original.state, error=original.error, completed_at=original.completed_at)

    def announce(self, manifest: Manifest) -> bool:
        """Mark all finished files as announced, and return whether an asset event is due."""
        fresh = [e for e in manifest.having(FileState.COMPLETED, FileState.DUPLICATE) if not e.announced]
        for entry in fresh:
            entry.announced = True
        if fresh:
            manifest.save()
        # A retry announces this run's files again: the try before may have died after saving and before the event.
        return bool(fresh or manifest.new(FileState.COMPLETED, FileState.DUPLICATE))

    def summarise(self, manifest: Manifest) -> dict[str, Any]:
        """
        Return the task's return value.

        :raises LaplasBatchError: if more than ``max_failed`` files failed, or a limit prevented submissions
        """
        stopped = self._stopped(manifest)
        if stopped is None and any(manifest.having(*UNFINISHED)):
            # This should not happen, but a task must not succeed with unfinished files.
            stopped = "Some files are neither finished nor failed. Clear the task to continue:"
        log.info("Files: %s; %.0f s of audio.", _listed(manifest), manifest.audio_seconds())
        if stopped is not None:
            # So that another task can take over the remaining files at once.
            manifest.leave()
            raise LaplasBatchError(
                f"{stopped} {_listed(manifest)}. The manifest says what became of each: {redacted(manifest.uri)}",
                manifest=redacted(manifest.uri),
            )
        counts = manifest.counts()
        return {
            "files": len(manifest.entries),
            "completed": counts.get(FileState.COMPLETED, 0) + counts.get(FileState.DUPLICATE, 0),
            "new": len(manifest.new(FileState.COMPLETED)),
            "new_failed": len(manifest.new(*FAILED_STATES)),
            "failed": sum(counts.get(state, 0) for state in FAILED_STATES),
            "counts": counts,
            "audio_seconds": manifest.audio_seconds(),
            "manifest": manifest.uri,
            "results_path": self.folder,
        }

    def _stopped(self, manifest: Manifest) -> str | None:
        """Return why nothing more may be submitted; None if more may be."""
        # An earlier run has reported its own failures.
        bad = manifest.new(*FAILED_STATES)
        if len(bad) > self.limits.max_failed:
            first = f"{bad[0].source}: {bad[0].error}"
            return f"{len(bad)} files failed (max_failed={self.limits.max_failed}), the first: {first}"
        limit = self.limits.max_audio_seconds
        if (
            limit is not None
            and manifest.new_audio_seconds() > limit
            and any(manifest.having(FileState.PENDING))
        ):
            return f"The finished audio passed max_audio_seconds={limit:g}, so nothing more was submitted:"
        return None

    def _entry(self, item: "tuple[str, Source]") -> FileRecord:
        output, source = item
        work = fingerprint_request(source.audio, self.request.model, self.request.options)
        shown = redacted(source.audio)
        try:
            return FileRecord(shown, fingerprint(work, source.open(self.storage)), output)
        except LaplasArgumentError as error:
            now = time.time()
            return FileRecord(shown, work, output, FileState.FAILED, completed_at=now, error=error.message)

    def _mark_duplicates(self, manifest: Manifest, sources: Mapping[str, "Source"]) -> None:
        pending = list(manifest.having(FileState.PENDING))
        paid = (FileState.COMPLETED, FileState.SUBMITTED)
        originals = {entry.content: entry.output for entry in manifest.having(*paid) if entry.content}
        contents = _in_threads(self._content, [sources[entry.output] for entry in pending])
        for entry, content in zip(pending, contents, strict=True):
            entry.content = content
            original = originals.setdefault(content, entry.output)
            if original != entry.output:
                entry.transition(FileState.DUPLICATE, duplicate_of=original)

    def _content(self, source: "Source") -> str:
        """Return what tells the same content from another: an upload's hash, or the URL without its signature."""
        opened = source.open(self.storage)
        if isinstance(opened, str):
            return unsigned(opened)
        digest = hashlib.sha256()
        with opened.open() as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
        return digest.hexdigest()

    def _check_count(self, manifest: Manifest) -> None:
        limit, pending = self.limits.max_files, sum(1 for _ in manifest.having(FileState.PENDING))
        if limit is not None and pending > limit:
            raise LaplasArgumentError(
                f"`max_files` is {limit}, but there are {pending} files to submit. Nothing was submitted.",
                argument="max_files",
            )

    def _check_length(self, manifest: Manifest, sources: Mapping[str, "Source"]) -> None:
        limit = self.limits.max_audio_seconds
        if limit is None:
            return
        uploads = (sources[entry.output].open(self.storage) for entry in manifest.having(FileState.PENDING))
        lengths = _in_threads(audio_seconds, (upload for upload in uploads if not isinstance(upload, str)))
        total = manifest.new_audio_seconds() + sum(length or 0.0 for length in lengths)
        if total > limit:
            raise LaplasArgumentError(
                f"`max_audio_seconds` is {limit:g}, but the audio is {total:.0f} s long. Nothing was submitted.",
                argument="max_audio_seconds",
            )

    async def _submit(self, manifest: Manifest, room: int) -> None:
        sources = {output: source.audio for output, source in self.sources().items()}
        await submit_pending(
            shared_client(self.conn_id),
            manifest,
            sources,
            self.request,
            room=room,
            stopped=lambda: self._stopped(manifest),
        )

    async def _wait(self, manifest: Manifest) -> None:
        await wait_for_submitted(
            shared_client(self.conn_id),
            manifest,
            poll_interval=self.poll_interval,
            resume_at=self.resume_at(manifest),
        )


def _in_threads(function: Callable[..., T], *items: Iterable[Any]) -> list[T]:
    """Call a function that waits for storage in threads, for many files at once."""
    with ThreadPoolExecutor(timing.CONCURRENT_SUBMISSIONS) as threads:
        return list(threads.map(function, *items))


def _listed(manifest: Manifest) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(manifest.counts().items()))
