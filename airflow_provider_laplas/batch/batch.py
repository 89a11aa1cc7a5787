"""The steps of a batch in the worker. Blocking."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from threading import Event
from typing import Any

from airflow_provider_laplas.batch.begin import Beginning
from airflow_provider_laplas.batch.finish import gather, take_late, tally_of, write
from airflow_provider_laplas.batch.joining import ready_to_join
from airflow_provider_laplas.batch.limits import BatchLimits
from airflow_provider_laplas.batch.publish import publish_completed
from airflow_provider_laplas.batch.sources import Source, find_sources
from airflow_provider_laplas.batch.submit import Request, submit_pending
from airflow_provider_laplas.batch.wait import wait_for_submitted
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasBatchError,
)
from airflow_provider_laplas.hooks import shared_client
from airflow_provider_laplas.manifest.files import (
    FAILED_STATES,
    FileRecord,
    FileState,
)
from airflow_provider_laplas.manifest.journal import meta_folder, snapshots
from airflow_provider_laplas.manifest.lease import Lease, find_lease, take_lease
from airflow_provider_laplas.manifest.manifest import NAME, Manifest
from airflow_provider_laplas.manifest.names import legacy_output_name, output_name
from airflow_provider_laplas.manifest.state import BatchState, Tally
from airflow_provider_laplas.manifest.summary import (
    ABANDONED_AFTER,
    check_free,
    leave,
)
from airflow_provider_laplas.redaction import redact, redacted
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.results.output import Output
from airflow_provider_laplas.storage import Storage, object_storage

log = logging.getLogger(__name__)


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
    _ended: Event = field(default_factory=Event, repr=False, compare=False)

    def end(self) -> None:
        """Submit nothing more: the task is being killed, and has a few seconds to note the answers under way."""
        self._ended.set()

    @property
    def uri(self) -> str:
        """The manifest's URI."""
        return f"{self.folder}/{NAME}"

    def begin(
        self,
        task: TaskKey,
        max_tries: int,
        *,
        durable: bool,
        last_tries: int | None = None,
        began: float = math.inf,
    ) -> BatchState | None:
        """
        List the files, take the lease, take over what an earlier try or run has done, check the limits, and note it.

        :param last_tries: ``max_tries`` when this task last began, None where it has not
        :param began: when the first try since the last Clear began, in epoch seconds
        :return: None if there is nothing to do
        :raises LaplasArgumentError: if there are more files than the limits allow, or another task is at work
        """
        names = list(self.storage.list_files(meta_folder(self.uri)))
        before = next(reversed(snapshots(self.uri, names)), None)
        sources = self.sources(min_age=self.min_age)
        found = find_lease(self.uri, self.storage, names=names)
        if not sources and not (durable and (found or self.storage.exists(self.uri))):
            return None
        owner = asdict(task)
        check_free(found, owner, self.storage)
        lease = take_lease(self.uri, owner, self.storage, after=found)
        # What is in the folder is listed once, and after that: nobody else submits from here on.
        try:
            outputs = self.storage.list_files(self.folder)
            beginning = Beginning(lease, outputs, self.request, self.limits, self.storage, before, began)
            return beginning.begin(sources, max_tries, durable=durable, last_tries=last_tries)
        except Exception:
            # Nobody is to wait for a task that does not work.
            leave(lease, self.storage)
            raise

    def foresee(
        self, task: TaskKey, max_tries: int, *, durable: bool, last_tries: int | None = None
    ) -> list[FileRecord]:
        """
        Return the files that would be submitted if the batch began now, and those that would fail. Nothing is written.

        :param last_tries: ``max_tries`` when this task last began, None where it has not
        """
        names = list(self.storage.list_files(meta_folder(self.uri)))
        before = next(reversed(snapshots(self.uri, names)), None)
        sources = self.sources(min_age=self.min_age)
        found = find_lease(self.uri, self.storage, names=names)
        # Not taken: whoever is at work goes on.
        lease = Lease(self.uri, found.number + 1 if found else 1, asdict(task), time.time())
        outputs = self.storage.list_files(self.folder)
        beginning = Beginning(lease, outputs, self.request, self.limits, self.storage, before)
        records = beginning.foresee(sources, max_tries, durable=durable, last_tries=last_tries)
        failed = [r for r in records if r.state is FileState.FAILED and r.lease == lease.number]
        pending = [r for r in records if r.state is FileState.PENDING]
        split = {r.part_of for r in pending if r.part_of is not None}
        return [*failed, *pending, *(r for r in records if r.output in split)]

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
        return find_sources(self.audio, self.folder, self.storage, min_age=min_age)

    def submit(self, state: BatchState) -> bool:
        """
        Submit as many files as there is room for, and return whether there is anything to wait for.

        If the API accepts none of them, the next ones are submitted at once, because no trigger would call back.
        """
        states = state.tally.states
        while states[FileState.PENDING] and self._stopped(state.tally) is None:
            room, before = self.limits.max_in_flight - states[FileState.SUBMITTED], states.copy()
            if room > 0:
                submit_pending(
                    lambda: shared_client(self.conn_id),
                    state,
                    self.audio_of(),
                    self.request,
                    room=room,
                    stopped=lambda: self._stopped(state.tally),
                )
                log.info("Files: %s.", state.tally)
            if states[FileState.SUBMITTED]:
                break
            if states == before and self._stopped(state.tally) is None:
                # Never to be seen; but a task must not go round for ever.
                raise LaplasBatchError(
                    f"Of {states[FileState.PENDING]} pending files none is found in the journal. Clear the task: it then "
                    "lists the files anew, and submits none again that was submitted.",
                    manifest=redacted(state.uri),
                )
        return states[FileState.SUBMITTED] > 0

    def audio_of(self) -> Callable[[FileRecord], str | None]:
        """Return what finds a file's audio: a record holds no signature, so that of a list is looked for there."""
        if isinstance(self.audio, str):
            # What may be shown of a file in a storage is all of it.
            return lambda record: record.source
        sources = {output_name(audio, None): audio for audio in self.audio}
        legacy: dict[tuple[str | None, str], str] = {}
        for audio in sources.values():
            # Version 0.1 called several items of a list the same: the first one keeps the name.
            legacy.setdefault((legacy_output_name(audio, None), redacted(audio)), audio)

        def audio_of(record: FileRecord) -> str | None:
            output = record.part_of or record.output
            return sources.get(output) or legacy.get((output, redacted(record.source)))

        return audio_of

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
            output=self.output,
        )

    def publish(self, state: BatchState) -> None:
        """Do :func:`~airflow_provider_laplas.batch.publish.publish_completed`."""
        publish_completed(state, self.output)

    def finish(self, state: BatchState) -> tuple[Manifest, bool] | None:
        """
        Write the manifest, which holds all that was noted, and return it.

        :return: the manifest, and whether an asset event is due; None if there is something to do first: there are late
            answers of other writers, or files whose parts are to be joined
        :raises LaplasArgumentError: if somebody else has taken the lease
        """
        if ready_to_join(state):
            # The last parts of a file were refused just now.
            return None
        manifest, new = gather(state)
        if take_late(state, manifest, self.request.timeout):
            return None
        done = list(manifest.having(FileState.COMPLETED, FileState.DUPLICATE))
        news = False
        if self._stopped(tally_of(manifest)) is None:
            # A retry announces this run's files again: the try before may have died between noting it and telling.
            news = any(not e.announced or e.lease >= manifest.began_lease for e in done)
            for entry in done:
                entry.announced = True
        for record in (r for r in (*manifest.entries, *manifest.parts) if r.state is FileState.AMBIGUOUS):
            # From here on a Clear is consent: the task's error, or its summary, says so.
            record.reported = True
        write(state, manifest, new)
        return manifest, news

    def abandon(self, state: BatchState) -> None:
        """Write the manifest of a batch whose task fails, and leave it to whoever comes next."""
        try:
            write(state, *gather(state))
        except LaplasArgumentError as error:
            # Somebody else has the lease: nothing is wrong with the storage.
            log.info("The manifest is left as it is: %s", error)
        except Exception as error:  # noqa: BLE001
            # What was noted is in the journal all the same.
            log.warning("The manifest cannot be written: %s", redact(repr(error)))

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
        log.info("Files: %s; %.0f s of audio.", tally, tally.audio_seconds)
        if stopped is not None:
            # Files that were not submitted are left for whoever comes next.
            raise LaplasBatchError(
                f"{stopped} Files: {tally}. The manifest lists the state of each file: {redacted(manifest.uri)}",
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
        if self._ended.is_set() and tally.unfinished:
            return "The task was killed. What was submitted goes on and is billed. Clear the task to resume:"
        if tally.stopped is not None:
            return tally.stopped
        # What failed in an earlier run was reported by that.
        if tally.failed > self.limits.max_failed:
            return f"{tally.failed} files failed (max_failed={self.limits.max_failed}), the first: {tally.failure}"
        limit = self.limits.max_audio_seconds
        if limit is not None and tally.new_audio_seconds > limit and tally.states[FileState.PENDING]:
            return f"The finished audio exceeded max_audio_seconds={limit:g}, so nothing more was submitted:"
        return None
