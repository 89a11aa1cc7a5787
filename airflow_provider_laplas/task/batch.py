"""A task that transcribes many files: list, submit, defer, resume when the trigger fires, publish the results."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_laplas.airflow_compat import Context, TriggerFailure
from airflow_provider_laplas.api.resume import ResumePolicy
from airflow_provider_laplas.batch.limits import BatchLimits
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasBatchError
from airflow_provider_laplas.events import BatchEvent
from airflow_provider_laplas.links import asset_uri
from airflow_provider_laplas.manifest.files import FileState
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.manifest.summary import ABANDONED_AFTER
from airflow_provider_laplas.media.preparation import Preparation
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import TaskKey, write_set_aside
from airflow_provider_laplas.results.output import Output, check_results_path
from airflow_provider_laplas.task.notify import MOST_DATASETS, emit_asset, lineage, price_of
from airflow_provider_laplas.task.outcome import Defer, Done, LeaveToAirflow, Outcome, Skip
from airflow_provider_laplas.task.record import RecordStore
from airflow_provider_laplas.transcript.usage import USAGE_KEY, usage
from airflow_provider_laplas.triggers import STTBatchTrigger

if TYPE_CHECKING:
    from airflow_provider_laplas.batch.batch import Batch

log = logging.getLogger(__name__)


@dataclass(slots=True)
class BatchTask:
    """
    One run of one task over many files.

    :ivar audio: a list of sources, or a folder or glob
    :ivar results_path: the folder for transcripts and manifest
    :ivar timeout: seconds for each generation, from its submission
    :ivar durable: whether to continue the work of an earlier try or run
    :ivar place: the folder or glob that is transcribed, redacted; None for a list
    :ivar preparation: what is done with each recording before it is submitted; None for nothing
    :ivar written: the manifest's URI, once all files are processed
    """

    context: Context = field(repr=False)
    conn_id: str
    audio: Any = field(repr=False)
    results_path: str | None
    model: str
    options: Mapping[str, Any] = field(repr=False)
    policy: ResumePolicy
    limits: BatchLimits
    output: Output
    min_age: float
    poll_interval: float
    timeout: float
    durable: bool
    deferrable: bool
    execution_timeout: timedelta | None
    outlets: list[Any]
    place: str | None
    preparation: Preparation | None = None
    written: str | None = field(default=None, init=False)
    batch: "Batch" = field(init=False, repr=False)
    _manifest: Manifest | None = field(default=None, init=False, repr=False)
    _under_way: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        # Imported here to keep DAG parsing fast: requests, aiohttp and the HTTP provider take half a second.
        from airflow_provider_laplas.batch.batch import Batch  # noqa: PLC0415
        from airflow_provider_laplas.batch.submit import Request  # noqa: PLC0415

        folder = check_results_path(self.results_path)
        if folder is None:
            raise LaplasArgumentError(
                "`results_path` must be set for a list of audio.", argument="results_path"
            )
        self.batch = Batch(
            conn_id=self.conn_id,
            audio=self.audio,
            folder=folder.rstrip("/"),
            request=Request(self.model, self.options, self.timeout, self.policy, self._preparation()),
            limits=self.limits,
            output=self.output,
            poll_interval=self.poll_interval,
            min_age=self.min_age,
        )

    def _preparation(self) -> Preparation | None:
        if self.preparation is None:
            return None
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

        with LaplasHook(self.conn_id) as hook:
            return self.preparation.within(hook.client.settings)

    @property
    def manifest(self) -> Manifest | None:
        """What became of the files, once all are processed."""
        return self._manifest

    def start(self) -> Outcome:
        """List the files, skip those already done, submit the others, and wait."""
        records = RecordStore(self.context, self._key, self.batch.folder)
        # A later run may own the manifest by now, so the task keeps its own record of having started.
        state = self.batch.begin(
            self._key,
            records.max_tries,
            durable=self.durable,
            last_tries=records.batch_tries(),
            began=records.first_began(),
        )
        if state is None:
            return Skip("There is nothing to transcribe: `audio` contains no files.")
        # Recorded only now: a try that dies before this point has not used up a Clear.
        records.note_batch()
        return self._go_on(state)

    def resume(self, event: Any) -> Outcome:
        """Continue after the trigger's event."""
        error = BatchEvent.from_payload(event).error
        if error is not None and not write_set_aside(self._key, self.batch.storage):
            raise error
        state = self._load()
        # Version 0.1 has deferred it, or somebody has deleted the journal: what is known is taken over.
        return self._go_on(state) if state is not None else self.start()

    def trigger_failed(self, failure: TriggerFailure) -> Outcome:
        """
        Poll every file at least once more, and continue.

        :raises LaplasBatchError: if ``execution_timeout`` ended the wait before all deadlines had passed; clearing the
            task resumes it
        """
        if not failure.timed_out:
            return LeaveToAirflow()
        state = self._load()
        if state is None:
            return self.start()
        # Several parts of a file are one file.
        open_yet = {
            e.part_of or e.output
            for e in state.having(FileState.SUBMITTED)
            if (e.deadline or 0.0) > time.time()
        }
        if open_yet and self.execution_timeout is not None:
            raise LaplasBatchError(
                f"`execution_timeout` passed while waiting for {len(open_yet)} files. The API still transcribes and "
                f"bills them. Clear the task to resume from {redacted(state.uri)}.",
                manifest=redacted(state.uri),
            )
        self._under_way = True
        log.warning("The trigger timed out; polling every file once more.")
        self.batch.wait(state)
        return self._go_on(state)

    def on_kill(self) -> None:
        """Submit nothing more, and log that the generations keep running: the API cannot cancel them."""
        self.batch.end()
        if self._under_way:
            log.warning(
                "The task was killed while its batch was running. The API cannot cancel what was submitted: it goes on "
                "and is billed. Clear the task to resume from %s.",
                redacted(self.batch.uri),
            )

    def lineage(self) -> Any:
        """Return the new files and their outputs, for OpenLineage; the folders if there are too many files."""
        if self._manifest is None:
            return lineage([], [])
        new = self._manifest.new(FileState.COMPLETED)
        folder = self._manifest.folder
        if len(new) > MOST_DATASETS:
            return lineage([self.place] if self.place else [], [asset_uri(folder)])
        return lineage(
            [redacted(entry.source) for entry in new],
            [asset_uri(f"{folder}/{name}") for e in new for name in e.names()],
        )

    def _load(self) -> "BatchState | None":
        # What is under way is paid for: a storage that is away for some minutes does not end the task.
        return persistently(self.batch.load, self._key, until=time.time() + ABANDONED_AFTER)

    @property
    def _key(self) -> TaskKey:
        return TaskKey.from_context(self.context)

    def _go_on(self, state: BatchState) -> Outcome:
        self._under_way = True
        try:
            outcome = self._work(state)
        except Exception:
            if self._under_way:
                self._under_way = False
                self.batch.abandon(state)
            raise
        return outcome

    def _work(self, state: BatchState) -> Outcome:
        while True:
            # First, so that files that fail a quality check count before more are submitted.
            self.batch.publish(state)
            if self.batch.submit(state):
                if self.deferrable:
                    return self._defer(state)
                self.batch.wait(state)
            elif finished := self.batch.finish(state):
                self._under_way = False
                return self._hand_on(*finished)

    def _defer(self, state: BatchState) -> Defer:
        state.hand_over()
        latest = max((entry.deadline or 0.0 for entry in state.having(FileState.SUBMITTED)), default=0.0)
        trigger = STTBatchTrigger(
            conn_id=self.conn_id,
            manifest=state.uri,
            lease_token=str(state.lease.number),
            poll_interval=self.poll_interval,
            resume_at=self.batch.resume_at(state),
            formats=list(self.output.formats),
            captions=asdict(self.output.captions) if self.output.captions else None,
            quality=asdict(self.output.quality) if self.output.quality else None,
        )
        return Defer.until(max(latest, time.time() + self.timeout), trigger, self.execution_timeout)

    def _hand_on(self, manifest: Manifest, news: bool) -> Done:
        """
        Push the usage, emit the asset event, and return the summary.

        :param news: whether there are files of which no asset event has told
        """
        self._manifest, self.written = manifest, manifest.uri
        seconds = manifest.new_audio_seconds()
        # Before anything can fail, because the audio is billed.
        self.context["ti"].xcom_push(key=USAGE_KEY, value=usage(seconds, self._price()))
        summary = self.batch.summarise(manifest)
        if news:
            counts = {name: summary[name] for name in ("files", "completed", "new", "failed")}
            emit_asset(
                self.context,
                self.outlets,
                manifest.uri,
                manifest=manifest.uri,
                audio_seconds=seconds,
                **counts,
            )
        return Done(summary)

    def _price(self) -> float | None:
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

        with LaplasHook(self.conn_id) as hook:
            return price_of(hook)
