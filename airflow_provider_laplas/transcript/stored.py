"""Conversion of a transcript to JSON-serializable values and back."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import shown
from airflow_provider_laplas.transcript.json_objects import mappings
from airflow_provider_laplas.transcript.parts import Fields, Paragraph, Segment, Word
from airflow_provider_laplas.transcript.values import plain_json, valid_text

FORMAT = "laplas-transcript"
"""The value of ``format`` in ``Transcript.to_dict``, which distinguishes it from a reply of the API."""

VERSION = 1
"""The version that ``Transcript.to_dict`` writes; increased when older readers would misread newer files."""

P = TypeVar("P", Word, Segment)

# For an INTEGER column.
_TOO_LARGE = 2**31

_PART_FIELDS = tuple(entry.name for entry in fields(Word))


def write_stored(transcript: Fields) -> dict[str, Any]:
    """Return JSON-serializable values for :func:`read_stored`; ``raw`` is not copied."""
    billed = transcript["billed_seconds"]
    return {
        "format": FORMAT,
        "version": VERSION,
        "text": transcript["text"],
        "language": transcript["language"],
        "duration": transcript["duration"],
        "confidence": transcript["confidence"],
        "channels": transcript["channels"],
        "model": transcript["model"],
        "usage": transcript["usage"],
        "words": [_to_dict(word) for word in transcript["words"]],
        "segments": [_to_dict(segment) for segment in transcript["segments"]],
        "paragraphs": [
            {
                "sentences": [_to_dict(sentence) for sentence in paragraph.sentences],
                "speaker": paragraph.speaker,
                "channel": paragraph.channel,
            }
            for paragraph in transcript["given_paragraphs"]
        ],
        **({} if billed is None else {"billed_seconds": billed}),
        "raw": transcript["raw"],
    }


def read_stored(data: Mapping[str, Any]) -> Fields:
    """
    Read what :func:`write_stored` wrote. Unknown keys are ignored, and texts that are not valid Unicode become so.

    :raises LaplasArgumentError: naming ``data``, if it is not a stored transcript of this version
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise LaplasArgumentError(
            f"`data` is not a stored transcript: its format is not {FORMAT}.", argument="data"
        )
    if data.get("version") != VERSION:
        raise LaplasArgumentError(
            f"The stored transcript has version {shown(data.get('version'))}; this package reads version {VERSION}.",
            argument="data",
        )
    return Fields(
        text=_stored(data, "text", str),
        raw=_stored(data, "raw", Mapping, default={}),
        language=_stored(data, "language", str, default=None),
        duration=_stored(data, "duration", float, default=None),
        confidence=_stored(data, "confidence", float, default=None),
        words=_stored_parts(data, "words", Word),
        segments=_stored_parts(data, "segments", Segment),
        channels=_stored(data, "channels", int, default=1),
        model=_stored(data, "model", str, default=None),
        usage=plain_json(_stored(data, "usage", Mapping, default=None)),
        given_paragraphs=tuple(
            Paragraph(
                sentences=_stored_parts(paragraph, "sentences", Segment),
                speaker=_stored(paragraph, "speaker", str, default=None),
                channel=_stored(paragraph, "channel", int, default=0),
            )
            for paragraph in mappings(data.get("paragraphs"))
        ),
        billed_seconds=_stored(data, "billed_seconds", float, default=None),
    )


def _to_dict(part: Word | Segment) -> dict[str, Any]:
    return {name: getattr(part, name) for name in _PART_FIELDS}


def _stored_parts(data: Mapping[str, Any], key: str, kind: type[P]) -> tuple[P, ...]:
    return tuple(
        kind(
            text=_stored(part, "text", str),
            start=_stored(part, "start", float, default=None),
            end=_stored(part, "end", float, default=None),
            confidence=_stored(part, "confidence", float, default=None),
            speaker=_stored(part, "speaker", str, default=None),
            channel=_stored(part, "channel", int, default=0),
        )
        for part in mappings(data.get(key))
    )


def _stored(data: Mapping[str, Any], key: str, kind: type[Any], *, default: Any = ...) -> Any:
    """Return a stored value of the given type; a float may be stored as an integer."""
    value: Any = data.get(key)
    if value is None and default is not ...:
        return default
    kinds = (float, int) if kind is float else kind
    if not isinstance(value, kinds) or isinstance(value, bool) or not _fits(value):
        raise LaplasArgumentError(f"`{key}` of the stored transcript is invalid.", argument="data")
    return valid_text(value) if isinstance(value, str) else value


def _fits(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) < _TOO_LARGE
    return math.isfinite(value) if isinstance(value, float) else True
