"""What all submitting operators have in common: the request, its checks, and never paying for it twice."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_laplas.airflow_compat import METRICS, argument_names
from airflow_provider_laplas.api.options import DEFAULT_MODEL, OPTION_NAMES, check_options, merge_options
from airflow_provider_laplas.api.poller import ENDS_A_WAIT, SETTLING
from airflow_provider_laplas.api.responses import Generation, State
from airflow_provider_laplas.api.retry import ambiguous_submission
from airflow_provider_laplas.arguments import (
    check_choice,
    check_flag,
    check_keywords,
    check_text,
    is_template,
)
from airflow_provider_laplas.audio import check_audio, open_source
from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.durable import (
    Decision,
    Record,
    RecordStore,
    decide,
    fingerprint,
    fingerprint_request,
)
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasError,
    LaplasGenerationGoneError,
    rebuild,
)
from airflow_provider_laplas.redaction import show_location
from airflow_provider_laplas.results import find_reply
from airflow_provider_laplas.storage import object_storage

if TYPE_CHECKING:
    from airflow_provider_laplas.hooks import LaplasHook


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
        return self.check_audio(self._audio if self.audio == shown(self._audio) else self.audio)

    def shown_source(self) -> str | None:
        """Return where the audio is, as it may be shown; None where it is not one text."""
        return self.audio if isinstance(self.audio, str) else None

    def rendered_options(self) -> dict[str, Any]:
        """Return the request's options, as they were rendered and checked."""
        check_text("model", self.model)
        return check_options(merge_options(self.typed_options, self.options), rendered=True)

    def obtain(self, context: Context, hook: "LaplasHook", *, timeout: float, folder: str | None) -> Record:
        """
        Return the record of a generation for this work: one that an earlier try submitted, or a new one.

        :param timeout: seconds that a wait for it may take
        :param folder: where finished replies are kept
        """
        audio = self.rendered_audio()
        options = self.rendered_options()
        store, now = RecordStore(context), time.time()
        record = store.load() if self.durable else None
        work = fingerprint_request(audio, self.model, options)
        try:
            source = open_source(audio, object_storage())
        except LaplasArgumentError:
            # The audio may have been moved away since: what was submitted is paid for all the same.
            if record is None or record.generation_id is None or not record.fingerprint.startswith(work):
                raise
            source, known = audio, record.fingerprint
        else:
            known = fingerprint(work, source)
        decision, why = decide(record, known, store.max_tries)
        if record is not None and decision in {Decision.ATTACH, Decision.TAKE}:
            refused = None if decision is Decision.TAKE else self._not_to_attach_to(hook, record, folder)
            if refused is None:
                self.log.info("Not submitting: %s.", why)
                record = store.renewed(record, timeout=timeout, now=now)
                store.save(record)
                return record
            why = refused
        if decision is Decision.AMBIGUOUS:
            self._ambiguous(ambiguous_submission(f"{why[0].upper()}{why[1:]}."))
        if record is not None:
            self.log.info("Submitting: %s.", why)
        intent = Record(known, store.max_tries, now + timeout)
        # A try that finds it without an id knows that the submission may have been made.
        store.save(intent)
        try:
            generation_id = hook.submit(source, model=self.model, options=options)
        except LaplasAmbiguousSubmitError as error:
            self._ambiguous(error)
            generation_id = hook.submit(source, model=self.model, options=options)
        except LaplasError:
            # It was surely not made, so that a retry may make it.
            store.restore(record)
            raise
        return self._note(store, intent, generation_id, timeout)

    def _note(self, store: RecordStore, intent: Record, generation_id: str, timeout: float) -> Record:
        """Note what was submitted, and return it."""
        METRICS.submitted()
        now = time.time()
        # Logged before it is stored: should that fail, the log is where the id can be found.
        self.log.info("Submitted %s as generation %s.", shown(str(self.audio)), generation_id)
        record = replace(intent, generation_id=generation_id, submitted_at=now, deadline=now + timeout)
        try:
            store.save(record)
        except Exception:
            self.log.exception(
                "Generation %s could not be noted: a retry of this task would not know of it.", generation_id
            )
        return record

    def _not_to_attach_to(self, hook: "LaplasHook", record: Record, folder: str | None) -> str | None:
        """Return why an earlier try's generation is of no use; None where it is running, done or stored."""
        generation_id = str(record.generation_id)
        if find_reply(generation_id, folder) is not None:
            return None
        found = hook.client.poll(generation_id)
        if isinstance(found, Generation):
            failed = found.state is State.FAILED
            return (
                f"generation {generation_id} of an earlier try had failed: {found.reason}" if failed else None
            )
        if isinstance(found, LaplasGenerationGoneError):
            if time.time() - (record.submitted_at or 0.0) < SETTLING:
                return None
            if self.on_expired == "resubmit":
                return (
                    f"generation {generation_id} of an earlier try is gone, and on_expired says to resubmit"
                )
            where = f"in {show_location(folder)}" if folder else "anywhere: no `results_path` is set"
            hint = f'No transcript of it was found {where}. To submit it again in such a case, set on_expired="resubmit".'
            raise rebuild(LaplasGenerationGoneError, f"{found} {hint}", vars(found))
        # A look that failed says nothing about the generation, which is paid for: attach, and let the wait look again.
        if isinstance(found, ENDS_A_WAIT):
            raise found
        return None

    def _ambiguous(self, error: LaplasAmbiguousSubmitError) -> None:
        if self.on_ambiguous != "resubmit":
            raise error
        self.log.warning("Submitting again, as on_ambiguous says, and perhaps paying twice: %s", error)

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Render; what Airflow stores and shows of a URL afterwards is without its signature."""
        super()._do_render_template_fields(parent, *args, **kwargs)
        # This one method, and not render_template_fields, is what a mapped task calls as well.
        if parent is self:
            self._audio = self.audio
            self.audio = shown(self.audio)


def shown(audio: Any) -> Any:
    """Return what may be shown of ``audio``: a URL without its signature."""
    if isinstance(audio, list | tuple):
        return [shown(item) for item in audio]
    return show_location(audio) if isinstance(audio, str) else audio
