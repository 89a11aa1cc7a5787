"""The sensor: wait for a generation that another task submitted."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_laplas.airflow_compat import BaseSensorOperator, Context, argument_names
from airflow_provider_laplas.api.calls import check_generation_id
from airflow_provider_laplas.api.poller import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT
from airflow_provider_laplas.arguments import (
    check_flag,
    check_keywords,
    check_pause,
    check_seconds,
    check_text,
    is_template,
)
from airflow_provider_laplas.audio.sources import check_audio
from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.links import TranscriptLink
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.output import check_output, check_results_path
from airflow_provider_laplas.task.base import BaseWaitingOperator
from airflow_provider_laplas.transcript.quality import DEFAULT_QUALITY, QualitySettings

if TYPE_CHECKING:
    from airflow_provider_laplas.task.generation import GenerationTask, GivenGeneration

_MEANINGLESS = frozenset({"exponential_backoff", "max_wait", "silent_fail"})
_MEANINGLESS_WHY = (
    "pauses grow by themselves up to `poke_interval`, and a poll that fails never ends the wait."
)


class STTCompletionSensor(BaseWaitingOperator, BaseSensorOperator):
    """
    Wait until a generation is completed and return its transcript.

    Returns a dict of ``text``, ``generation_id``, ``model``, ``language``, ``duration`` (seconds), ``confidence``
    (0 to 1), ``result`` and ``files`` (the URI of each format). Each is also an XCom key, so that
    ``wait.output["text"]`` works. The texts of several channels are joined with newlines. To load the words and the
    raw reply, call ``load_transcript(wait.output["result"])`` in a downstream task. The XCom key ``usage`` contains
    ``audio_seconds``, and ``tokens`` and ``estimated_cost`` if they are known.

    Each asset alias among the task's ``outlets`` gets an event for each file that was written.

    A poll that fails does not end the wait. The sensor never submits: if the generation failed or is gone, the task
    fails without an Airflow retry.

    :param generation_id: what :class:`~airflow_provider_laplas.operators.SubmitSTTOperator` returned. Templated
    :param conn_id: a connection of type ``laplas``. Default ``laplas_default``. Templated
    :param source: where the audio is, as given to the submission. Used only in asset events and lineage, and stored
        and shown without its signature. Templated
    :param results_path: a folder in object storage to which the API's whole reply is written, as
        ``<generation_id>.json``. Without one it becomes an XCom of this task, which Airflow deletes when the task is
        retried or cleared. Templated
    :param formats: what is written to ``results_path``: any of ``json`` (the API's whole reply, always written),
        ``srt``, ``vtt`` and ``txt``. Default ``json``. Templated
    :param captions: limits of ``srt`` and ``vtt``, as a dict of the fields of
        :class:`~airflow_provider_laplas.captions.CaptionLimits`, such as ``{"frame_rate": 25}``. None uses the
        defaults. Templated
    :param quality: checks of the finished transcript, as a dict of the fields of
        :class:`~airflow_provider_laplas.transcript.quality.QualitySettings`. The action of each check is ``warn``
        (default), ``fail`` or ``skip``. None for no checks. The transcript is kept and billed in any case. Templated
    :param deferrable: wait in the triggerer, without a worker slot. Default True, regardless of Airflow's
        ``[operators] default_deferrable``
    :param defer_after: seconds of polling in the worker before the task defers, which is faster for short clips but
        occupies a worker slot. Default 0: it polls once
    :param poke_interval: the longest pause between two polls, in seconds. Default 10; the first ones are shorter
    :param timeout: seconds until the task gives up. Default 3600, because the API keeps results for one hour. Counted
        from the first try: a retry keeps the deadline (and polls once if it has passed), a Clear sets a new one. The
        generation itself keeps running
    :param soft_fail: skip the task instead of failing it, in every mode
    """

    template_fields: Sequence[str] = (
        "generation_id",
        "conn_id",
        "source",
        "results_path",
        "formats",
        "captions",
        "quality",
    )
    operator_extra_links = (TranscriptLink(),)
    ui_color = "#d6e9f8"

    def __init__(
        self,
        *,
        generation_id: str,
        conn_id: str = DEFAULT_CONN_ID,
        source: Any = None,
        results_path: str | None = None,
        formats: Sequence[str] | str = ("json",),
        captions: CaptionLimits | Mapping[str, Any] | None = None,
        quality: QualitySettings | Mapping[str, Any] | None = DEFAULT_QUALITY,
        deferrable: bool = True,
        defer_after: float | timedelta | None = None,
        poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        check_keywords(type(self).__name__, argument_names(type(self)), kwargs)
        for name in _MEANINGLESS & kwargs.keys():
            raise LaplasArgumentError(f"`{name}` has no effect here: {_MEANINGLESS_WHY}", argument=name)
        check_text("conn_id", conn_id)
        if not is_template(generation_id):
            check_generation_id(generation_id)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(
            poke_interval=check_seconds("poke_interval", poke_interval),
            timeout=check_seconds("timeout", timeout),
            **kwargs,
        )
        self.generation_id = generation_id
        self.conn_id = conn_id
        self.source = source
        if not is_template(source):
            self.source = self.shown_source()
        self.results_path = check_results_path(results_path)
        self.formats, self.captions, self.quality = check_output(formats, captions, quality)
        self.deferrable = check_flag("deferrable", deferrable)
        self.defer_after = check_pause("defer_after", defer_after)

    def make_task(self, context: Context, event: Any = None) -> "GenerationTask":
        """Return the task that waits."""
        # Imported here to keep DAG parsing fast.
        from airflow_provider_laplas.task.generation import GenerationTask, Waiting  # noqa: PLC0415

        self.source = self.shown_source()
        return GenerationTask(
            context,
            self.given("conn_id"),
            self._given_generation,
            Waiting(
                self.timeout,
                self.poke_interval,
                self.deferrable,
                self.execution_timeout,
                self.defer_after,
                reschedule=self.reschedule,
            ),
            self.given("results_path"),
            self.given("formats"),
            self.given("captions"),
            self.given("quality"),
            self.outlets,
            self.source,
        )

    def shown_source(self) -> str | None:
        """
        Return where the audio is, redacted; None if ``source`` is not set.

        :raises LaplasArgumentError: naming ``source``, if it is not a valid source
        """
        source = self.given("source")
        return None if source is None else redacted(check_audio(source, "source"))

    def _given_generation(self) -> "GivenGeneration":
        from airflow_provider_laplas.task.generation import GivenGeneration  # noqa: PLC0415

        rendered = self.given("generation_id")
        # With render_template_as_native_obj an id of digits is rendered as a number.
        generation_id = check_generation_id(str(rendered) if isinstance(rendered, int) else rendered)
        return GivenGeneration(generation_id, self.timeout)
