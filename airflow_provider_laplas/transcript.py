"""
One model over the three shapes in which the API family answers. Times are seconds everywhere.

====================  ==============================================  ============
shape                 where the text is                               times
====================  ==============================================  ============
Whisper, Nova         ``results.channels[].alternatives[0]``          seconds
AssemblyAI            ``text``, ``words[]``, ``utterances[]``         milliseconds
OpenAI                ``text`` alone, with ``usage``                  none
====================  ==============================================  ============

Reading is lenient about what is optional (absent becomes None or empty) and strict about the text itself: a reply
without any place for it is a :class:`~airflow_provider_laplas.errors.LaplasMalformedReplyError`, never an empty
transcript.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from airflow_provider_laplas.errors import LaplasMalformedReplyError

MILLISECOND = 0.001
"""One millisecond, in seconds."""


@dataclass(frozen=True, slots=True)
class Word:
    """
    One spoken word.

    :ivar text: as it is written in the transcript, with its punctuation where the API gives it
    :ivar start: seconds from the beginning of the audio, None where the API gives no times
    :ivar end: the same, for the word's end
    :ivar confidence: 0 to 1
    :ivar speaker: the API's label, where it told speakers apart
    :ivar channel: counted from 0
    """

    text: str = field(repr=False)
    start: float | None = None
    end: float | None = None
    confidence: float | None = None
    speaker: str | None = None
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """
    A stretch of speech: one of the API's utterances, or a sentence of its paragraphs.

    The fields are those of :class:`Word`, for the whole stretch.
    """

    text: str = field(repr=False)
    start: float | None = None
    end: float | None = None
    confidence: float | None = None
    speaker: str | None = None
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Transcript:
    """
    What was said, in one model for every shape of reply.

    :ivar text: the whole transcript; the texts of several channels are joined with a newline, in channel order
    :ivar language: as the API detected it (BCP-47), None where it was not asked to
    :ivar duration: seconds of audio
    :ivar confidence: 0 to 1; the mean over the channels in which there was speech
    :ivar words: in order of channel, then time
    :ivar segments: utterances where the reply has them, else the sentences of its paragraphs
    :ivar channels: how many channels the reply has
    :ivar model: the model that really ran, as the reply names it
    :ivar usage: what the API counted (tokens), where it says so
    :ivar raw: the whole reply, untouched
    """

    text: str = field(repr=False)
    raw: Mapping[str, Any] = field(repr=False)
    language: str | None = None
    duration: float | None = None
    confidence: float | None = None
    words: tuple[Word, ...] = field(default=(), repr=False)
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    channels: int = 1
    model: str | None = None
    usage: Mapping[str, Any] | None = None

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any]) -> "Transcript":
        """
        Read a whole reply of the API: one with ``status`` and ``result``, or a bare result.

        :raises LaplasMalformedReplyError: where the reply has no place for a text
        """
        result = find_result(reply)
        if result is None:
            result = reply
        if "results" in result or "channels" in result:
            return _from_channels(result, reply)
        if isinstance(result.get("text"), str):
            return _from_text(result, reply)
        raise LaplasMalformedReplyError(
            "The reply holds no transcript: neither `results` nor `text` is in it.", status=200
        )


def find_result(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the reply's result, under whichever key it lies, or None where there is none."""
    for key in ("result", "output"):
        result = reply.get(key)
        if isinstance(result, Mapping):
            return result
    return None


def _from_channels(result: Mapping[str, Any], reply: Mapping[str, Any]) -> Transcript:
    """Read the Deepgram-like shape. ``results: null`` is what silence looks like: an empty transcript."""
    results = _mapping(result.get("results")) if "results" in result else result
    metadata = _mapping(result.get("metadata"))
    channels = list(_mappings(results.get("channels")))
    alternatives = [next(_mappings(channel.get("alternatives")), {}) for channel in channels]
    texts = [_text(alternative.get("transcript")) for alternative in alternatives]
    words = tuple(
        _word(word, channel=number, unit=1.0)
        for number, alternative in enumerate(alternatives)
        for word in _mappings(alternative.get("words"))
    )
    segments = tuple(_segment(utterance, unit=1.0) for utterance in _mappings(results.get("utterances")))
    return Transcript(
        text="\n".join(text for text in texts if text),
        raw=reply,
        language=next(filter(None, (_optional_text(c.get("detected_language")) for c in channels)), None),
        duration=_number(metadata.get("duration")),
        confidence=_mean(
            _number(alternative.get("confidence"))
            for alternative, text in zip(alternatives, texts, strict=True)
            if text
        ),
        words=words,
        segments=segments or tuple(_paragraph_sentences(alternatives)),
        channels=max(len(channels), 1),
        model=_model(metadata),
        usage=_usage(result, reply),
    )


def _from_text(result: Mapping[str, Any], reply: Mapping[str, Any]) -> Transcript:
    """Read the AssemblyAI-like and the OpenAI-like shape: the text lies open, times are in milliseconds."""
    return Transcript(
        text=_text(result.get("text")),
        raw=reply,
        language=_optional_text(result.get("language_code")) or _optional_text(result.get("language")),
        # AssemblyAI's audio_duration is the one time that it gives in seconds (its API reference).
        duration=_number(result.get("audio_duration")),
        confidence=_number(result.get("confidence")),
        words=tuple(_word(word, channel=0, unit=MILLISECOND) for word in _mappings(result.get("words"))),
        segments=tuple(_segment(part, unit=MILLISECOND) for part in _mappings(result.get("utterances"))),
        model=_optional_text(result.get("model")) or _optional_text(result.get("speech_model")),
        usage=_usage(result, reply),
    )


def _paragraph_sentences(alternatives: Iterable[Mapping[str, Any]]) -> Iterator[Segment]:
    for number, alternative in enumerate(alternatives):
        for paragraph in _mappings(_mapping(alternative.get("paragraphs")).get("paragraphs")):
            for sentence in _mappings(paragraph.get("sentences")):
                yield Segment(
                    text=_text(sentence.get("text")),
                    start=_number(sentence.get("start")),
                    end=_number(sentence.get("end")),
                    speaker=_label(paragraph.get("speaker")),
                    channel=number,
                )


def _word(word: Mapping[str, Any], *, channel: int, unit: float) -> Word:
    return Word(
        text=_text(word.get("punctuated_word")) or _text(word.get("word")) or _text(word.get("text")),
        start=_number(word.get("start"), unit),
        end=_number(word.get("end"), unit),
        confidence=_number(word.get("confidence")),
        speaker=_label(word.get("speaker")),
        channel=channel,
    )


def _segment(part: Mapping[str, Any], *, unit: float) -> Segment:
    return Segment(
        text=_text(part.get("transcript")) or _text(part.get("text")),
        start=_number(part.get("start"), unit),
        end=_number(part.get("end"), unit),
        confidence=_number(part.get("confidence")),
        speaker=_label(part.get("speaker")),
        channel=int(_number(part.get("channel")) or 0),
    )


def _model(metadata: Mapping[str, Any]) -> str | None:
    """Return the name of the model that ran: ``model_info`` says it for each id in ``models``."""
    for info in _mapping(metadata.get("model_info")).values():
        if name := _optional_text(_mapping(info).get("name")):
            return name
    return None


def _usage(result: Mapping[str, Any], reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return _mapping(result.get("usage")) or _mapping(reply.get("usage")) or None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Iterate over a list of objects, or over the one object that some replies have in its place."""
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _optional_text(value: Any) -> str | None:
    return _text(value) or None


def _label(value: Any) -> str | None:
    """Return a speaker's label: Deepgram counts them from 0, AssemblyAI names them A, B and so on."""
    return None if value is None or isinstance(value, bool | list | dict) else str(value)


def _number(value: Any, unit: float = 1.0) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value) * unit
    except OverflowError:
        return None
    # A thousandth of a millisecond: what multiplying by the unit adds below that is noise.
    return round(number, 6) if math.isfinite(number) else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
