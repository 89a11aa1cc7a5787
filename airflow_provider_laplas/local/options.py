"""The options of a request, and how this server treats each.

Every option of the API is honoured, refused (400, naming it) or ignored with a warning in the reply. An option is
refused if the reply would lack what was requested, and ignored if it only affects the form of the text.
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
    "custom_intent": "this server does not detect intents",
    "custom_topic": "this server does not detect topics",
    "detect_entities": "this server does not detect entities",
    "detect_topics": "this server does not detect topics",
    "diarize": "this server does not identify speakers",
    "intents": "this server does not detect intents",
    "search": "this server does not search recordings",
    "sentiment": "this server does not analyse sentiment",
    "summarize": "this server does not write summaries",
    "topics": "this server does not detect topics",
}
IGNORED = {
    "custom_intent_mode": "this server does not detect intents",
    "custom_topic_mode": "this server does not detect topics",
    "dictation": "spoken punctuation commands are transcribed as words",
    "diarize_version": "this server does not identify speakers",
    "filler_words": "Whisper always leaves out most filler words",
    "measurements": "units are written as the model writes them",
    "numerals": "numbers are written as the model writes them",
    "profanity_filter": "nothing is filtered",
    "smart_format": "there is no formatting beyond the model's own",
}
# The values that switch an option off.
OFF: tuple[Any, ...] = (None, False, "", "false", "none", [])


class Warned(NamedTuple):
    """One entry of `metadata.warnings`."""

    parameter: str
    type: str
    message: str


class Body(BaseModel):
    """A request body: the model, the recording's URL, and the options of `#g1_whisper-medium`."""

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
        """The Whisper size in the model's id, such as `medium`."""
        return self.model.removeprefix(MODEL_PREFIX)

    @property
    def spoken(self) -> str | None:
        """The language in lower case, without its region (`en` of `en-US`), or None."""
        return self.language.replace("_", "-").split("-")[0].lower() if self.language else None

    @property
    def hotwords(self) -> str | None:
        """The keywords without Deepgram's `:weight` suffixes, or None."""
        words = [word.split(":")[0].strip() for word in (self.keywords or "").split(",")]
        return ", ".join(filter(None, words)) or None


SWITCHES = frozenset(name for name, field in Body.model_fields.items() if field.annotation == bool | None)
LISTS = frozenset({"tag", "custom_intent", "custom_topic"})


def parse_json(raw: bytes) -> Body:
    """Parse a JSON body, with strict types, or raise ApiError (400) naming the fields at fault."""
    try:
        return Body.model_validate_json(raw or b"{}", strict=True)
    except ValidationError as error:
        raise _describe(error) from None


def parse_form(fields: dict[str, list[str]]) -> Body:
    """Parse a form's fields, or raise ApiError (400). Booleans are `true` or `false`; a list is a repeated field."""
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
    """Combine pydantic's errors into one message, without the values."""
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
    """Check a request against the engine's abilities, and return the reply's warnings.

    If the request names a language, `load` loads the weights to check whether they support it; without `load`,
    the check only uses what is known without loading them. Raises FieldError for an option that cannot be
    honoured, and SetupError for weights that cannot be loaded. May be slow: call it in a thread.
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
    message = f"whisper {body.size} was requested, {running} was used; see model_info"
    yield Warned("model", "substituted", message)


def _on_language(body: Body, engine: Engine, *, load: bool) -> Iterable[Warned]:
    if not body.language and not body.detect_language:
        return
    known = engine.languages(body.size, load=load)
    if body.spoken is not None:
        if body.spoken not in known:
            raise FieldError("language", f"Not supported by the weights {engine.weights_for(body.size)}")
        if body.language is not None and body.spoken != body.language.lower():
            yield Warned("language", "ignored", f"only the language {body.spoken} was used, not its region")
        if body.detect_language:
            yield Warned("detect_language", "ignored", "a language was given, so none was detected")
    elif len(known) == 1:
        message = f"these weights support only {next(iter(known))}: it was assumed, not detected"
        yield Warned("detect_language", "ignored", message)


def _on_rest(body: Body) -> Iterable[Warned]:
    for name, reason in IGNORED.items():
        if getattr(body, name) not in OFF:
            yield Warned(name, "ignored", reason)
    if body.utt_split is not None and not body.utterances:
        yield Warned("utt_split", "ignored", "it has no effect without utterances")
    for name in sorted(body.model_extra or {}):
        yield Warned(name, "unknown", "this server does not know this option")
