"""What the operators and the sensor have in common: the request's arguments, and a task object that does the work."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_provider_laplas.airflow_compat import (
    Context,
    RenderedOperator,
    TriggerFailure,
    argument_names,
    trigger_failure,
)
from airflow_provider_laplas.api.options import DEFAULT_MODEL, OPTION_NAMES, check_options, merge_options
from airflow_provider_laplas.api.resume import ResumePolicy
from airflow_provider_laplas.arguments import (
    check_choice,
    check_flag,
    check_keywords,
    check_text,
    is_template,
)
from airflow_provider_laplas.audio.sources import check_audio
from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.task.notify import lineage
from airflow_provider_laplas.task.outcome import Outcome, carry_out

if TYPE_CHECKING:
    from airflow_provider_laplas.task.submission import Submission


class Task(Protocol):
    """
    What a waiting operator does.

    :ivar written: the URI of what was written, once that is safe
    """

    written: str | None

    def start(self) -> Outcome:
        """Begin, or take up what an earlier try has begun."""

    def resume(self, event: Any) -> Outcome:
        """Take the trigger's event."""

    def trigger_failed(self, failure: TriggerFailure) -> Outcome:
        """Go on where the trigger ended without an event."""

    def on_kill(self) -> None:
        """Say what goes on though the task was ended."""

    def lineage(self) -> Any:
        """Return what was read and written, for OpenLineage."""


class BaseWaitingOperator(RenderedOperator):
    """An operator that submits or waits, in its worker or in the triggerer: the face of a task object."""

    soft_fail: bool = False
    """Skip the task instead of failing it."""

    never_fail: bool = False
    _task: Task | None = None

    def make_task(self, context: Context, event: Any = None) -> Task:
        """
        Return what this operator does, of its rendered arguments.

        :param event: the trigger's, where the task is resumed with one
        :raises LaplasArgumentError: naming the argument that a template has made a wrong one
        """
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Begin, or take up what an earlier try has begun; wait in the way that was chosen."""
        return self.carry_out(lambda: self._made(context).start())

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on with the trigger's event."""
        return self.carry_out(lambda: self._made(context, event).resume(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; also where Airflow gave the trigger up, for its time-out or its death."""
        failure = trigger_failure(next_method, next_kwargs)
        if failure is None:
            return super().resume_execution(next_method, next_kwargs, context)
        leave = partial(super().resume_execution, next_method, next_kwargs, context)
        return self.carry_out(lambda: self._made(context).trigger_failed(failure), leave=leave)

    def carry_out(self, step: Callable[[], Outcome], *, leave: Callable[[], Any] | None = None) -> Any:
        """
        Take a step, and do in Airflow's terms what it comes to.

        :param leave: what Airflow does of itself
        """
        return carry_out(self, step, skip_errors=self.soft_fail or self.never_fail, leave=leave)

    def on_kill(self) -> None:
        """Say what goes on though the task was ended."""
        if self._task is not None:
            self._task.on_kill()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what was read and written, for OpenLineage."""
        return self._task.lineage() if self._task is not None else lineage([], [])

    @property
    def written(self) -> str | None:
        """The URI of what was written, once that is safe."""
        return self._task.written if self._task is not None else None

    def _made(self, context: Context, event: Any = None) -> Task:
        self._task = self.make_task(context, event)
        return self._task


class BaseSTTOperator(RenderedOperator):
    """
    What the submitting operators have in common: the request. Submit with one of its subclasses.

    Options that are not given are not sent. All arguments of the request are templated, and checked when the DAG is
    parsed and again after templating; a wrong one is a
    :class:`~airflow_provider_laplas.errors.LaplasArgumentError` that names it, before anything is sent.

    :param audio: an http(s) URL, which the API fetches; or a local path or any URI of Airflow's ``ObjectStoragePath``
        (``s3://``, ``gs://``, ``file://`` …), which is uploaded, streamed
    :param model: the API's model id. Default ``#g1_whisper-medium``
    :param conn_id: a connection of type ``laplas``. Default ``laplas_default``
    :param durable: note in the task's state store what was submitted, so that a retry, or a Clear by a user, takes up
        the same generation instead of paying again. Default True; False submits in every try. Other audio (a URL that
        differs in more than its signature, a file with another size, ETag or time), another model or other options
        are other work
    :param on_ambiguous: what to do where a submission was sent and not answered, and may have been billed: ``fail``
        (default; a user's Clear then submits again) or ``resubmit`` (once more, and perhaps paid twice)
    :param on_expired: what to do where an earlier try's generation is gone, with its transcript: ``fail`` (default) or
        ``resubmit``
    :param options: options by name, for models that take others than the following; or a template of such a dict
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

    template_fields: Sequence[str] = ("audio", "model", "conn_id", "typed_options", "options")
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
        if not is_template(options):
            check_options(merge_options(typed, options), rendered=False)
        self.durable = check_flag("durable", durable)
        self.on_ambiguous = check_choice("on_ambiguous", on_ambiguous, ("fail", "resubmit"))
        self.on_expired = check_choice("on_expired", on_expired, ("fail", "resubmit"))
        self._audio: Any = audio

    def check_audio(self, audio: Any) -> Any:
        """
        Return ``audio``, if it can name audio.

        :raises LaplasArgumentError: naming ``audio``
        """
        return check_audio(audio)

    def rendered_audio(self) -> Any:
        """Return ``audio`` as it was rendered, with its signature, unless somebody has set another one since."""
        return self.check_audio(self._audio if self.audio == redacted(self._audio) else self.audio)

    def shown_source(self) -> str | None:
        """Return where the audio is, as it may be shown; None where it is not one text."""
        return self.audio if isinstance(self.audio, str) else None

    def rendered_options(self) -> dict[str, Any]:
        """Return the request's options, as they were rendered and checked."""
        check_text("model", self.model)
        return check_options(merge_options(self.typed_options, self.options), rendered=True)

    def submission(self, timeout: float) -> "Submission":
        """
        Return the work that is submitted, of the rendered arguments.

        :param timeout: seconds that a wait for it may take
        """
        # What only a worker needs is not imported by every DAG file.
        from airflow_provider_laplas.task.submission import Submission  # noqa: PLC0415

        audio = self.rendered_audio()
        return Submission(
            audio,
            redacted(str(audio)),
            self.model,
            self.rendered_options(),
            timeout,
            self.resume_policy(),
            durable=self.durable,
        )

    def resume_policy(self) -> ResumePolicy:
        """Return what the user chose for work that an earlier try or run has begun."""
        return ResumePolicy(self.on_ambiguous, self.on_expired)

    def after_rendering(self) -> None:
        """Have Airflow store and show URLs without their signatures."""
        super().after_rendering()
        self._audio = self.audio
        self.audio = redacted(self.audio)
