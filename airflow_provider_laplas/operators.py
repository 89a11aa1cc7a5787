"""The operators: submit audio, submit and wait in one task, or transcribe thousands of files in one task."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_laplas.airflow_compat import Context
from airflow_provider_laplas.api.poller import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT
from airflow_provider_laplas.arguments import (
    check_age,
    check_flag,
    check_pause,
    check_seconds,
    check_text,
    is_template,
)
from airflow_provider_laplas.audio.sources import check_place, is_web_url
from airflow_provider_laplas.batch.limits import BatchLimits
from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.links import TranscriptLink
from airflow_provider_laplas.results.output import (
    ONLY_JSON,
    Output,
    check_output,
    check_results_path,
    choose_folder,
)
from airflow_provider_laplas.task.base import (
    GENERATION_ID_KEY,
    BaseSTTOperator,
    BaseWaitingOperator,
    Task,
)
from airflow_provider_laplas.task.notify import lineage
from airflow_provider_laplas.task.outcome import Done, Outcome, carry_out
from airflow_provider_laplas.transcript.quality import DEFAULT_QUALITY, QualitySettings

if TYPE_CHECKING:
    from airflow_provider_laplas.task.batch import BatchTask

DEFAULT_INLINE_WAIT = 10.0
"""Seconds that :class:`TranscribeOperator` polls in the worker before it defers, unless it is mapped."""


class SubmitSTTOperator(BaseSTTOperator):
    """
    Submit audio and return the generation id.

    Use an :class:`~airflow_provider_laplas.sensors.STTCompletionSensor` to wait for it. The id is pushed to XCom as the
    return value and under the key ``generation_id``. The request's arguments are those of
    :class:`~airflow_provider_laplas.task.base.BaseSTTOperator`.

    The API has no idempotency key. A submission that was sent but not answered raises a
    :class:`~airflow_provider_laplas.errors.LaplasAmbiguousSubmitError`, which Airflow does not retry.

    :param results_path: the sensor's folder in object storage. If it contains the transcript of an earlier try, a retry
        or a Clear does not submit again, and does not fail although the API keeps results for one hour only. A mapped
        task notes in it what it submits, for the case that its list changes; nothing else is written. Default the connection's, else ``[laplas] results_path``. Templated
    """

    template_fields: Sequence[str] = (*BaseSTTOperator.template_fields, "results_path")

    def __init__(self, *, results_path: str | None = None, **kwargs: Any) -> None:
        check_results_path(results_path)
        super().__init__(**kwargs)
        self.results_path = results_path

    def execute(self, context: Context) -> Any:
        """Submit, unless an earlier try of this task already has."""
        return carry_out(self, lambda: self._submit(context), ti=context["ti"])

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the audio, for OpenLineage; the transcript is the sensor's output."""
        source = self.shown_source()
        return lineage([source] if source else [], [])

    def _submit(self, context: Context) -> Outcome:
        # Imported here to keep DAG parsing fast.
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415
        from airflow_provider_laplas.results.keeping import TaskKey  # noqa: PLC0415
        from airflow_provider_laplas.task.record import RecordStore  # noqa: PLC0415
        from airflow_provider_laplas.task.submission import InParts  # noqa: PLC0415

        with LaplasHook(check_text("conn_id", self.given("conn_id"))) as hook:
            folder = choose_folder(self.given("results_path"), hook.client.settings.results_path)
            records = RecordStore(context, TaskKey.from_context(context), folder)
            try:
                begun = self.submission(DEFAULT_TIMEOUT).begin(hook, records)
            except InParts as parts:
                raise LaplasArgumentError(
                    f"`audio` has to be submitted in {len(parts.plan.parts)} parts, which SubmitSTTOperator cannot do, as it "
                    "returns one generation id: use TranscribeOperator. Nothing was submitted.",
                    argument="audio",
                ) from None
        context["ti"].xcom_push(key=GENERATION_ID_KEY, value=begun.generation_id)
        records.try_again()
        return Done(begun.generation_id)


class TranscribeOperator(BaseWaitingOperator, BaseSTTOperator):
    """
    Submit audio, wait for the transcript, and return it, in one task.

    The request's arguments are those of :class:`BaseSTTOperator`. Waiting, the return value and the remaining
    arguments are as in :class:`~airflow_provider_laplas.sensors.STTCompletionSensor`.

    :param results_path: a folder in object storage for the API's whole reply. Templated
    :param formats: what is written to ``results_path``: any of ``json`` (the API's whole reply, always written),
        ``srt``, ``vtt`` and ``txt``. Default ``json``. Templated
    :param captions: limits of ``srt`` and ``vtt``, as a dict of the fields of
        :class:`~airflow_provider_laplas.captions.CaptionLimits`, such as ``{"frame_rate": 25}``. None uses the
        defaults. Templated
    :param quality: checks of the finished transcript, as a dict of the fields of
        :class:`~airflow_provider_laplas.transcript.quality.QualitySettings`. The action of each check is ``warn``
        (default), ``fail`` or ``skip``. None for no checks. The transcript is kept and billed in any case. Templated
    :param deferrable: wait in the triggerer, without a worker slot. Default True
    :param defer_after: seconds of polling in the worker before the task defers. Default 10, which saves short clips the
        seconds and the second task start of a deferral; 0 for a mapped task, so that hundreds of mapped tasks do not
        occupy worker slots
    :param poke_interval: the longest pause between two polls, in seconds. Default 10
    :param timeout: seconds from the submission until the task gives up. Default 3600
    :param soft_fail: skip the task instead of failing it
    :param plan_only: submit nothing, and return what would be submitted: ``files``, each with its ``source``, ``seconds``,
        ``bytes``, ``bytes_to_send`` and ``parts``, or its ``error``; and their ``sums``, with the ``estimated_cost`` if the
        connection has a price. Default False
    """

    template_fields: Sequence[str] = (
        *BaseSTTOperator.template_fields,
        "results_path",
        "formats",
        "captions",
        "quality",
    )
    operator_extra_links = (TranscriptLink(),)

    def __init__(
        self,
        *,
        results_path: str | None = None,
        formats: Sequence[str] | str = ("json",),
        captions: CaptionLimits | Mapping[str, Any] | None = None,
        quality: QualitySettings | Mapping[str, Any] | None = DEFAULT_QUALITY,
        deferrable: bool = True,
        defer_after: float | timedelta | None = None,
        poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        soft_fail: bool = False,
        plan_only: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.results_path = check_results_path(results_path)
        self.formats, self.captions, self.quality = check_output(formats, captions, quality)
        self.deferrable = check_flag("deferrable", deferrable)
        self.defer_after = check_pause("defer_after", defer_after)
        self.poke_interval = check_seconds("poke_interval", poke_interval)
        self.timeout = check_seconds("timeout", timeout)
        self.soft_fail = check_flag("soft_fail", soft_fail)
        self.plan_only = check_flag("plan_only", plan_only)

    def make_task(self, context: Context, event: Any = None) -> Task:
        """Return the task that submits and waits, or only plans."""
        if self.plan_only:
            return plan_task(self, context)
        from airflow_provider_laplas.task.generation import GenerationTask, Waiting  # noqa: PLC0415

        task = GenerationTask(
            context,
            self.given("conn_id"),
            lambda: self.submission(self.timeout),
            Waiting(
                self.timeout,
                self.poke_interval,
                self.deferrable,
                self.execution_timeout,
                self.defer_after,
                default_inline_wait=DEFAULT_INLINE_WAIT,
            ),
            self.given("results_path"),
            self.given("formats"),
            self.given("captions"),
            self.given("quality"),
            self.outlets,
            self.shown_source(),
            announce_id=lambda found: context["ti"].xcom_push(key=GENERATION_ID_KEY, value=found),
        )
        if self.preparation() is None:
            return task
        from airflow_provider_laplas.task.recording import RecordingTask  # noqa: PLC0415

        return RecordingTask(task, self.rendered_audio, lambda folder: recording_batch(self, context, folder))


class TranscribeBatchOperator(BaseWaitingOperator, BaseSTTOperator):
    """
    Transcribe many files in one task.

    The worker submits up to ``max_in_flight`` files. Then one trigger waits for all of them, writes each transcript as
    it finishes, and calls the worker back when there is room for more. The state of each file is in ``manifest.json``
    beside the outputs, from which a retry, a Clear or a later run over the same folder continues: finished files are
    not submitted again, running ones are waited for, and failed files are submitted again only by a retry or a Clear.

    Returns a summary: ``files``, ``completed``, ``new`` (completed in this DAG run), ``failed``, ``new_failed``,
    ``counts`` by state, ``audio_seconds``, ``manifest`` and ``results_path``; never the texts. The XCom key ``usage``
    contains the ``audio_seconds`` that this DAG run transcribed, and the ``estimated_cost`` if a price is known.

    Each asset alias among the task's ``outlets`` gets one event, for the manifest, if there are finished files that no
    event has included yet.

    The request's remaining arguments are those of :class:`~airflow_provider_laplas.task.base.BaseSTTOperator`.
    ``on_ambiguous`` and ``on_expired`` apply to each file; ``durable=False`` ignores an earlier manifest.

    :param audio: a list of sources, each as in the other operators; or a folder or a glob in object storage
        (``s3://bucket/inbox/*.mp3``), whose files are uploaded. If there are none, the task is skipped. Templated
    :param results_path: the folder in object storage for the transcripts (the API's replies) and the manifest. Only one
        task at a time may use it. Templated
    :param formats: what is written to ``results_path``: any of ``json`` (the API's whole reply, always written),
        ``srt``, ``vtt`` and ``txt``. A format that is added later is made from the stored replies. Default ``json``.
        Templated
    :param captions: limits of ``srt`` and ``vtt``, as in :class:`TranscribeOperator`. Changing only the limits does not
        rewrite existing captions. Templated
    :param quality: checks of each transcript, as in :class:`TranscribeOperator`. With ``fail`` the file counts as
        failed, with ``skip`` as neither failed nor completed. Its reply is kept, and a later run checks it again.
        Templated
    :param min_age: seconds, or a timedelta. Files in a folder that were changed more recently may still be being
        written, and are left for a later run. Default 0. Templated
    :param max_in_flight: how many files may be submitted but not finished. Default 200
    :param max_failed: how many files may fail in a DAG run without failing the task. If more fail, nothing more is
        submitted. Default 0
    :param deduplicate: transcribe files with the same content only once. Reads uploads in full to compare them. Default
        False
    :param max_files: fail before submitting anything if there are more files to submit. Default no limit
    :param max_audio_seconds: limit on the audio of one DAG run. Uploads are probed, and if their total is longer, the
        task fails before submitting anything. For URLs, submission stops once the finished audio is longer. Needs the
        extra ``probe`` for uploads. Default no limit
    :param deferrable: wait in the triggerer, without a worker slot. Default True
    :param poke_interval: the longest pause between two polls of one file, in seconds. Default 10
    :param timeout: seconds for each file, from its submission. Default 3600
    :param plan_only: submit nothing, and return what would be submitted now: ``files``, each with its ``source``, ``seconds``,
        ``bytes``, ``bytes_to_send`` and ``parts``, or its ``error``; and their ``sums``, with the ``estimated_cost`` if the
        connection has a price. It writes nothing, and needs no ``results_path``: then no file counts as transcribed.
        Default False
    """

    template_fields: Sequence[str] = (
        *BaseSTTOperator.template_fields,
        "results_path",
        "formats",
        "captions",
        "quality",
        "min_age",
    )
    operator_extra_links = (TranscriptLink(),)

    def __init__(
        self,
        *,
        audio: Any,
        results_path: str | None = None,
        formats: Sequence[str] | str = ("json",),
        captions: CaptionLimits | Mapping[str, Any] | None = None,
        quality: QualitySettings | Mapping[str, Any] | None = DEFAULT_QUALITY,
        min_age: float | timedelta | str = 0.0,
        max_in_flight: int = 200,
        max_failed: int = 0,
        deduplicate: bool = False,
        max_files: int | None = None,
        max_audio_seconds: float | None = None,
        deferrable: bool = True,
        poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        plan_only: bool = False,
        **kwargs: Any,
    ) -> None:
        if results_path is not None or not check_flag("plan_only", plan_only):
            check_text("results_path", results_path)
        check_results_path(results_path)
        super().__init__(audio=audio, **kwargs)
        self.plan_only = plan_only
        self.results_path = results_path
        self.formats, self.captions, self.quality = check_output(formats, captions, quality)
        self.deferrable = check_flag("deferrable", deferrable)
        self.poke_interval = check_seconds("poke_interval", poke_interval)
        self.timeout = check_seconds("timeout", timeout)
        self.min_age = check_age("min_age", min_age)
        self.limits = BatchLimits.check(
            max_in_flight=max_in_flight,
            max_failed=max_failed,
            deduplicate=deduplicate,
            max_files=max_files,
            max_audio_seconds=max_audio_seconds,
        )

    def check_audio(self, audio: Any) -> Any:
        """Return a list of sources, or a folder or glob."""
        if isinstance(audio, str):
            if is_web_url(audio.strip()):
                raise LaplasArgumentError(
                    "`audio` must be a list or a folder: for a single URL use a list of one.",
                    argument="audio",
                )
            return check_place(super().check_audio(audio))
        if not isinstance(audio, list | tuple):
            raise LaplasArgumentError(
                f"`audio` must be a list, or a folder or glob in object storage, not {type(audio).__name__}.",
                argument="audio",
            )
        return [
            item if is_template(item) else super(TranscribeBatchOperator, self).check_audio(item)
            for item in audio
        ]

    def make_task(self, context: Context, event: Any = None) -> Task:
        """Return the task that transcribes the files, or only plans."""
        if self.plan_only:
            return plan_task(self, context, self.limits, self.given("min_age"))
        return batch_task(self, context, self.limits, self.given("min_age"))


def batch_task(
    operator: TranscribeOperator | TranscribeBatchOperator,
    context: Context,
    limits: BatchLimits,
    min_age: Any = 0.0,
) -> "BatchTask":
    """
    Return the task of an operator whose ``audio`` is several files.

    :raises LaplasArgumentError: naming an argument that is invalid once its template is rendered
    """
    from airflow_provider_laplas.task.batch import BatchTask  # noqa: PLC0415

    audio = operator.rendered_audio()
    return BatchTask(
        context,
        conn_id=check_text("conn_id", operator.given("conn_id")),
        audio=audio,
        results_path=operator.given("results_path"),
        model=operator.rendered_model(),
        options=operator.rendered_options(),
        policy=operator.resume_policy(),
        limits=limits,
        output=Output.read(operator.given("formats"), operator.given("captions"), operator.given("quality")),
        min_age=check_age("min_age", min_age),
        poll_interval=operator.poke_interval,
        timeout=operator.timeout,
        durable=operator.durable,
        deferrable=operator.deferrable,
        execution_timeout=operator.execution_timeout,
        outlets=operator.outlets,
        place=operator.shown_source(),
        preparation=operator.preparation(),
    )


def plan_task(
    operator: TranscribeOperator | TranscribeBatchOperator,
    context: Context,
    limits: BatchLimits | None = None,
    min_age: Any = 0.0,
) -> Task:
    """
    Return the task of an operator that only plans.

    :param limits: where ``audio`` is several files
    :raises LaplasArgumentError: naming an argument that is invalid once its template is rendered
    """
    from airflow_provider_laplas.batch.batch import Batch  # noqa: PLC0415
    from airflow_provider_laplas.batch.submit import Request  # noqa: PLC0415
    from airflow_provider_laplas.task.planning import PlanTask  # noqa: PLC0415

    conn_id, audio = check_text("conn_id", operator.given("conn_id")), operator.rendered_audio()
    preparation = operator.preparation()
    if limits is None:
        return PlanTask(context, conn_id, preparation, audio)
    batch = Batch(
        conn_id=conn_id,
        audio=audio,
        folder=(check_results_path(operator.given("results_path")) or "").rstrip("/"),
        request=Request(
            operator.rendered_model(), operator.rendered_options(), operator.timeout, operator.resume_policy()
        ),
        limits=limits,
        output=ONLY_JSON,
        poll_interval=operator.poke_interval,
        min_age=check_age("min_age", min_age),
    )
    return PlanTask(context, conn_id, preparation, batch=batch, durable=operator.durable)


def recording_batch(operator: TranscribeOperator, context: Context, folder: str) -> "BatchTask":
    """
    Return the task that transcribes an operator's one recording in parts.

    Nothing is checked of its transcript, and no asset event is emitted: that is left to the operator's own task.

    :param folder: for the parts and the transcript
    """
    limits = BatchLimits.check(
        max_in_flight=200, max_failed=0, deduplicate=False, max_files=None, max_audio_seconds=None
    )
    task = batch_task(operator, context, limits)
    return replace(task, audio=[task.audio], results_path=folder, output=ONLY_JSON, outlets=[])
