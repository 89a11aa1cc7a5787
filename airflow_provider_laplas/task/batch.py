"""A task that transcribes many files: list and submit, defer, go on where the trigger calls back, hand on."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_laplas.airflow_compat import Context, TriggerFailure
from airflow_provider_laplas.api.resume import ResumePolicy
from airflow_provider_laplas.batch.limits import BatchLimits
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasBatchError
from airflow_provider_laplas.links import asset_uri
from airflow_provider_laplas.manifest.files import FileState
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.results.output import Output, check_results_path
from airflow_provider_laplas.task.notify import MOST_DATASETS, emit_asset, lineage, price_of
from airflow_provider_laplas.task.outcome import Defer, Done, LeaveToAirflow, Outcome, Skip
from airflow_provider_laplas.task.record import RecordStore
from airflow_provider_laplas.transcript.usage import USAGE_KEY, usage
from airflow_provider_laplas.triggers import BatchEvent, STTBatchTrigger

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
    :ivar durable: whether what an earlier try or run has done is taken up
    :ivar place: the folder or glob that is transcribed, as it may be shown; None for a list
    :ivar written: the manifest's URI, once the task is done with its files
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
    written: str | None = field(default=None, init=False)
    batch: "Batch" = field(init=False, repr=False)
    _manifest: Manifest | None = field(default=None, init=False, repr=False)
    _under_way: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        # requests, aiohttp and the HTTP provider cost half a second to import, which a DAG file should not pay.
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
            request=Request(self.model, self.options, self.timeout, self.policy),
            limits=self.limits,
            output=self.output,
            poll_interval=self.poll_interval,
            min_age=self.min_age,
        )

    def start(self) -> Outcome:
        """List the files, take over what is done already, submit, and wait."""
        records = RecordStore(self.context)
        # The manifest may be a later run's by now: only the task itself knows whether it has begun before.
        manifest = self.batch.begin(
            self._key, records.max_tries, durable=self.durable, last_tries=records.batch_tries()
        )
        if not manifest.entries:
            return Skip("There is nothing to transcribe: `audio` holds no file.")
        # Behind what it decides: a try that dies before has begun nothing, and no Clear was spent on it.
        records.note_batch()
        return self._go_on(manifest)

    def resume(self, event: Any) -> Outcome:
        """Go on where the trigger has called the worker back."""
        error = BatchEvent.from_payload(event).error
        if error is not None:
            raise error
        return self._go_on(self.batch.load(self._key))

    def trigger_failed(self, failure: TriggerFailure) -> Outcome:
        """
        Poll once more every file whose deadline has passed unseen, and go on.

        :raises LaplasBatchError: where ``execution_timeout`` ended the wait before that; a Clear takes it up again
        """
        if not failure.timed_out:
            return LeaveToAirflow()
        manifest = self.batch.load(self._key)
        open_yet = [e for e in manifest.having(FileState.SUBMITTED) if (e.deadline or 0.0) > time.time()]
        if open_yet and self.execution_timeout is not None:
            raise LaplasBatchError(
                f"`execution_timeout` passed while {len(open_yet)} files were waited for. They go on at the API and "
                f"are billed. A Clear takes them up, from {redacted(manifest.uri)}.",
                manifest=redacted(manifest.uri),
            )
        self._under_way = True
        log.warning("The triggerer gave up waiting; polling once more for every file.")
        return self._go_on(self.batch.wait(manifest))

    def on_kill(self) -> None:
        """Say that the generations go on: the API cannot cancel one."""
        if self._under_way:
            log.warning(
                "The task was ended while its batch was at work. The API cannot cancel what was submitted: it goes on "
                "and is billed. A Clear takes it up again, from %s.",
                redacted(self.batch.uri),
            )

    def lineage(self) -> Any:
        """Return the new files and what was made of them, for OpenLineage; of very many, the folders."""
        if self._manifest is None:
            return lineage([], [])
        new = self._manifest.new(FileState.COMPLETED)
        folder = self._manifest.folder
        if len(new) > MOST_DATASETS:
            return lineage([self.place] if self.place else [], [asset_uri(folder)])
        return lineage(
            [entry.source for entry in new],
            [asset_uri(f"{folder}/{name}") for e in new for name in e.names()],
        )

    @property
    def _key(self) -> TaskKey:
        return TaskKey.from_context(self.context)

    def _go_on(self, manifest: Manifest) -> Outcome:
        self._under_way = True
        while True:
            # First, so that what is not good enough counts before more is submitted.
            self.batch.publish(manifest)
            if not self.batch.submit(manifest):
                self._under_way = False
                return self._hand_on(manifest)
            if self.deferrable:
                return self._defer(manifest)
            manifest = self.batch.wait(manifest)

    def _defer(self, manifest: Manifest) -> Defer:
        latest = max((entry.deadline or 0.0 for entry in manifest.having(FileState.SUBMITTED)), default=0.0)
        trigger = STTBatchTrigger(
            conn_id=self.conn_id,
            manifest=manifest.uri,
            lease_token=str(manifest.lease_token),
            poll_interval=self.poll_interval,
            resume_at=self.batch.resume_at(manifest),
        )
        return Defer.until(max(latest, time.time() + self.timeout), trigger, self.execution_timeout)

    def _hand_on(self, manifest: Manifest) -> Done:
        """Tell other tasks what is new, and return the summary."""
        self._manifest, self.written = manifest, manifest.uri
        seconds = manifest.new_audio_seconds()
        # Before anything can fail: it is billed.
        self.context["ti"].xcom_push(key=USAGE_KEY, value=usage(seconds, self._price()))
        summary = self.batch.summarise(manifest)
        # Also of what a run finished that then failed, and so told nobody.
        if self.batch.announce(manifest):
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
