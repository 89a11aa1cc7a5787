"""The operators: submit audio, submit it and wait in one task, or do so with thousands of files."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, Context

from airflow_provider_laplas.arguments import check_count, check_flag, check_pause, check_seconds, check_text
from airflow_provider_laplas.audio import is_web_url
from airflow_provider_laplas.base import BaseSTTOperator
from airflow_provider_laplas.completion import (
    BACKSTOP,
    TRIGGER_FAILED,
    TRIGGER_TIMEOUT,
    CompletionMixin,
    make_hook,
)
from airflow_provider_laplas.durable import RecordStore
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError, from_payload
from airflow_provider_laplas.exceptions import airflow_errors
from airflow_provider_laplas.manifest import FileState, Manifest, ResumePolicy
from airflow_provider_laplas.options import is_template
from airflow_provider_laplas.results import TaskKey, check_results_path, choose_results_path
from airflow_provider_laplas.triggers import STTBatchTrigger
from airflow_provider_laplas.waiting import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from airflow_provider_laplas.batch import Batch

GENERATION_ID_KEY = "generation_id"
"""The XCom key under which a submission's id is found, beside the task's return value."""


class SubmitSTTOperator(BaseSTTOperator):
    """
    Submit audio and return the generation id.

    An :class:`~airflow_provider_laplas.sensors.STTCompletionSensor` waits for it. The id is pushed to XCom as the
    return value and under the key ``generation_id``. The arguments are those of
    :class:`~airflow_provider_laplas.base.BaseSTTOperator`.

    The API has no idempotency key. A submission that was sent and not answered is a
    :class:`~airflow_provider_laplas.errors.LaplasAmbiguousSubmitError`, which Airflow does not retry.
    """

    def execute(self, context: Context) -> str:
        """Submit, unless an earlier try of this task already has."""
        with airflow_errors(), make_hook(self.conn_id) as hook:
            folder = choose_results_path(None, hook.settings.results_path)
            record = self.obtain(context, hook, timeout=DEFAULT_TIMEOUT, folder=folder)
        generation_id = str(record.generation_id)
        context["ti"].xcom_push(key=GENERATION_ID_KEY, value=generation_id)
        return generation_id


class TranscribeOperator(CompletionMixin, BaseSTTOperator):
    """
    Submit audio, wait for the transcript, and return it: one task.

    The request's arguments are those of :class:`BaseSTTOperator`; waiting, the return value and the remaining
    arguments are those of :class:`~airflow_provider_laplas.sensors.STTCompletionSensor`.

    :param results_path: a folder in object storage for the API's whole reply. Templated
    :param deferrable: wait in the triggerer, without a worker slot. Default True
    :param defer_after: seconds of looking in the worker before the task defers. Default 10, and 0 for a mapped task: a
        short clip is then done without the two task starts and the seconds that a deferral costs, and hundreds of
        mapped tasks do not sit on worker slots
    :param poke_interval: the longest pause between two looks, in seconds. Default 10
    :param timeout: seconds from the submission until the task gives up. Default 3600
    :param soft_fail: skip the task instead of failing it
    """

    template_fields: Sequence[str] = (*BaseSTTOperator.template_fields, "results_path")
    usual_stay = 10.0

    def __init__(
        self,
        *,
        results_path: str | None = None,
        deferrable: bool = True,
        defer_after: float | timedelta | None = None,
        poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        soft_fail: bool = False,
        **kwargs: Any,
    ) -> None:
        check_results_path(results_path)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.results_path = results_path
        self.deferrable = check_flag("deferrable", deferrable)
        self.defer_after = check_pause("defer_after", defer_after)
        self.poke_interval = check_seconds("poke_interval", poke_interval)
        self.timeout = check_seconds("timeout", timeout)
        self.soft_fail = check_flag("soft_fail", soft_fail)
        self.never_fail = False

    def execute(self, context: Context) -> Any:
        """Submit, unless an earlier try of this task already has; then wait in the way that was chosen."""
        with self.task_errors():
            with self.hook() as hook:
                folder = choose_results_path(self.results_path, hook.settings.results_path)
                earlier = RecordStore(context).load()
                record = self.obtain(context, hook, timeout=self.timeout, folder=folder)
            context["ti"].xcom_push(key=GENERATION_ID_KEY, value=record.generation_id)
            known = earlier is not None and earlier.generation_id == record.generation_id
            return self.wait_for_generation(context, record, first_try=not known)


class TranscribeBatchOperator(BaseSTTOperator):
    """
    Transcribe many files in one task: thousands of files cost one task, not thousands.

    The worker submits, up to ``max_in_flight`` files; then one trigger waits for all of them, writes each transcript as
    it finishes, and calls the worker back when there is room for more. What became of each file is in
    ``manifest.json`` beside the outputs, from which a retry, a Clear or a later run over the same folder goes on:
    finished files are not submitted again, running ones are attached to, and files that failed are submitted again by
    a retry or a Clear only.

    Returns a summary: ``files``, ``completed``, ``failed``, ``counts`` by state, ``audio_seconds``, ``manifest`` and
    ``results_path``; never the texts.

    The request's remaining arguments are those of :class:`~airflow_provider_laplas.base.BaseSTTOperator`;
    ``on_ambiguous`` and ``on_expired`` hold for each file, and ``durable=False`` ignores an earlier manifest.

    :param audio: a list of what ``audio`` can be elsewhere; or a folder or a glob in object storage
        (``s3://bucket/inbox/*.mp3``), whose files are uploaded. Where there are none, the task is skipped. Templated
    :param results_path: the folder in object storage for the transcripts (the API's replies) and the manifest. One
        task at a time. Templated
    :param max_in_flight: how many files may be submitted and not finished. Default 200
    :param max_failed: how many files may fail without failing the task. When more have, nothing more is submitted.
        Default 0
    :param deduplicate: transcribe files with the same content once (uploads are read whole to find out). Default False
    :param max_files: more files than these are refused before anything is submitted. Default no limit
    :param max_audio_seconds: uploads are probed, and refused before anything is submitted if they are longer together;
        for URLs, submission stops once the finished audio is longer. Needs the extra ``probe`` for uploads. Default no
        limit
    :param deferrable: wait in the triggerer, without a worker slot. Default True
    :param poke_interval: the longest pause between two looks at one file, in seconds. Default 10
    :param timeout: seconds for each file, from its submission. Default 3600
    """

    template_fields: Sequence[str] = (*BaseSTTOperator.template_fields, "results_path")

    def __init__(
        self,
        *,
        audio: Any,
        results_path: str,
        max_in_flight: int = 200,
        max_failed: int = 0,
        deduplicate: bool = False,
        max_files: int | None = None,
        max_audio_seconds: float | None = None,
        deferrable: bool = True,
        poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        check_text("results_path", results_path)
        check_results_path(results_path)
        super().__init__(audio=audio, **kwargs)
        self.results_path = results_path
        self.max_in_flight = check_count("max_in_flight", max_in_flight, least=1)
        self.max_failed = check_count("max_failed", max_failed)
        self.deduplicate = check_flag("deduplicate", deduplicate)
        self.max_files = None if max_files is None else check_count("max_files", max_files, least=1)
        self.max_audio_seconds = (
            None if max_audio_seconds is None else check_seconds("max_audio_seconds", max_audio_seconds)
        )
        self.deferrable = check_flag("deferrable", deferrable)
        self.poke_interval = check_seconds("poke_interval", poke_interval)
        self.timeout = check_seconds("timeout", timeout)

    def check_audio(self, audio: Any) -> Any:
        """Return a list of sources, or a folder or glob."""
        if isinstance(audio, str):
            if is_web_url(audio):
                raise LaplasArgumentError(
                    "`audio` must be a list, or a folder: for one URL use a list of one.", argument="audio"
                )
            return super().check_audio(audio)
        if not isinstance(audio, list | tuple):
            raise LaplasArgumentError(
                f"`audio` must be a list, or a folder or glob in object storage, not {type(audio).__name__}.",
                argument="audio",
            )
        return [
            item if is_template(item) else super(TranscribeBatchOperator, self).check_audio(item)
            for item in audio
        ]

    def execute(self, context: Context) -> Any:
        """List the files, take over what is done already, submit, and wait."""
        with airflow_errors():
            batch = self._batch()
            manifest = batch.begin(
                TaskKey.from_context(context), RecordStore(context).max_tries, durable=self.durable
            )
            if not manifest.entries:
                raise AirflowSkipException("There is nothing to transcribe: `audio` holds no file.")
            return self._go_on(batch, manifest)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on where the trigger has called the worker back."""
        with airflow_errors():
            match event:
                case {"status": "waited"}:
                    batch = self._batch()
                    return self._go_on(batch, batch.load(TaskKey.from_context(context)))
                case {"status": "error", "error": dict() as error}:
                    raise from_payload(error)
            raise LaplasError(
                "The task was resumed with an event that its trigger never sends. Clear the task."
            )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; where Airflow's time-out ended the trigger, look at each file once more."""
        if next_method == TRIGGER_FAILED and (next_kwargs or {}).get("error") == TRIGGER_TIMEOUT:
            self.log.warning("The triggerer gave up waiting; looking once more at every file.")
            with airflow_errors():
                batch = self._batch()
                return batch.summarise(batch.wait(batch.load(TaskKey.from_context(context))))
        return super().resume_execution(next_method, next_kwargs, context)

    def _batch(self) -> "Batch":
        # requests, aiohttp and the HTTP provider cost half a second to import, which a DAG file should not pay.
        from airflow_provider_laplas.batch import Batch, Limits, Request  # noqa: PLC0415

        check_results_path(self.results_path)
        return Batch(
            conn_id=check_text("conn_id", self.conn_id),
            audio=self.rendered_audio(),
            folder=self.results_path.rstrip("/"),
            request=Request(
                self.model, self.rendered_options(), self.timeout, resubmit=self.on_ambiguous == "resubmit"
            ),
            policy=ResumePolicy(self.on_ambiguous, self.on_expired),
            limits=Limits(
                self.max_in_flight, self.max_failed, self.max_files, self.max_audio_seconds, self.deduplicate
            ),
            poll_interval=self.poke_interval,
        )

    def _go_on(self, batch: "Batch", manifest: Manifest) -> dict[str, Any]:
        while batch.submit(manifest):
            if self.deferrable:
                latest = max(
                    (entry.deadline or 0.0 for entry in manifest.having(FileState.SUBMITTED)), default=0.0
                )
                seconds = max(latest - time.time(), self.timeout) + BACKSTOP
                self.defer(
                    trigger=STTBatchTrigger(
                        conn_id=self.conn_id,
                        manifest=manifest.uri,
                        results_path=batch.folder,
                        poll_interval=self.poke_interval,
                        timeout=self.timeout,
                        resume_at=batch.resume_at(manifest),
                    ),
                    method_name="execute_complete",
                    timeout=timedelta(seconds=seconds),
                )
            manifest = batch.wait(manifest)
        return batch.summarise(manifest)
