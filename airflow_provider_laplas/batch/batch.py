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
from airflow_provider_laplas.api.resume import Occasion
from airflow_provider_laplas.api.retry import ambiguous_submission
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
from airflow_provider_laplas.manifest.journal import Segment
from airflow_provider_laplas.manifest.lease import Lease, find_lease, take_lease
from airflow_provider_laplas.manifest.manifest import NAME, Manifest
from airflow_provider_laplas.manifest.state import BatchState, Tally
from airflow_provider_laplas.manifest.summary import (
    ABANDONED_AFTER,
    check_free,
    check_version_1,
    leave,
    write_summary,
)
from airflow_provider_laplas.manifest.takeover import adopt_outputs, take_over
from airflow_provider_laplas.redaction import redact, redacted, unsigned
from airflow_provider_laplas.results.keeping import TaskKey, load_transcript
from airflow_provider_laplas.results.output import Output
from airflow_provider_laplas.results.publishing import check_quality, publish
from airflow_provider_laplas.storage import Storage, object_storage

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_UNLISTED = 10_000
"""How many of the files are remembered that are not listed any more: the newest ones."""

SMALL = 1024 * 1024
"""Bytes of a journal that are not worth a new manifest before the task ends."""


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

    def begin(
        self, task: TaskKey, max_tries: int, *, durable: bool, last_tries: int | None = None
    ) -> BatchState | None:
        """
        List the files, take the lease, take over what an earlier try or run has done, check the limits, and note it.

        :param last_tries: ``max_tries`` when this task last began, None where it has not
        :return: None if there is nothing to do
        :raises LaplasArgumentError: if there are more files than the limits allow, or another task is at work
        """
        sources = self.sources(min_age=self.min_age)
        found = find_lease(self.uri, self.storage)
        if not sources and not (durable and (found or self.storage.exists(self.uri))):
            return None
        owner = asdict(task)
        check_free(found, owner, self.storage)
        lease = take_lease(self.uri, owner, self.storage, after=found)
        try:
            return self._begin(lease, sources, max_tries, durable=durable, last_tries=last_tries)
        except Exception:
            # Nobody is to wait for a task that does not work.
            leave(lease, self.storage)
            raise

    def _begin(
        self,
        lease: Lease,
        sources: "Mapping[str, Source]",
        max_tries: int,
        *,
        durable: bool,
        last_tries: int | None,
    ) -> BatchState | None:
        # What is in the folder is listed once, and after the lease was taken: nobody else submits from here on.
        outputs = self.storage.list_files(self.folder)
        earlier, new = Manifest.gather(self.uri, self.storage, outputs)
        if earlier is not None:
            check_version_1(earlier, lease.owner)
            if _outweigh(new, outputs, self.folder):
                # So that what is read at a begin grows like the batch, however often it is cut off.
                earlier.fold(new, self.storage)
        records = list(_in_threads(self._entry, sources.items()))
        for record in records:
            if record.state is FileState.FAILED:
                record.lease = lease.number
        began_lease, known = lease.number, {}
        if earlier is not None and durable:
            mine = earlier.owner == lease.owner
            if mine:
                began_lease = earlier.began_lease or began_lease
                last_tries = earlier.max_tries if last_tries is None else last_tries
            occasion = Occasion.RETRY if last_tries == max_tries else Occasion.CLEAR
            if last_tries is None:
                occasion = Occasion.LATER_RUN
            known = {record.output: record for record in (*earlier.entries, *earlier.unlisted)}
            records = take_over(
                records, earlier, outputs, self.request.policy, occasion, mine=mine, lease=lease.number
            )
            adopt_outputs(
                records, outputs, lambda output: seconds_of(f"{self.folder}/{output}", self.storage)
            )
        elif earlier is not None:
            # Of no interest, but for what late writers still note of it.
            attempts = {record.output: record.attempt + 1 for record in earlier.entries}
            known = {record.output: record for record in earlier.entries}
            for record in records:
                record.attempt = attempts.get(record.output, 0)
        listed = [record for record in records if record.listed]
        if not listed:
            leave(lease, self.storage)
            return None
        for record in listed:
            # A user's Clear begins a new one.
            if record.state is FileState.SUBMITTED and record.deadline is None:
                record.deadline = time.time() + self.request.timeout
        if self.limits.deduplicate:
            self._mark_duplicates(listed, sources)
        pending = [record for record in listed if record.state is FileState.PENDING]
        for record in pending:
            if record.output in outputs:
                record.replaces = outputs[record.output].modified
        tally = Tally(began_lease)
        for record in listed:
            tally.add(record)
        self._check_count(len(pending))
        self._check_length(pending, sources, tally)
        state = BatchState(lease, self.storage, tally, max_tries=max_tries)
        for record in listed:
            if record.state is not FileState.PENDING:
                state.add(record)
        state.begin(
            pending,
            (
                record.to_line()
                for record in records
                if (record.state is not FileState.PENDING or not record.listed)
                and record != known.get(record.output)
            ),
            {"owner": dict(lease.owner), "max_tries": max_tries, "began_lease": began_lease},
        )
        write_summary(lease, self.storage, tally)
        log.info("Files: %s.", _listed(tally))
        return state

    def load(self, task: TaskKey) -> BatchState | None:
        """
        Take the lease of the batch that this task has begun, and go on where its trigger has left it.

        :return: None if nothing was handed over
        :raises LaplasArgumentError: if another task has taken the folder over
        """
        owner = asdict(task)
        found = find_lease(self.uri, self.storage)
        if found is None:
            return None
        if found.owner != owner:
            raise LaplasArgumentError(
                f"`results_path`: task {found.task} has taken over this folder, because nothing was written for "
                f"{ABANDONED_AFTER:g} s. What was submitted is in its manifest. Use a separate folder for each task, "
                "or max_active_runs=1.",
                argument="results_path",
            )
        lease = take_lease(self.uri, owner, self.storage, after=found)
        # After the lease: what is noted under the old one from here on comes too late for this read, and is found later.
        state = BatchState.resumed(found, self.storage)
        if state is not None:
            state.take_lease(lease)
        return state

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

    def submit(self, state: BatchState) -> bool:
        """
        Submit as many files as there is room for, and return whether there is anything to wait for.

        If the API accepts none of them, the next ones are submitted at once, because no trigger would call back.
        """
        states = state.tally.states
        while states[FileState.PENDING] and self._stopped(state.tally) is None:
            room = self.limits.max_in_flight - states[FileState.SUBMITTED]
            if room > 0:
                submit_pending(
                    lambda: shared_client(self.conn_id),
                    state,
                    self._audio_of(),
                    self.request,
                    room=room,
                    stopped=lambda: self._stopped(state.tally),
                )
                log.info("Files: %s.", _listed(state.tally))
            if states[FileState.SUBMITTED]:
                break
        return states[FileState.SUBMITTED] > 0

    def _audio_of(self) -> Callable[[FileRecord], str | None]:
        """Return what finds a file's audio: a record holds no signature, so that of a list is looked for there."""
        if isinstance(self.audio, str):
            # What may be shown of a file in a storage is all of it.
            return lambda record: record.source
        sources = {output: source.audio for output, source in self.sources().items()}
        return lambda record: sources.get(record.output)

    def resume_at(self, state: BatchState) -> int:
        """Return how many files may be in progress when the worker is called back: 0 if nothing more is submitted."""
        return 0 if self._stopped(state.tally) else self.limits.max_in_flight // 2

    def wait(self, state: BatchState) -> None:
        """Wait in the worker."""
        asyncio.run(self._wait(state))

    async def _wait(self, state: BatchState) -> None:
        await wait_for_submitted(
            shared_client(self.conn_id),
            state,
            poll_interval=self.poll_interval,
            resume_at=self.resume_at(state),
        )

    def publish(self, state: BatchState) -> None:
        """Check the quality of newly completed files, write their other formats, and copy them for duplicates."""
        lacking = [
            record
            for record in state.having(FileState.COMPLETED, FileState.DUPLICATE)
            if self._lacks_formats(record)
        ]
        # A duplicate whose original is not in the batch any more is handled like any file: it has its own reply.
        originals = {
            record.output: state.find(record.duplicate_of) for record in lacking if record.duplicate_of
        }
        todo = [record for record in lacking if not originals.get(record.output)]
        for record, (result, facts) in zip(
            todo, _in_threads(self._publish, map(state.uri_of, todo), todo), strict=True
        ):
            state.transition(record, result, **facts)
        pairs = [(record, original) for record in lacking if (original := originals.get(record.output))]
        for (record, _), (result, facts) in zip(pairs, _in_threads(self._share, pairs), strict=True):
            state.transition(record, result, **facts)
        state.note()
        self._close(state)

    def _close(self, state: BatchState) -> None:
        """Forget the files that nothing more is to be done about."""
        awaited = {
            record.duplicate_of for record in state.having(FileState.DUPLICATE) if self._lacks_formats(record)
        }
        ended = [
            record for record in state.having(*set(FileState) - UNFINISHED) if record.output not in awaited
        ]
        for record in ended:
            state.close(record)

    def _lacks_formats(self, record: FileRecord) -> bool:
        return record.formats is None or bool(set(self.output.formats) - set(record.formats))

    def _publish(self, uri: str, record: FileRecord) -> tuple[FileState, dict[str, Any]]:
        if self.output.only_json and record.audio_seconds is not None:
            # The reply is there, and was understood when it was stored.
            return FileState.COMPLETED, {"formats": ["json"]}
        try:
            transcript = load_transcript(uri)
            if why := check_quality(transcript, self.output.quality, str(record.generation_id)):
                return FileState.SKIPPED, {"error": why}
            files = publish(uri, transcript, self.output.formats, self.output.captions, self.storage)
        except (LaplasQualityError, LaplasArgumentError, LaplasMalformedReplyError) as error:
            METRICS.failed(error)
            return FileState.REJECTED, {"error": error.message}
        return FileState.COMPLETED, {"formats": sorted({*files, *(record.formats or ())})}

    def _share(self, pair: tuple[FileRecord, FileRecord]) -> tuple[FileState, dict[str, Any]]:
        record, original = pair
        if original.state is FileState.COMPLETED:
            for name, other in zip(record.names(original.formats), original.names(), strict=True):
                self.storage.write_text(
                    f"{self.folder}/{name}", self.storage.read_text(f"{self.folder}/{other}")
                )
            facts = {"formats": original.formats, "completed_at": original.completed_at}
            return FileState.DUPLICATE, facts | {"lease": original.lease}
        if original.state in FAILED_STATES | {FileState.SKIPPED}:
            return original.state, {"error": original.error, "completed_at": original.completed_at}
        return record.state, {}

    def finish(self, state: BatchState) -> tuple[Manifest, bool] | None:
        """
        Write the manifest, which holds all that was noted, and return it.

        :return: the manifest, and whether an asset event is due; None if late answers of other writers were found, which
            there is something to wait for now
        :raises LaplasArgumentError: if somebody else has taken the lease
        """
        manifest, new = self._gather(state)
        if late := list(manifest.having(FileState.SUBMITTED, FileState.INTENT)):
            self._take_late(state, manifest, late)
            return None
        done = list(manifest.having(FileState.COMPLETED, FileState.DUPLICATE))
        news = False
        if self._stopped(tally_of(manifest)) is None:
            # A retry announces this run's files again: the try before may have died between noting it and telling.
            news = any(not e.announced or e.lease >= manifest.began_lease for e in done)
            for entry in done:
                entry.announced = True
        self._write(state, manifest, new)
        return manifest, news

    def abandon(self, state: BatchState) -> None:
        """Write the manifest of a batch whose task fails, and leave it to whoever comes next."""
        try:
            self._write(state, *self._gather(state))
        except Exception as error:  # noqa: BLE001
            # What was noted is in the journal all the same.
            log.warning("The manifest cannot be written: %s", redact(repr(error)))

    def _gather(self, state: BatchState) -> tuple[Manifest, list[Segment]]:
        state.note()
        state.check()
        manifest, new = Manifest.gather(self.uri, self.storage)
        if manifest is None:
            raise LaplasArgumentError(
                f"The batch's journal is missing: {redacted(self.uri)}. Clear the task to start again.",
                argument="results_path",
            )
        manifest.owner, manifest.max_tries = dict(state.lease.owner), state.max_tries
        manifest.began_lease = state.tally.began_lease
        return manifest, new

    def _write(self, state: BatchState, manifest: Manifest, new: list[Segment]) -> None:
        for record in manifest.having(FileState.AMBIGUOUS):
            # From here on a Clear is consent: the task's error, or its summary, says so.
            record.reported = True
        # Its own lease, so that what writers of earlier ones still write is known to be late.
        manifest.folded[str(state.lease.number)] = state.journal.number
        del manifest.unlisted[:-MOST_UNLISTED]
        manifest.fold(new, self.storage)
        leave(state.lease, self.storage, state.tally)

    def _take_late(self, state: BatchState, manifest: Manifest, late: list[FileRecord]) -> None:
        """Take up what writers have noted that had lost their lease."""
        state.tally = tally_of(manifest)
        for record in late:
            state.add(record)
            if record.generation_id is None:
                error = ambiguous_submission("Another try was cut off before the generation's id was saved.")
                state.transition(record, FileState.AMBIGUOUS, error=error.message, completed_at=time.time())
            elif record.deadline is None:
                state.touch(record, deadline=time.time() + self.request.timeout)

    def summarise(self, manifest: Manifest) -> dict[str, Any]:
        """
        Return the task's return value.

        :raises LaplasBatchError: if more than ``max_failed`` files failed, or a limit prevented submissions
        """
        tally = tally_of(manifest)
        stopped = self._stopped(tally)
        if stopped is None and tally.unfinished:
            # Never to be seen; but a task that ends well has left no file undone.
            stopped = "Some files are neither finished nor failed. Clear the task to continue:"
        log.info("Files: %s; %.0f s of audio.", _listed(tally), tally.audio_seconds)
        if stopped is not None:
            # Files that were not submitted are left for whoever comes next.
            raise LaplasBatchError(
                f"{stopped} {_listed(tally)}. The manifest lists the state of each file: {redacted(manifest.uri)}",
                manifest=redacted(manifest.uri),
            )
        counts = tally.counts()
        return {
            "files": len(manifest.entries),
            "completed": counts.get(FileState.COMPLETED, 0) + counts.get(FileState.DUPLICATE, 0),
            "new": tally.new[FileState.COMPLETED],
            "new_failed": tally.failed,
            "failed": sum(counts.get(state, 0) for state in FAILED_STATES),
            "counts": counts,
            "audio_seconds": tally.audio_seconds,
            "manifest": manifest.uri,
            "results_path": self.folder,
        }

    def _stopped(self, tally: Tally) -> str | None:
        """Return why nothing more is submitted, or None if nothing prevents it."""
        # What failed in an earlier run was reported by that.
        if tally.failed > self.limits.max_failed:
            return f"{tally.failed} files failed (max_failed={self.limits.max_failed}), the first: {tally.failure}"
        limit = self.limits.max_audio_seconds
        if limit is not None and tally.new_audio_seconds > limit and tally.states[FileState.PENDING]:
            return f"The finished audio exceeded max_audio_seconds={limit:g}, so nothing more was submitted:"
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

    def _mark_duplicates(self, records: list[FileRecord], sources: Mapping[str, "Source"]) -> None:
        pending = [record for record in records if record.state is FileState.PENDING]
        paid = {FileState.COMPLETED, FileState.SUBMITTED}
        originals = {
            record.content: record.output for record in records if record.content and record.state in paid
        }
        contents = _in_threads(self._content, [sources[record.output] for record in pending])
        for record, content in zip(pending, contents, strict=True):
            record.content = content
            original = originals.setdefault(content, record.output)
            if original != record.output:
                record.transition(FileState.DUPLICATE, duplicate_of=original)

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

    def _check_count(self, pending: int) -> None:
        limit = self.limits.max_files
        if limit is not None and pending > limit:
            raise LaplasArgumentError(
                f"`max_files` is {limit}, but there are {pending} files to submit. Nothing was submitted.",
                argument="max_files",
            )

    def _check_length(
        self, pending: Iterable[FileRecord], sources: Mapping[str, "Source"], tally: Tally
    ) -> None:
        limit = self.limits.max_audio_seconds
        if limit is None:
            return
        uploads = (sources[record.output].open(self.storage) for record in pending)
        lengths = _in_threads(audio_seconds, (upload for upload in uploads if not isinstance(upload, str)))
        total = tally.new_audio_seconds + sum(length or 0.0 for length in lengths)
        if total > limit:
            raise LaplasArgumentError(
                f"`max_audio_seconds` is {limit:g}, but the audio is {total:.0f} s long. Nothing was submitted.",
                argument="max_audio_seconds",
            )


def tally_of(manifest: Manifest) -> Tally:
    """Count a manifest's files."""
    tally = Tally(manifest.began_lease)
    for record in manifest.entries:
        tally.add(record)
    return tally


def _outweigh(new: Iterable[Segment], outputs: Mapping[str, FileInfo], folder: str) -> bool:
    """Tell whether a manifest's new segments are larger than itself; a few of them never are."""
    size = sum(outputs[segment.uri.removeprefix(f"{folder}/")].size for segment in new)
    return size > max(outputs[NAME].size if NAME in outputs else 0, SMALL)


def _in_threads(function: Callable[..., T], *items: Iterable[Any]) -> list[T]:
    """Call a function that waits for its storage, for many files at once."""
    with ThreadPoolExecutor(timing.CONCURRENT_SUBMISSIONS) as threads:
        return list(threads.map(function, *items))


def _listed(tally: Tally) -> str:
    return ", ".join(f"{count} {state}" for state, count in tally.counts().items())
