"""The request options: their names, their types and their validation. Pure."""

import json
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypedDict, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from airflow_provider_laplas.arguments import LONGEST_EXCHANGE, is_number, is_template, nearest
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import redact, shown

log = logging.getLogger(__name__)

DEFAULT_MODEL = "#g1_whisper-medium"
"""The model that the API documents; the leading ``#`` is part of the id."""

RESERVED = frozenset({"model", "url", "audio", "file"})
"""Request fields that are not options."""


class RequestOptions(TypedDict, total=False):
    """The options that the API documents for ``#g1_whisper-medium``. Unset options are not sent."""

    custom_intent: str | list[str]
    custom_intent_mode: Literal["strict", "extended"]
    custom_topic: str | list[str]
    custom_topic_mode: Literal["strict", "extended"]
    detect_entities: bool
    detect_language: bool
    detect_topics: bool
    diarize: bool
    diarize_version: str
    dictation: bool
    extra: str
    filler_words: bool
    intents: bool
    keywords: str
    language: str
    measurements: bool
    multi_channel: bool
    numerals: bool
    paragraphs: bool
    profanity_filter: bool
    punctuate: bool
    search: str
    sentiment: bool
    smart_format: bool
    summarize: str
    tag: list[str]
    topics: bool
    utt_split: float
    utterances: bool


OPTION_NAMES: frozenset[str] = frozenset(RequestOptions.__annotations__)
"""The names of the documented options."""


_BOUNDS = {"utt_split": (0, LONGEST_EXCHANGE)}


def check_options(options: Mapping[str, Any], *, rendered: bool) -> dict[str, Any]:
    """
    Check the options' types and return the ones that are set.

    :param options: name to value; None means not set
    :param rendered: False while the DAG is parsed: templates are not checked. True once templates are rendered:
        strings are converted to the option's type (``"true"`` to a boolean, ``"0.8"`` to a number)
    :raises LaplasArgumentError: naming the option whose value has the wrong type
    """
    checked: dict[str, Any] = {}
    for name, value in options.items():
        if name in RESERVED:
            raise LaplasArgumentError(
                f"`options` cannot contain `{name}`: it is a separate argument.", argument=name
            )
        if value is None:
            continue
        if name not in OPTION_NAMES or (not rendered and is_template(value)):
            checked[name] = value
            continue
        try:
            checked[name] = _adapter(name).validate_python(value, strict=not rendered)
        except ValueError as error:
            problems = error.errors() if isinstance(error, ValidationError) else [{"msg": str(error)}]
            expected = "; ".join(sorted({problem["msg"] for problem in problems}))
            raise LaplasArgumentError(
                f"The option `{name}` cannot be {type(value).__name__} {shown(value)}: {expected}.",
                argument=name,
            ) from None
        if name in _BOUNDS and (isinstance(value, bool) or not is_number(checked[name], *_BOUNDS[name])):
            least, most = _BOUNDS[name]
            raise LaplasArgumentError(
                f"The option `{name}` must be a number from {least:,} to {most:,}, not {shown(value)}.",
                argument=name,
            )
    if rendered:
        try:
            # Encoded, as half of a surrogate pair could not be sent.
            json.dumps(checked, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise LaplasArgumentError(
                f"`options` cannot be serialized as JSON: {redact(str(error))}.", argument="options"
            ) from None
    return checked


def merge_options(typed: Mapping[str, Any], options: Any) -> dict[str, Any]:
    """
    Merge an operator's typed keyword arguments, except those that are None, with its ``options``.

    Undocumented names in ``options`` are kept, because other models take other options; a warning suggests the nearest
    documented name.

    :raises LaplasArgumentError: if ``options`` is not a mapping, or an option is given in both places
    """
    if options is None:
        options = {}
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise LaplasArgumentError(
            f"`options` must be a mapping of names to values, not {type(options).__name__}.",
            argument="options",
        )
    given = {name: value for name, value in typed.items() if value is not None}
    if twice := sorted(given.keys() & options.keys()):
        raise LaplasArgumentError(
            f"The option `{twice[0]}` is given twice: as an argument and in `options`.", argument=twice[0]
        )
    for name in sorted(options.keys() - OPTION_NAMES - RESERVED):
        log.warning(
            "The option `%s` is not documented for %s; it is sent unchanged.%s",
            redact(name, limit=60),
            DEFAULT_MODEL,
            nearest(name, OPTION_NAMES),
        )
    return {**given, **options}


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    hint = get_type_hints(RequestOptions)[name]
    # NaN and infinity are not valid JSON. Rendering a template to native types turns a string of digits into a number,
    # which is turned back here.
    return TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False, coerce_numbers_to_str=True))
