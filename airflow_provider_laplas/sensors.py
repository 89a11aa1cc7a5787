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
    (0 to 1), ``result`` and ``files`` (the URI of each format), each of them an XCom key as well, so that
    ``wait.output["text"]`` works. Several channels' texts are joined with newlines.
    ``load_transcript(wait.output["result"])`` in a downstream task loads the words and the raw reply. The XCom key
    ``usage`` holds ``audio_seconds``, and ``tokens`` and ``estimated_cost`` where they are known.

    Each asset alias among the task's ``outlets`` gets an event for each file that was written.

    A poll that fails does not end the wait. A sensor never submits: to a generation that failed or is gone it says so,
    and the task fails without an Airflow retry.

    :param generation_id: what :class:`~airflow_provider_laplas.operators.SubmitSTTOperator` returned. Templated
    :param conn_id: a connection of type ``laplas``. Default ``laplas_default``. Templated
    :param source: where the audio is: what the submission's ``audio`` was. Only told to others, in asset events and
        lineage, and kept and shown without its signature. Templated
    :param results_path: a folder in object storage to which the API's whole reply is written, as
        ``<generation_id>.json``; without one it becomes an XCom of this task, which Airflow deletes when the task is
        tried again or cleared. Templated
    :param formats: what is written into ``results_path``, of ``json`` (the API's whole reply, always written), ``srt``,
        ``vtt`` and ``txt``. Default ``json``. Templated
    :param captions: what ``srt`` and ``vtt`` keep to, as the limits of
        :class:`~airflow_provider_laplas.captions.CaptionLimits` by name: ``{"frame_rate": 25}``. None is the defaults.
        Templated
    :param quality: checks of the finished transcript, as the settings of
        :class:`~airflow_provider_laplas.transcript.quality.QualitySettings` by name: what each does is ``warn`` (default), ``fail``
        or ``skip``; or None for no checks. The transcript is kept, and billed, all the same. Templated
    :param deferrable: wait in the triggerer, without a worker slot. Default True, whatever Airflow's
        ``[operators] default_deferrable`` says
    :param defer_after: seconds of polling in the worker before the task defers, which is quicker for short clips and
        costs a worker slot. Default 0: it polls once
    :param poke_interval: the longest pause between two polls, in seconds. Default 10; the first ones are shorter
    :param timeout: seconds until the task gives up. Default 3600: the API keeps a result no longer. Counted from the
        first try: a retry goes on with the same deadline (past it, it polls once), a Clear begins a new one. The
        generation itself goes on
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
            raise LaplasArgumentError(f"`{name}` means nothing here: {_MEANINGLESS_WHY}", argument=name)
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
        """Return the wait for the generation."""
        # What only a worker needs is not imported by every DAG file.
        from airflow_provider_laplas.task.generation import GenerationTask, Waiting  # noqa: PLC0415

        self.source = self.shown_source()
        return GenerationTask(
            context,
            self.conn_id,
            self._given,
            Waiting(
                self.timeout,
                self.poke_interval,
                self.deferrable,
                self.execution_timeout,
                self.defer_after,
                reschedule=self.reschedule,
            ),
            self.results_path,
            self.formats,
            self.captions,
            self.quality,
            self.outlets,
            self.source,
        )

    def shown_source(self) -> str | None:
        """
        Return where the audio is, as it may be shown; None where the sensor was not told.

        :raises LaplasArgumentError: naming ``source``, where it can name no audio
        """
        return None if self.source is None else str(redacted(check_audio(self.source, "source")))

    def after_rendering(self) -> None:
        """Have Airflow store and show the source without its signature."""
        super().after_rendering()
        self.source = redacted(self.source)

    def _given(self) -> "GivenGeneration":
        from airflow_provider_laplas.task.generation import GivenGeneration  # noqa: PLC0415

        rendered: Any = self.generation_id
        # A template that is rendered to native types makes a number of an id of digits.
        generation_id = check_generation_id(str(rendered) if isinstance(rendered, int) else rendered)
        return GivenGeneration(generation_id, self.timeout)
