"""The sensor: wait for a generation that another task submitted."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.common.compat.sdk import (
    BaseSensorOperator,
    Context,
)
from airflow.sdk.exceptions import AirflowRescheduleException

from airflow_provider_laplas.airflow_compat import argument_names
from airflow_provider_laplas.api.calls import check_generation_id
from airflow_provider_laplas.api.poller import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT, Poller
from airflow_provider_laplas.api.responses import Generation
from airflow_provider_laplas.arguments import check_keywords, check_seconds, check_text, is_template
from airflow_provider_laplas.audio import check_audio
from airflow_provider_laplas.base import shown
from airflow_provider_laplas.captions import CaptionLimits
from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.completion import CompletionMixin
from airflow_provider_laplas.durable import Record, RecordStore
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.publishing import TranscriptLink
from airflow_provider_laplas.quality import DEFAULT_QUALITY, QualitySettings

if TYPE_CHECKING:
    from airflow_provider_laplas.hooks import LaplasHook

_MEANINGLESS = frozenset({"exponential_backoff", "max_wait", "silent_fail"})
_MEANINGLESS_WHY = (
    "pauses grow by themselves up to `poke_interval`, and a look that fails never ends the wait."
)


class STTCompletionSensor(CompletionMixin, BaseSensorOperator):
    """
    Wait until a generation is completed and return its transcript.

    Returns a dict of ``text``, ``generation_id``, ``model``, ``language``, ``duration`` (seconds), ``confidence``
    (0 to 1), ``result`` and ``files`` (the URI of each format), each of them an XCom key as well, so that
    ``wait.output["text"]`` works. Several channels' texts are joined with newlines.
    ``load_transcript(wait.output["result"])`` in a downstream task loads the words and the raw reply. The XCom key
    ``usage`` holds ``audio_seconds``, and ``tokens`` and ``estimated_cost`` where they are known.

    Each asset alias among the task's ``outlets`` gets an event for each file that was written.

    A look that fails does not end the wait. A sensor never submits: to a generation that failed or is gone it says so,
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
        :class:`~airflow_provider_laplas.quality.QualitySettings` by name: what each does is ``warn`` (default), ``fail``
        or ``skip``; or None for no checks. The transcript is kept, and billed, all the same. Templated
    :param deferrable: wait in the triggerer, without a worker slot. Default True, whatever Airflow's
        ``[operators] default_deferrable`` says
    :param defer_after: seconds of looking in the worker before the task defers, which is quicker for short clips and
        costs a worker slot. Default 0: it looks once
    :param poke_interval: the longest pause between two looks, in seconds. Default 10; the first ones are shorter
    :param timeout: seconds until the task gives up. Default 3600: the API keeps a result no longer. Counted from the
        first try: a retry goes on with the same deadline (past it, it looks once), a Clear begins a new one. The
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
        self.accept(
            results_path=results_path,
            formats=formats,
            captions=captions,
            quality=quality,
            deferrable=deferrable,
            defer_after=defer_after,
        )

    def generation_id_of(self, context: Context) -> str:
        """Return the id that the sensor was given."""
        return self.generation_id

    def shown_source(self) -> str | None:
        """
        Return where the audio is, as it may be shown; None where the sensor was not told.

        :raises LaplasArgumentError: naming ``source``, where it can name no audio
        """
        return None if self.source is None else shown(check_audio(self.source, "source"))

    def execute(self, context: Context) -> Any:
        """Wait in the way that was chosen: deferred, rescheduled or in place."""
        with self.task_errors():
            self.source = self.shown_source()
            rendered: Any = self.generation_id
            # A template that is rendered to native types makes a number of an id of digits.
            self.generation_id = check_generation_id(str(rendered) if isinstance(rendered, int) else rendered)
            store, now = RecordStore(context), time.time()
            earlier = store.load()
            known = earlier is not None and earlier.fingerprint == self.generation_id
            if earlier is not None and known:
                record = store.renewed(earlier, timeout=self.timeout, now=now)
            else:
                record = Record(self.generation_id, store.max_tries, now + self.timeout, self.generation_id)
            if record != earlier:
                store.save(record)
            return self.wait_for_generation(context, record, first_try=not known)

    def look(self, hook: "LaplasHook", wait: Poller, *, stay: float) -> Generation | None:
        """Look once, and come back later where the task is to be rescheduled."""
        if self.deferrable or not self.reschedule:
            return super().look(hook, wait, stay=stay)
        generation = hook.client.wait_for(wait, stay=0.0)
        if generation is None:
            again = pendulum.now("UTC") + timedelta(seconds=wait.pause())
            raise AirflowRescheduleException(again)  # type: ignore[no-untyped-call]
        return generation

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Render; what Airflow stores and shows of the source afterwards is without its signature."""
        super()._do_render_template_fields(parent, *args, **kwargs)
        if parent is self:
            self.source = shown(self.source)
