"""Base classes of the operators and the sensor: the request's arguments, and the task object that does the work."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_provider_laplas.airflow_compat import (
    Context,
    RenderedOperator,
    TriggerFailure,
    argument_names,
    push_outputs,
    trigger_failure,
)
from airflow_provider_laplas.api.options import DEFAULT_MODEL, OPTION_NAMES, check_options, merge_options
from airflow_provider_laplas.api.resume import ResumePolicy
from airflow_provider_laplas.arguments import (
    check_choice,
    check_flag,
    check_keywords,
    check_settings,
    check_text,
    is_template,
    read_settings,
)
from airflow_provider_laplas.audio.sources import check_audio
from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.media.preparation import Preparation
from airflow_provider_laplas.media.settings import MediaSettings
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.task.notify import lineage
from airflow_provider_laplas.task.outcome import Outcome, carry_out

if TYPE_CHECKING:
    from airflow_provider_laplas.task.submission import Submission


GENERATION_ID_KEY = "generation_id"
"""The XCom key of a generation's id, as soon as it is submitted."""


class Task(Protocol):
    """
    The work of a waiting operator.

    :ivar written: the URI of the output, once it is stored
    """

    written: str | None

    def start(self) -> Outcome:
        """Start the work, or resume what an earlier try started."""

    def resume(self, event: Any) -> Outcome:
        """Continue with the trigger's event."""

    def trigger_failed(self, failure: TriggerFailure) -> Outcome:
        """Continue after the trigger ended without an event."""

    def on_kill(self) -> None:
        """Log what keeps running at the API after the task was killed."""

    def lineage(self) -> Any:
        """Return the inputs and outputs, for OpenLineage."""


class BaseWaitingOperator(RenderedOperator):
    """An operator that waits, in its worker or in the triggerer. It delegates to a task object."""

    soft_fail: bool = False
    """Skip the task instead of failing it."""

    never_fail: bool = False
    _task: Task | None = None

    def make_task(self, context: Context, event: Any = None) -> Task:
        """
        Make the task object from the rendered arguments.

        :param event: the trigger's event, if the task is resumed with one
        :raises LaplasArgumentError: naming an argument that is invalid once its template is rendered
        """
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Start the work, or resume what an earlier try started."""
        return self.carry_out(context, lambda: self._made(context).start())

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Continue with the trigger's event."""
        return self.carry_out(context, lambda: self._made(context, event).resume(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume the task, also after the trigger timed out or failed."""
        failure = trigger_failure(next_method, next_kwargs)
        if failure is None:
            return super().resume_execution(next_method, next_kwargs, context)
        leave = partial(super().resume_execution, next_method, next_kwargs, context)
        return self.carry_out(context, lambda: self._made(context).trigger_failed(failure), leave=leave)

    def carry_out(
        self, context: Context, step: Callable[[], Outcome], *, leave: Callable[[], Any] | None = None
    ) -> Any:
        """
        Run a step, and translate its outcome for Airflow.

        :param leave: Airflow's default behaviour
        """
        value = carry_out(
            self, step, ti=context["ti"], skip_errors=self.soft_fail or self.never_fail, leave=leave
        )
        push_outputs(self, context["ti"], value)
        return value

    def on_kill(self) -> None:
        """Log what keeps running at the API after the task was killed."""
        if self._task is not None:
            self._task.on_kill()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the inputs and outputs, for OpenLineage."""
        return self._task.lineage() if self._task is not None else lineage([], [])

    @property
    def written(self) -> str | None:
        """The URI of the output, once it is stored."""
        return self._task.written if self._task is not None else None

    def _made(self, context: Context, event: Any = None) -> Task:
        self._task = self.make_task(context, event)
        return self._task


class BaseSTTOperator(RenderedOperator):
    """
    Base class of the submitting operators: the request's arguments. Use one of its subclasses.

    Options that are not given are not sent. All arguments of the request are templated. They are checked when the DAG
    is parsed and again after templating: an invalid one raises a
    :class:`~airflow_provider_laplas.errors.LaplasArgumentError` that names it, before anything is sent.

    :param audio: an http(s) URL, which the API fetches; or a local path or any URI of Airflow's ``ObjectStoragePath``
        (``s3://``, ``gs://``, ``file://`` …), which is uploaded as a stream
    :param model: the API's model id. Default ``#g1_whisper-medium``
    :param conn_id: a connection of type ``laplas``. Default ``laplas_default``
    :param durable: note the submission, so that a retry, or clearing the task, continues with the same generation instead
        of paying again. The note is kept in Airflow's state store, before Airflow 3.3 in ``results_path``. Default True;
        False submits in every try. Different audio (a
        URL that differs in more than its signature, a file with another size, ETag or modification time), model or
        options are submitted anew
    :param on_ambiguous: what to do if a submission got no answer and may have been billed: ``fail`` (default; clearing
        the task then submits again) or ``resubmit`` (once, perhaps paying twice)
    :param on_expired: what to do if an earlier try's generation and its transcript are gone: ``fail`` (default) or
        ``resubmit``
    :param media: what is done with an upload before it is sent, as a dict of the fields of
        :class:`~airflow_provider_laplas.media.MediaSettings`: the audio is taken out of a video, and what is over the
        limits of the API is cut into parts at silences. ``{}`` does what is needed and no more. Default None: each file is
        sent as it is. Needs the extra ``media``. Templated
    :param options: options by name, for models with options that are not listed here; or a template of such a dict
    :param custom_intent: intents to look for
    :param custom_intent_mode: ``strict`` or ``extended``
    :param custom_topic: topics to look for
    :param custom_topic_mode: ``strict`` or ``extended``
    :param detect_entities: mark names, places, dates
    :param detect_language: detect the spoken language
    :param detect_topics: detect topics
    :param diarize: tell speakers apart
    :param diarize_version: version of the diarization
    :param dictation: write spoken commands as punctuation
    :param extra: a string that the API returns with the reply
    :param filler_words: keep "uh" and "um"
    :param intents: detect intents
    :param keywords: words to listen for
    :param language: the spoken language (BCP-47)
    :param measurements: abbreviate measurements
    :param multi_channel: transcribe every channel of the audio separately
    :param numerals: write numbers as digits
    :param paragraphs: divide the transcript into paragraphs
    :param profanity_filter: remove profanity
    :param punctuate: add punctuation and capitals
    :param search: a term to search for
    :param sentiment: detect sentiment
    :param smart_format: format numbers, dates and so on for readability
    :param summarize: ask for a summary
    :param tag: labels for the account's usage report
    :param topics: detect topics
    :param utt_split: seconds of silence that end an utterance
    :param utterances: divide the transcript into utterances
    """

    template_fields: Sequence[str] = ("audio", "model", "conn_id", "typed_options", "options", "media")
    ui_color = "#e2f0d9"

    def __init__(
        self,
        *,
        audio: Any,
        model: str = DEFAULT_MODEL,
        conn_id: str = DEFAULT_CONN_ID,
        durable: bool = True,
        on_ambiguous: Literal["fail", "resubmit"] = "fail",
        on_expired: Literal["fail", "resubmit"] = "fail",
        media: MediaSettings | Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | str | None = None,
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
        typed = {
            name: value for name, value in locals().items() if name in OPTION_NAMES and value is not None
        }
        check_keywords(type(self).__name__, argument_names(type(self)), kwargs)
        check_text("model", model)
        check_text("conn_id", conn_id)
        if not is_template(audio):
            audio = self.check_audio(audio)
        super().__init__(**kwargs)
        self.audio = audio
        self.model = model
        self.conn_id = conn_id
        self.typed_options = typed
        self.options = options
        self.media = check_settings("media", MediaSettings, media)
        if not is_template(options):
            check_options(merge_options(typed, options), rendered=False)
        self.durable = check_flag("durable", durable)
        self.on_ambiguous = check_choice("on_ambiguous", on_ambiguous, ("fail", "resubmit"))
        self.on_expired = check_choice("on_expired", on_expired, ("fail", "resubmit"))

    def check_audio(self, audio: Any) -> Any:
        """
        Return ``audio``, if it is a valid source.

        :raises LaplasArgumentError: naming ``audio``
        """
        return check_audio(audio)

    def rendered_audio(self) -> Any:
        """Return the rendered ``audio``, with its signature."""
        return self.check_audio(self.given("audio"))

    def shown_source(self) -> str | None:
        """Return where the audio is, redacted; None if it is not a single string."""
        return redacted(self.audio) if isinstance(self.audio, str) else None

    def rendered_options(self) -> dict[str, Any]:
        """Return the request's options, rendered and checked."""
        typed, options = self.given("typed_options"), self.given("options")
        return check_options(merge_options(typed, options), rendered=True)

    def rendered_model(self) -> str:
        """Return the API's model id, rendered and checked."""
        return check_text("model", self.given("model"))

    def submission(self, timeout: float) -> "Submission":
        """
        Make the submission from the rendered arguments.

        :param timeout: seconds to wait for the result
        """
        # Imported here to keep DAG parsing fast.
        from airflow_provider_laplas.task.submission import Submission  # noqa: PLC0415

        audio = self.rendered_audio()
        return Submission(
            audio,
            redacted(str(audio)),
            self.rendered_model(),
            self.rendered_options(),
            timeout,
            self.resume_policy(),
            durable=self.durable,
            preparation=self.preparation(),
        )

    def preparation(self) -> Preparation | None:
        """Return what is done with a recording before it is submitted, rendered and checked; None for nothing."""
        settings = read_settings("media", MediaSettings, self.given("media"))
        multi_channel = bool(self.rendered_options().get("multi_channel"))
        return Preparation(settings, multi_channel) if settings is not None else None

    def resume_policy(self) -> ResumePolicy:
        """Return how to resume work that an earlier try or run started."""
        return ResumePolicy(self.on_ambiguous, self.on_expired)
