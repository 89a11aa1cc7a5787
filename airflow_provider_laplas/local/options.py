"""What a request may ask for, and what this server makes of each option.

Every option of the API is honoured, refused (400, naming it) or recorded as a warning in the reply. Refused
are those without which the reply would lack something that was asked for; recorded are those that only shape
the text.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_laplas.local.engine import Engine
from airflow_provider_laplas.local.errors import ApiError, FieldError

NOTHING_TO_TRANSCRIBE = "One of url or file is required"
MODEL_PREFIX = "#g1_whisper-"

REFUSED = {
    "custom_intent": "intents are not found by this server",
    "custom_topic": "topics are not found by this server",
    "detect_entities": "entities are not found by this server",
    "detect_topics": "topics are not found by this server",
    "diarize": "speakers are not told apart by this server",
    "intents": "intents are not found by this server",
    "search": "recordings are not searched by this server",
    "sentiment": "sentiment is not judged by this server",
    "summarize": "summaries are not written by this server",
    "topics": "topics are not found by this server",
}
IGNORED = {
    "custom_intent_mode": "intents are not found by this server",
    "custom_topic_mode": "topics are not found by this server",
    "dictation": "spoken commands for punctuation stay words",
    "diarize_version": "speakers are not told apart by this server",
    "filler_words": "Whisper leaves out most filler words, and cannot be told not to",
    "measurements": "units are written as the model writes them",
    "numerals": "numbers are written as the model writes them",
    "profanity_filter": "nothing is filtered",
    "smart_format": "the text is formatted as the model formats it, no further",
}
# Optional in the API are also the words that say no.
OFF: tuple[Any, ...] = (None, False, "", "false", "none", [])


class Warned(NamedTuple):
    """One entry of `metadata.warnings`."""

    parameter: str
    type: str
    message: str


class Body(BaseModel):
    """The body of a request: the model, the recording's URL, and the options of `#g1_whisper-medium`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: Literal[
        "#g1_whisper-tiny", "#g1_whisper-base", "#g1_whisper-small", "#g1_whisper-medium", "#g1_whisper-large"
    ]
    url: Annotated[str, Field(max_length=8192, pattern=r"^[hH][tT][tT][pP][sS]?://[^/?#\s]")] | None = None

    custom_intent: str | list[str] | None = None
    custom_intent_mode: Literal["strict", "extended"] | None = None
    custom_topic: str | list[str] | None = None
    custom_topic_mode: Literal["strict", "extended"] | None = None
    detect_entities: bool | None = None
    detect_language: bool | None = None
    detect_topics: bool | None = None
    diarize: bool | None = None
    diarize_version: str | None = None
    dictation: bool | None = None
    extra: str | None = None
    filler_words: bool | None = None
    intents: bool | None = None
    keywords: str | None = None
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$")] | None = None
    measurements: bool | None = None
    multi_channel: bool | None = None
    numerals: bool | None = None
    paragraphs: bool | None = None
    profanity_filter: bool | None = None
    punctuate: bool | None = None
    search: str | None = None
    sentiment: bool | None = None
    smart_format: bool | None = None
    summarize: str | None = None
    tag: list[str] | None = None
    topics: bool | None = None
    utt_split: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    utterances: bool | None = None

    @property
    def size(self) -> str:
        """The Whisper size in the model's id, e.g. `medium`."""
        return self.model.removeprefix(MODEL_PREFIX)

    @property
    def spoken(self) -> str | None:
        """The language without its region, in lower case (`en` of `en-US`), or None."""
        return self.language.replace("_", "-").split("-")[0].lower() if self.language else None

    @property
    def hotwords(self) -> str | None:
        """The keywords without Deepgram's `:weight` behind each, or None."""
        words = [word.split(":")[0].strip() for word in (self.keywords or "").split(",")]
        return ", ".join(filter(None, words)) or None


SWITCHES = frozenset(name for name, field in Body.model_fields.items() if field.annotation == bool | None)
LISTS = frozenset({"tag", "custom_intent", "custom_topic"})


def parse_json(raw: bytes) -> Body:
    """Read a JSON body, or raise ApiError (400) naming the fields at fault. Types are taken strictly."""
    try:
        return Body.model_validate_json(raw or b"{}", strict=True)
    except ValidationError as error:
        raise _describe(error) from None


def parse_form(fields: dict[str, list[str]]) -> Body:
    """Read a form's fields, or raise ApiError (400). Booleans are `true` or `false`; a list repeats it."""
    values: dict[str, Any] = {}
    for name, given in fields.items():
        if name in LISTS or (len(given) > 1 and name not in Body.model_fields):
            values[name] = given
        elif len(given) > 1:
            raise FieldError(name, "Given more than once")
        elif name in SWITCHES:
            if given[0].lower() not in {"true", "false"}:
                raise FieldError(name, "Input should be true or false")
            values[name] = given[0].lower() == "true"
        else:
            values[name] = given[0]
    try:
        return Body.model_validate(values)
    except ValidationError as error:
        raise _describe(error) from None


def _describe(error: ValidationError) -> ApiError:
    """Make one message of pydantic's findings, without the values that were found."""
    if any(finding["type"] == "json_invalid" for finding in error.errors()):
        return ApiError(400, "Body validation error: the body is not valid JSON")
    found: dict[str, str] = {}
    for finding in error.errors():
        name = str(finding["loc"][0]) if finding["loc"] else "body"
        message = "Not an http(s) URL" if name == "url" else finding["msg"]
        found.setdefault(name, message)
    listed = "; ".join(f"{name}: {message}" for name, message in sorted(found.items()))
    return ApiError(400, f"Body validation error: {listed}")


def examine(body: Body, engine: Engine, *, substitute: bool, load: bool) -> list[Warned]:
    """Judge a request against what the engine can do, and return the reply's warnings.

    With `load` the weights are loaded where a language is asked for, to see whether they know it; without,
    the request is judged by what is known of them unseen. Raises FieldError for an option that cannot be
    honoured, and SetupError for weights that cannot be loaded. May take long: call it in a thread.
    """
    for name, reason in REFUSED.items():
        if getattr(body, name) not in OFF:
            raise FieldError(name, f"Not supported: {reason}")
    return [
        *_on_weights(body, engine, substitute=substitute),
        *_on_language(body, engine, load=load),
        *_on_rest(body),
    ]


def _on_weights(body: Body, engine: Engine, *, substitute: bool) -> Iterable[Warned]:
    running = engine.weights_for(body.size)
    # The hub's `large` is whichever `large-v…` is newest; `large-v3-turbo` is another model.
    if re.fullmatch(r"whisper-large(-v\d+)?" if body.size == "large" else f"whisper-{body.size}", running):
        return
    if not substitute:
        raise FieldError("model", f"Not available: this server runs {running} and may not substitute it")
    message = f"whisper {body.size} was asked for, {running} was used; see model_info"
    yield Warned("model", "substituted", message)


def _on_language(body: Body, engine: Engine, *, load: bool) -> Iterable[Warned]:
    if not body.language and not body.detect_language:
        return
    known = engine.languages(body.size, load=load)
    if body.spoken is not None:
        if body.spoken not in known:
            raise FieldError("language", f"Not known to the weights {engine.weights_for(body.size)}")
        if body.language is not None and body.spoken != body.language.lower():
            yield Warned("language", "ignored", f"only the language {body.spoken} was used, not its region")
        if body.detect_language:
            yield Warned("detect_language", "ignored", "a language was given, so none was detected")
    elif len(known) == 1:
        message = (
            f"these weights know no other language than {next(iter(known))}: it was assumed, not detected"
        )
        yield Warned("detect_language", "ignored", message)


def _on_rest(body: Body) -> Iterable[Warned]:
    for name, reason in IGNORED.items():
        if getattr(body, name) not in OFF:
            yield Warned(name, "ignored", reason)
    if body.utt_split is not None and not body.utterances:
        yield Warned("utt_split", "ignored", "without utterances there is nothing to split")
    for name in sorted(body.model_extra or {}):
        yield Warned(name, "unknown", "this option is not known to this server")
