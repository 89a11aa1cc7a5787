"""The operators: submit audio, or submit it and wait for the transcript in one task."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_laplas.audio import check_audio, is_web_url
from airflow_provider_laplas.completion import (
    CompletionMixin,
    check_flag,
    check_keywords,
    check_seconds,
    check_text,
)
from airflow_provider_laplas.connection import DEFAULT_CONN_ID
from airflow_provider_laplas.exceptions import airflow_errors
from airflow_provider_laplas.options import (
    DEFAULT_MODEL,
    OPTION_NAMES,
    check_options,
    is_template,
    merge_options,
)
from airflow_provider_laplas.redaction import redact_url
from airflow_provider_laplas.waiting import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT, Wait

GENERATION_ID_KEY = "generation_id"
"""The XCom key under which a submission's id is found, beside the task's return value."""


class BaseSTTOperator(BaseOperator):
    """
    What the submitting operators have in common: the request. Submit with one of its subclasses.

    Options that are not given are not sent. All arguments of the request are templated, and checked when the DAG is
    parsed and again after templating; a wrong one is a
    :class:`~airflow_provider_laplas.errors.LaplasArgumentError` that names it, before anything is sent.

    :param audio: an http(s) URL, which the API fetches; or a local path or any URI of Airflow's ``ObjectStoragePath``
        (``s3://``, ``gs://``, ``file://`` …), which is uploaded, streamed
    :param model: the API's model id. Default ``#g1_whisper-medium``
    :param conn_id: a connection of type ``laplas``. Default ``laplas_default``
    :param options: options by name, for models that take others than the following
    :param custom_intent: intents to look for
    :param custom_intent_mode: ``strict`` or ``extended``
    :param custom_topic: topics to look for
    :param custom_topic_mode: ``strict`` or ``extended``
    :param detect_entities: mark names, places, dates
    :param detect_language: detect the spoken language
    :param detect_topics: detect topics
    :param diarize: tell speakers apart
    :param diarize_version: which version of that
    :param dictation: write spoken commands as punctuation
    :param extra: a text that comes back with the reply
    :param filler_words: keep "uh" and "um"
    :param intents: detect intents
    :param keywords: words to listen for
    :param language: the spoken language (BCP-47)
    :param measurements: write measurements in their short form
    :param multi_channel: transcribe every channel of the audio for itself
    :param numerals: write numbers as digits
    :param paragraphs: divide the transcript into paragraphs
    :param profanity_filter: leave profanity out
    :param punctuate: write punctuation and capitals
    :param search: a term to search for
    :param sentiment: detect sentiment
    :param smart_format: format numbers, dates and the like for reading
    :param summarize: ask for a summary
    :param tag: labels for the account's usage report
    :param topics: detect topics
    :param utt_split: seconds of silence that end an utterance
    :param utterances: divide the transcript into utterances
    """

    template_fields: Sequence[str] = ("audio", "model", "conn_id", "options")
    ui_color = "#e2f0d9"

    def __init__(
        self,
        *,
        audio: Any,
        model: str = DEFAULT_MODEL,
        conn_id: str = DEFAULT_CONN_ID,
        options: Mapping[str, Any] | None = None,
        custom_intent: str | list[str] | None = None,
        custom_intent_mode: Literal["strict", "extended"] | None = None,
        custom_topic: str | list[str] | None = None,
        custom_topic_mode: Literal["strict", "extended"] | None = None,
        detect_entities: bool | None = None,
        detect_language: bool | None = None,
        detect_topics: bool | None = None,
        diarize: bool | None = None,
        diarize_version: str | None = None,
        dictation: bool | None = None,
        extra: str | None = None,
        filler_words: bool | None = None,
        intents: bool | None = None,
        keywords: str | None = None,
        language: str | None = None,
        measurements: bool | None = None,
        multi_channel: bool | None = None,
        numerals: bool | None = None,
        paragraphs: bool | None = None,
        profanity_filter: bool | None = None,
        punctuate: bool | None = None,
        search: str | None = None,
        sentiment: bool | None = None,
        smart_format: bool | None = None,
        summarize: str | None = None,
        tag: list[str] | None = None,
        topics: bool | None = None,
        utt_split: float | None = None,
        utterances: bool | None = None,
        **kwargs: Any,
    ) -> None:
        typed = {name: value for name, value in locals().items() if name in OPTION_NAMES}
        check_keywords(type(self), kwargs)
        check_text("model", model)
        check_text("conn_id", conn_id)
        if not is_template(audio):
            audio = check_audio(audio)
        super().__init__(**kwargs)
        self.audio = audio
        self.model = model
        self.conn_id = conn_id
        self.options = check_options(merge_options(typed, options), rendered=False)
        self._audio: Any = audio

    def submit(self) -> str:
        """Check the rendered request, submit it and return the generation id. From here on it is billed."""
        # requests, aiohttp and the HTTP provider cost half a second to import, which a DAG file should not pay.
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

        audio = check_audio(self._audio)
        check_text("model", self.model)
        options = check_options(self.options, rendered=True)
        with LaplasHook(self.conn_id) as hook:
            generation_id = hook.submit(audio, model=self.model, options=options)
        self.log.info("Submitted %s as generation %s.", _shown(audio), generation_id)
        return generation_id

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Render; what Airflow stores and shows of a URL afterwards is without its signature."""
        super()._do_render_template_fields(parent, *args, **kwargs)
        # This one method, and not render_template_fields, is what a mapped task calls as well.
        if parent is self:
            self._audio = self.audio
            if isinstance(self.audio, str):
                self.audio = _shown(self.audio)


class SubmitSTTOperator(BaseSTTOperator):
    """
    Submit audio and return the generation id, for an
    :class:`~airflow_provider_laplas.sensors.STTCompletionSensor` to wait for.

    The id is pushed to XCom as the return value and under the key ``generation_id``. The arguments are those of
    :class:`BaseSTTOperator`.

    The API has no idempotency key. A submission that was sent and not answered is a
    :class:`~airflow_provider_laplas.errors.LaplasAmbiguousSubmitError`, which Airflow does not retry.
    """  # noqa: D205

    def execute(self, context: Context) -> str:
        """Submit."""
        with airflow_errors():
            generation_id = self.submit()
        context["ti"].xcom_push(key=GENERATION_ID_KEY, value=generation_id)
        return generation_id


class TranscribeOperator(CompletionMixin, BaseSTTOperator):
    """
    Submit audio, wait for the transcript, and return it: one task.

    The request's arguments are those of :class:`BaseSTTOperator`; waiting, the return value and the remaining
    arguments are those of :class:`~airflow_provider_laplas.sensors.STTCompletionSensor`.

    :param results_path: a folder in object storage for the API's whole reply. Templated
    :param deferrable: wait in the triggerer, without a worker slot. Default True
    :param poke_interval: the longest pause between two looks, in seconds. Default 10
    :param timeout: seconds from the submission until the task gives up. Default 3600
    :param soft_fail: skip the task instead of failing it
    """

    template_fields: Sequence[str] = (*BaseSTTOperator.template_fields, "results_path")

    def __init__(
        self,
        *,
        results_path: str | None = None,
        deferrable: bool = True,
        poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        soft_fail: bool = False,
        **kwargs: Any,
    ) -> None:
        check_text("results_path", results_path, optional=True)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.results_path = results_path
        self.deferrable = check_flag("deferrable", deferrable)
        self.poke_interval = check_seconds("poke_interval", poke_interval)
        self.timeout = check_seconds("timeout", timeout)
        self.soft_fail = check_flag("soft_fail", soft_fail)
        self.never_fail = False

    def generation_id_of(self, context: Context) -> str:
        """Return the id that this task submitted, from its own XCom."""
        ti = context["ti"]
        return str(ti.xcom_pull(task_ids=ti.task_id, key=GENERATION_ID_KEY, map_indexes=ti.map_index))

    def execute(self, context: Context) -> Any:
        """Submit, then wait in the way that was chosen: deferred or in place."""
        with self.task_errors():
            generation_id = self.submit()
            context["ti"].xcom_push(key=GENERATION_ID_KEY, value=generation_id)
            submitted_at = time.time()
            wait = Wait(generation_id, submitted_at + self.timeout, self.poke_interval, submitted_at)
            if self.deferrable:
                self.defer_until(context, wait)
            with self.hook() as hook:
                generation = hook.wait_for(wait)
            return self.finish(context, generation)


def _shown(audio: str) -> str:
    return redact_url(audio) if is_web_url(audio) or "://" in audio else audio
