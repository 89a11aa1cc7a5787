"""A batch as a task: begin, defer, go on where the trigger calls the worker back, return the summary."""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, Context

from airflow_provider_laplas.arguments import check_age, check_count, check_flag, check_seconds, check_text
from airflow_provider_laplas.captions.formats import check_formats
from airflow_provider_laplas.completion import deferral_timeout, price_of, trigger_timed_out
from airflow_provider_laplas.durable import Record, RecordStore
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasBatchError, LaplasError, from_payload
from airflow_provider_laplas.exceptions import task_errors
from airflow_provider_laplas.lineage import MOST_DATASETS, lineage
from airflow_provider_laplas.manifest import FileState, Manifest, ResumePolicy
from airflow_provider_laplas.publishing import asset_uri, emit_asset, read_captions, read_quality
from airflow_provider_laplas.redaction import show_location
from airflow_provider_laplas.results import TaskKey, check_results_path
from airflow_provider_laplas.triggers import STTBatchTrigger
from airflow_provider_laplas.usage import USAGE_KEY, usage

if TYPE_CHECKING:
    from airflow_provider_laplas.batch import Batch


class BatchMixin:
    """What a task that transcribes many files does, beside its request."""

    audio: Any
    captions: dict[str, Any] | None
    conn_id: str
    deferrable: bool
    durable: bool
    execution_timeout: timedelta | None
    min_age: Any = 0.0
    formats: Any
    model: str
    on_ambiguous: str
    on_expired: str
    outlets: list[Any]
    poke_interval: float
    quality: dict[str, Any] | None
    results_path: str | None
    soft_fail: bool = False
    timeout: float
    written: str | None = None
    """The manifest's URI, once the task is done with its files."""
    _manifest: Manifest | None = None

    def accept_limits(
        self, *, max_in_flight: Any, max_failed: Any, deduplicate: Any, max_files: Any, max_audio_seconds: Any
    ) -> None:
        """
        Take over the arguments that limit a batch.

        :raises LaplasArgumentError: naming the one that cannot be right
        """
        self.max_in_flight = check_count("max_in_flight", max_in_flight, least=1)
        self.max_failed = check_count("max_failed", max_failed)
        self.deduplicate = check_flag("deduplicate", deduplicate)
        self.max_files = None if max_files is None else check_count("max_files", max_files, least=1)
        self.max_audio_seconds = (
            None if max_audio_seconds is None else check_seconds("max_audio_seconds", max_audio_seconds)
        )

    def begin_batch(self, context: Context) -> Any:
        """List the files, take over what is done already, submit, and wait."""
        with task_errors(skip=self.soft_fail):
            batch = self._batch()
            store = RecordStore(context)
            # The manifest may be a later run's by now: only the task itself knows whether it has begun before.
            earlier = store.load()
            manifest = batch.begin(
                TaskKey.from_context(context),
                store.max_tries,
                durable=self.durable,
                last_tries=earlier.max_tries if earlier else None,
            )
            if not manifest.entries:
                raise AirflowSkipException("There is nothing to transcribe: `audio` holds no file.")
            # Behind what it decides: a try that dies before has begun nothing, and used up no consent.
            store.save(Record("batch", store.max_tries, 0.0))
            return self._go_on(context, batch, manifest)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on where the trigger has called the worker back."""
        with task_errors(skip=self.soft_fail):
            match event:
                case {"status": "waited"}:
                    batch = self._batch()
                    return self._go_on(context, batch, batch.load(TaskKey.from_context(context)))
                case {"status": "error", "error": dict() as error}:
                    raise from_payload(error)
            raise LaplasError(
                "The task was resumed with an event that its trigger never sends. Clear the task."
            )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume, also where Airflow's time-out ended the trigger."""
        if trigger_timed_out(next_method, next_kwargs):
            return self.resume_timed_out(context)
        return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]

    def resume_timed_out(self, context: Context) -> Any:
        """
        Look once more at every file whose deadline has passed unseen, and go on.

        :raises LaplasBatchError: where ``execution_timeout`` ended the wait before that; a Clear takes it up again
        """
        with task_errors(skip=self.soft_fail):
            batch = self._batch()
            manifest = batch.load(TaskKey.from_context(context))
            open_yet = [e for e in manifest.having(FileState.SUBMITTED) if (e.deadline or 0.0) > time.time()]
            if open_yet and self.execution_timeout is not None:
                raise LaplasBatchError(
                    f"`execution_timeout` passed while {len(open_yet)} files were waited for. They go on at the API and "
                    f"are billed. A Clear takes them up, from {show_location(manifest.uri)}.",
                    manifest=show_location(manifest.uri),
                )
            self.log.warning("The triggerer gave up waiting; looking once more at every file.")  # type: ignore[attr-defined]
            return self._go_on(context, batch, batch.wait(manifest))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the new files and what was made of them, for OpenLineage; of very many, the folders."""
        if self._manifest is None:
            return lineage([], [])
        new = self._manifest.new(FileState.COMPLETED)
        folder = self._manifest.folder
        if len(new) > MOST_DATASETS:
            place = [self.audio] if isinstance(self.audio, str) else []
            return lineage(place, [asset_uri(folder)])
        return lineage(
            [entry.source for entry in new],
            [asset_uri(f"{folder}/{name}") for e in new for name in e.names()],
        )

    def _batch(self) -> "Batch":
        # requests, aiohttp and the HTTP provider cost half a second to import, which a DAG file should not pay.
        from airflow_provider_laplas.batch import Batch, Limits  # noqa: PLC0415
        from airflow_provider_laplas.batch_loops import Request  # noqa: PLC0415

        check_results_path(self.results_path)
        if self.results_path is None:
            raise LaplasArgumentError(
                "`results_path` must be set for a list of audio.", argument="results_path"
            )
        return Batch(
            conn_id=check_text("conn_id", self.conn_id),
            audio=self.rendered_audio(),  # type: ignore[attr-defined]
            folder=self.results_path.rstrip("/"),
            request=Request(
                self.model,
                self.rendered_options(),  # type: ignore[attr-defined]
                self.timeout,
                resubmit=self.on_ambiguous == "resubmit",
            ),
            policy=ResumePolicy(self.on_ambiguous, self.on_expired),
            limits=Limits(
                self.max_in_flight, self.max_failed, self.max_files, self.max_audio_seconds, self.deduplicate
            ),
            poll_interval=self.poke_interval,
            min_age=check_age("min_age", self.min_age),
            formats=tuple(check_formats(self.formats)),
            quality=read_quality(self.quality),
            captions=read_captions(self.captions),
        )

    def _go_on(self, context: Context, batch: "Batch", manifest: Manifest) -> dict[str, Any]:
        while True:
            # First, so that what is not good enough counts before more is submitted.
            batch.publish(manifest)
            if not batch.submit(manifest):
                return self._hand_on_batch(context, batch, manifest)
            if self.deferrable:
                self._defer_batch(batch, manifest)
            manifest = batch.wait(manifest)

    def _defer_batch(self, batch: "Batch", manifest: Manifest) -> None:
        latest = max((entry.deadline or 0.0 for entry in manifest.having(FileState.SUBMITTED)), default=0.0)
        self.defer(  # type: ignore[attr-defined]
            trigger=STTBatchTrigger(
                conn_id=self.conn_id,
                manifest=manifest.uri,
                claim=str(manifest.claim),
                poll_interval=self.poke_interval,
                resume_at=batch.resume_at(manifest),
            ),
            method_name="execute_complete",
            timeout=deferral_timeout(max(latest - time.time(), self.timeout), self.execution_timeout),
        )

    def _hand_on_batch(self, context: Context, batch: "Batch", manifest: Manifest) -> dict[str, Any]:
        """Tell other tasks what is new, and return the summary."""
        self._manifest, self.written = manifest, manifest.uri
        seconds = manifest.new_audio_seconds()
        # Before anything can fail: it is billed.
        context["ti"].xcom_push(key=USAGE_KEY, value=usage(seconds, price_of(self.conn_id)))
        summary = batch.summarise(manifest)
        # Also of what a run finished that then failed, and so told nobody.
        if batch.announce(manifest):
            counts = {name: summary[name] for name in ("files", "completed", "new", "failed")}
            emit_asset(
                context,
                self.outlets,
                manifest.uri,
                manifest=manifest.uri,
                audio_seconds=seconds,
                **counts,
            )
        return summary
