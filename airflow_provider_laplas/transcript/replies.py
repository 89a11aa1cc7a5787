"""
Reads the API's replies, in the three formats that its models use.

====================  ==============================================  ============
format                where the text is                               times
====================  ==============================================  ============
Whisper, Nova         ``results.channels[].alternatives[0]``          seconds
AssemblyAI            ``text``, ``words[]``, ``utterances[]``         milliseconds
OpenAI                ``text`` alone, with ``usage``                  none
====================  ==============================================  ============

Optional fields may be missing (they become None or empty), and what no output could hold counts as missing. The text
field is required: a reply without one raises :class:`~airflow_provider_laplas.errors.LaplasMalformedReplyError` and never
becomes an empty transcript.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from airflow_provider_laplas.errors import LaplasMalformedReplyError
from airflow_provider_laplas.transcript.json_objects import mapping, mappings
from airflow_provider_laplas.transcript.parts import Fields, Paragraph, Segment, Word, mean_confidence
from airflow_provider_laplas.transcript.values import (
    channel_of,
    confidence,
    label,
    optional_text,
    plain_json,
    seconds,
    text_of,
)

MILLISECOND = 0.001
"""One millisecond, in seconds."""


class ChannelOutline(NamedTuple):
    """What a reply says of a channel as a whole."""

    text: str
    language: str | None
    confidence: float | None


class Outline(NamedTuple):
    """
    What a reply says as a whole, beside the fields of a transcript.

    :ivar channels: one for all channels where the reply has one text for them, as AssemblyAI's
    :ivar has_utterances: whether the reply has segments of its own
    :ivar model_info: as the reply has it; empty if it has none
    """

    channels: tuple[ChannelOutline, ...]
    has_utterances: bool
    model_info: Mapping[str, Any]


def read_outline(reply: Mapping[str, Any]) -> Outline:
    """Return what a reply that :func:`read_reply` reads says as a whole."""
    result = _result_of(reply)
    if not _has_channels(result):
        whole = ChannelOutline(
            text_of(result.get("text")), _language(result), confidence(result.get("confidence"))
        )
        return Outline((whole,), any(mappings(result.get("utterances"))), {})
    results = _results(result)
    return Outline(
        tuple(outline for outline, _ in _channels(results)),
        any(mappings(results.get("utterances"))),
        mapping(mapping(result.get("metadata")).get("model_info")),
    )


def read_reply(reply: Mapping[str, Any]) -> Fields:
    """
    Read a whole reply of the API: one with ``status`` and ``result``, or a bare result.

    :raises LaplasMalformedReplyError: if the reply has no field for the text
    """
    result = _result_of(reply)
    if _has_channels(result):
        return _from_channels(result, reply)
    if isinstance(result.get("text"), str):
        return _from_text(result, reply)
    raise LaplasMalformedReplyError(
        "The reply contains no transcript: it has neither `results` nor `text`.", status=200
    )


def find_result(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the reply's result, which may be under one of two keys, or None."""
    for key in ("result", "output"):
        result = reply.get(key)
        if isinstance(result, Mapping):
            return result
    return None


def _result_of(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    result = find_result(reply)
    return reply if result is None else result


def _has_channels(result: Mapping[str, Any]) -> bool:
    return "results" in result or "channels" in result


def _results(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(result.get("results")) if "results" in result else result


def _channels(results: Mapping[str, Any]) -> Iterator[tuple[ChannelOutline, Mapping[str, Any]]]:
    """Yield what the Deepgram-like format says of each channel, with the channel's first alternative."""
    for channel in mappings(results.get("channels")):
        alternative = next(mappings(channel.get("alternatives")), {})
        outline = ChannelOutline(
            text_of(alternative.get("transcript")),
            optional_text(channel.get("detected_language")),
            confidence(alternative.get("confidence")),
        )
        yield outline, alternative


def _language(result: Mapping[str, Any]) -> str | None:
    return optional_text(result.get("language_code")) or optional_text(result.get("language"))


def _from_channels(result: Mapping[str, Any], reply: Mapping[str, Any]) -> Fields:
    """Read the Deepgram-like format. ``results: null`` means silence: an empty transcript."""
    results = _results(result)
    metadata = mapping(result.get("metadata"))
    channels = list(_channels(results))
    outlines = [outline for outline, _ in channels]
    alternatives = [alternative for _, alternative in channels]
    words = tuple(
        _word(word, channel=number, unit=1.0)
        for number, alternative in enumerate(alternatives)
        for word in mappings(alternative.get("words"))
    )
    segments = tuple(_segment(utterance, unit=1.0) for utterance in mappings(results.get("utterances")))
    paragraphs = tuple(_given_paragraphs(alternatives))
    return Fields(
        text="\n".join(outline.text for outline in outlines if outline.text),
        raw=reply,
        language=next(filter(None, (outline.language for outline in outlines)), None),
        duration=seconds(metadata.get("duration")),
        confidence=mean_confidence(outline.confidence for outline in outlines if outline.text),
        words=words,
        segments=segments or tuple(sentence for paragraph in paragraphs for sentence in paragraph.sentences),
        channels=max(len(channels), 1),
        model=_model(metadata),
        usage=_usage(result, reply),
        given_paragraphs=paragraphs,
        billed_seconds=seconds(metadata.get("billed_seconds")),
    )


def _from_text(result: Mapping[str, Any], reply: Mapping[str, Any]) -> Fields:
    """Read the AssemblyAI-like and OpenAI-like formats: a top-level text, times in milliseconds."""
    words = tuple(
        _word(word, channel=_text_channel(word), unit=MILLISECOND) for word in mappings(result.get("words"))
    )
    segments = tuple(
        _segment(part, unit=MILLISECOND, channel=_text_channel(part))
        for part in mappings(result.get("utterances"))
    )
    return Fields(
        text=text_of(result.get("text")),
        raw=reply,
        language=_language(result),
        # According to AssemblyAI's API reference, audio_duration is in seconds, unlike its other times.
        duration=seconds(result.get("audio_duration")),
        confidence=confidence(result.get("confidence")),
        # One channel after another, as in the other format; AssemblyAI interleaves them by time.
        words=tuple(sorted(words, key=lambda word: word.channel)),
        segments=segments,
        channels=max([*(word.channel for word in words), *(part.channel for part in segments)], default=0)
        + 1,
        model=optional_text(result.get("model")) or optional_text(result.get("speech_model")),
        usage=_usage(result, reply),
        given_paragraphs=(),
        billed_seconds=None,
    )


def _given_paragraphs(alternatives: Iterable[Mapping[str, Any]]) -> Iterator[Paragraph]:
    for number, alternative in enumerate(alternatives):
        for paragraph in mappings(mapping(alternative.get("paragraphs")).get("paragraphs")):
            speaker = label(paragraph.get("speaker"))
            sentences = tuple(
                Segment(
                    text=text_of(sentence.get("text")),
                    start=seconds(sentence.get("start")),
                    end=seconds(sentence.get("end")),
                    speaker=speaker,
                    channel=number,
                )
                for sentence in mappings(paragraph.get("sentences"))
            )
            if sentences:
                yield Paragraph(sentences=sentences, speaker=speaker, channel=number)


def _word(word: Mapping[str, Any], *, channel: int, unit: float) -> Word:
    return Word(
        text=text_of(word.get("punctuated_word")) or text_of(word.get("word")) or text_of(word.get("text")),
        start=seconds(word.get("start"), unit),
        end=seconds(word.get("end"), unit),
        confidence=confidence(word.get("confidence")),
        speaker=label(word.get("speaker")),
        channel=channel,
    )


def _segment(part: Mapping[str, Any], *, unit: float, channel: int | None = None) -> Segment:
    return Segment(
        text=text_of(part.get("transcript")) or text_of(part.get("text")),
        start=seconds(part.get("start"), unit),
        end=seconds(part.get("end"), unit),
        confidence=confidence(part.get("confidence")),
        speaker=label(part.get("speaker")),
        channel=channel_of(part.get("channel")) if channel is None else channel,
    )


def _text_channel(part: Mapping[str, Any]) -> int:
    """Return the channel, from 0, of an AssemblyAI-like word, which has it as a string, from "1"."""
    channel = part.get("channel")
    # More than three digits are some other label.
    if isinstance(channel, str) and re.fullmatch(r"[0-9]{1,3}", channel):
        return max(int(channel) - 1, 0)
    return 0


def _model(metadata: Mapping[str, Any]) -> str | None:
    """Return the name of the model that ran, from ``model_info``."""
    for info in mapping(metadata.get("model_info")).values():
        if name := optional_text(mapping(info).get("name")):
            return name
    return None


def _usage(result: Mapping[str, Any], reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    figures: dict[str, Any] = plain_json(mapping(result.get("usage")) or mapping(reply.get("usage")))
    return figures or None
