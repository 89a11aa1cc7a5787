"""A transcript as plain JSON values, and back."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript.json_objects import mappings
from airflow_provider_laplas.transcript.parts import Fields, Paragraph, Segment, Word

FORMAT = "laplas-transcript"
"""What ``Transcript.to_dict`` writes under ``format``, so that a file of it is not taken for a reply of the API."""

VERSION = 1
"""The version that ``Transcript.to_dict`` writes; it changes when an older reader would misread a newer file."""

P = TypeVar("P", Word, Segment)

_PART_FIELDS = tuple(entry.name for entry in fields(Word))


def write_stored(transcript: Fields) -> dict[str, Any]:
    """Return plain JSON values that :func:`read_stored` reads back; what is ``raw`` is not copied."""
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
        "raw": transcript["raw"],
    }


def read_stored(data: Mapping[str, Any]) -> Fields:
    """
    Read what :func:`write_stored` wrote. Keys that this version does not know are left alone.

    :raises LaplasArgumentError: naming ``data``, where that is something else, or of a later version
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise LaplasArgumentError(
            f"`data` is no stored transcript: its format is not {FORMAT}.", argument="data"
        )
    if data.get("version") != VERSION:
        raise LaplasArgumentError(
            f"The stored transcript has version {data.get('version')!r}; this package reads {VERSION}.",
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
        usage=_stored(data, "usage", Mapping, default=None),
        given_paragraphs=tuple(
            Paragraph(
                sentences=_stored_parts(paragraph, "sentences", Segment),
                speaker=_stored(paragraph, "speaker", str, default=None),
                channel=_stored(paragraph, "channel", int, default=0),
            )
            for paragraph in mappings(data.get("paragraphs"))
        ),
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
    """Return a stored value of a type; a number may be written without its point."""
    value = data.get(key)
    if value is None and default is not ...:
        return default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, kind) or isinstance(value, bool) or (kind is float and not math.isfinite(value)):
        raise LaplasArgumentError(
            f"`{key}` of the stored transcript is not what it should be.", argument="data"
        )
    return value
