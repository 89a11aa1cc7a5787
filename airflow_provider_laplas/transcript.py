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

The views (sentences, paragraphs, turns, search) are made when they are asked for. No repr shows what was said.
"""

import json
import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate, groupby, pairwise
from statistics import fmean
from typing import Any, TypeAlias, TypeVar

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasMalformedReplyError

MILLISECOND = 0.001
"""One millisecond, in seconds."""

FORMAT = "laplas-transcript"
"""What ``to_dict`` writes under ``format``, so that a file of it is not taken for a reply of the API."""

VERSION = 1
"""The version that ``to_dict`` writes; it changes when an older reader would misread a newer file."""

SENTENCE_PAUSE = 0.8
"""Seconds of silence that end a sentence where nothing is punctuated: the API's own default for ``utt_split``."""

PARAGRAPH_PAUSE = 2.0
"""Seconds of silence between two sentences that begin a paragraph."""

PARAGRAPH_SENTENCES = 5
"""Sentences after which a paragraph ends in any case."""

# Chinese and Japanese, with their punctuation and the full-width forms. Korean is not in it: it has spaces.
_CJK = r"\u2e80-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
# Thai, Lao, Burmese and Khmer: no spaces between their words either, but next to Latin there are.
_SOUTH_EAST_ASIAN = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_SENTENCE_END = re.compile(r"[.!?…。！？｡؟।۔։]['\"”’»›)\]」』）】]*$")  # noqa: RUF001 - these are the marks.
_AFTER_SENTENCE = re.compile(r"(?<=[.!?…؟।۔։])['\"”’»)\]]*\s+|(?<=[。！？｡])|\n+")  # noqa: RUF001
_NO_SENTENCE_END = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "no.", "e.g.", "i.e."})
_INITIAL = re.compile(r"^\w\.$")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")  # noqa: RUF001 - all three are written.


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
class Paragraph:
    """
    Sentences that belong together, of one speaker on one channel.

    :ivar sentences: at least one
    :ivar speaker: the API's label, where it told speakers apart
    :ivar channel: counted from 0
    """

    sentences: tuple[Segment, ...] = field(repr=False)
    speaker: str | None = None
    channel: int = 0

    @property
    def text(self) -> str:
        """The sentences in one line."""
        return join_words(sentence.text for sentence in self.sentences)

    @property
    def start(self) -> float | None:
        """Seconds from the beginning of the audio, None where the API gives no times."""
        return _first(sentence.start for sentence in self.sentences)

    @property
    def end(self) -> float | None:
        """The same, for the paragraph's end."""
        return _first(sentence.end for sentence in reversed(self.sentences))


Part: TypeAlias = Word | Segment | Paragraph
P = TypeVar("P", Word, Segment)
T = TypeVar("T", Segment, Paragraph)


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
    :ivar given_paragraphs: the API's own paragraphs, where the reply has them; see :attr:`paragraphs`
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
    given_paragraphs: tuple[Paragraph, ...] = field(default=(), repr=False)

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any]) -> "Transcript":
        """
        Read a whole reply of the API: one with ``status`` and ``result``, or a bare result.

        :raises LaplasMalformedReplyError: where the reply has no place for a text
        :raises LaplasArgumentError: naming ``reply``, where it is what :meth:`to_dict` wrote
        """
        if reply.get("format") == FORMAT:
            raise LaplasArgumentError(
                "`reply` is a stored transcript and no reply of the API: read it with Transcript.from_dict.",
                argument="reply",
            )
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

    @classmethod
    def from_json(cls, content: str | bytes) -> "Transcript":
        """
        Read a file: a whole reply of the API, or what :meth:`to_dict` wrote.

        :raises LaplasArgumentError: naming ``content``, where it is no JSON object; what it is, is not quoted
        :raises LaplasMalformedReplyError: where it holds no transcript
        """
        text = content.decode("utf-8-sig", "replace") if isinstance(content, bytes) else content
        data = read_object(text)
        if data is None:
            raise LaplasArgumentError("`content` is not a JSON object.", argument="content")
        return cls.from_dict(data) if data.get("format") == FORMAT else cls.from_reply(data)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of everybody who speaks, in order of appearance; empty where speakers were not told apart."""
        voices = (self.voice(part) for part in self.words or self.segments or self.sentences)
        return tuple(dict.fromkeys(filter(None, voices)))

    @property
    def sentences(self) -> tuple[Segment, ...]:
        """
        The sentences in order of time.

        They are the API's own where the reply has paragraphs, else made of the words (at full stops, changes of
        speaker, and pauses where nothing is punctuated), else the segments, else the text cut at full stops,
        without times.
        """
        if self.given_paragraphs:
            return _in_time([s for paragraph in self.given_paragraphs for s in paragraph.sentences])
        if self.words:
            return _in_time(list(_sentences_of_words(self.words)))
        if self.segments:
            return _in_time(self.segments)
        return tuple(Segment(text=text) for text in map(_text, _AFTER_SENTENCE.split(self.text)) if text)

    @property
    def paragraphs(self) -> tuple[Paragraph, ...]:
        """
        The paragraphs in order of time.

        They are the API's own where the reply has them, else sentences of one speaker, up to a pause of
        :data:`PARAGRAPH_PAUSE` or :data:`PARAGRAPH_SENTENCES`.
        """
        if self.given_paragraphs:
            return _in_time(self.given_paragraphs)
        return tuple(_paragraphs_of(self.sentences))

    @property
    def turns(self) -> tuple[Segment, ...]:
        """What each speaker said until somebody else did, in order of time."""
        groups = groupby(self.sentences, key=lambda sentence: (sentence.channel, sentence.speaker))
        return tuple(_merge(list(group)) for _, group in groups)

    def by_speaker(self) -> dict[str | None, tuple[Segment, ...]]:
        """Return each speaker's turns in order of time, under :meth:`voice`; None is where that is not known."""
        turns: dict[str | None, list[Segment]] = {}
        for turn in self.turns:
            turns.setdefault(self.voice(turn), []).append(turn)
        return {voice: tuple(said) for voice, said in turns.items()}

    def voice(self, part: Part) -> str | None:
        """
        Return a speaker's name for people: ``Speaker 0``, ``Channel 1``, ``Channel 1 Speaker 0``, or None.

        The channel is named where there are several: the API counts the speakers of each from 0 again.
        """
        label = part.speaker
        speaker = None if label is None else f"Speaker {label}" if len(label) <= 2 else label  # noqa: PLR2004
        if self.channels == 1:
            return speaker
        return f"Channel {part.channel} {speaker}" if speaker else f"Channel {part.channel}"

    def search(self, phrase: str) -> tuple[Segment, ...]:
        """
        Return every place where a phrase was said, in order of time, with its times, speaker and channel.

        Case, punctuation and forms of characters do not matter; whole words do, except where the script has no
        spaces. Without words the whole segments (or sentences) that hold it are returned.

        :raises LaplasArgumentError: naming ``phrase``, where it holds neither a letter nor a digit
        """
        wanted = _searchable(phrase)
        if not wanted:
            raise LaplasArgumentError("`phrase` must hold a letter or a digit.", argument="phrase")
        if not self.words:
            return tuple(
                s
                for s in _in_time(self.segments or self.sentences)
                if f" {wanted} " in f" {_searchable(s.text)} "
            )
        channels = groupby(self.words, key=lambda word: word.channel)
        return _in_time([match for _, words in channels for match in _find(wanted, list(words))])

    def to_txt(self) -> str:
        """Return the text for reading: paragraphs, and before each change of speaker who speaks. Needs no times."""
        blocks: list[str] = []
        before = None
        for paragraph in self.paragraphs:
            voice = self.voice(paragraph)
            blocks.append(f"{voice}: {paragraph.text}" if voice and voice != before else paragraph.text)
            before = voice
        return "\n\n".join(blocks) + "\n" if blocks else ""

    def to_dict(self, *, raw: bool = True) -> dict[str, Any]:
        """
        Return plain JSON values that :meth:`from_dict` reads back into an equal transcript.

        :param raw: whether the API's whole reply is in it; it is not copied. Without it, about half the size
        """
        return {
            "format": FORMAT,
            "version": VERSION,
            "text": self.text,
            "language": self.language,
            "duration": self.duration,
            "confidence": self.confidence,
            "channels": self.channels,
            "model": self.model,
            "usage": self.usage,
            "words": [_to_dict(word) for word in self.words],
            "segments": [_to_dict(segment) for segment in self.segments],
            "paragraphs": [
                {
                    "sentences": [_to_dict(sentence) for sentence in paragraph.sentences],
                    "speaker": paragraph.speaker,
                    "channel": paragraph.channel,
                }
                for paragraph in self.given_paragraphs
            ],
            "raw": self.raw if raw else {},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Transcript":
        """
        Read what :meth:`to_dict` wrote. Keys that this version does not know are left alone.

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
        return cls(
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
                for paragraph in _mappings(data.get("paragraphs"))
            ),
        )


def join_words(texts: Iterable[str]) -> str:
    """Return words or sentences in one line, with spaces where their script has them."""
    pieces: list[str] = []
    for text in texts:
        if pieces and text and needs_space(pieces[-1], text):
            pieces.append(" ")
        if text:
            pieces.append(text)
    return "".join(pieces)


def needs_space(left: str, right: str) -> bool:
    """Return whether a space belongs between two words: none beside Chinese and Japanese, none within Thai."""
    if left.isascii() and right.isascii():
        return True
    a, b = left[-1], right[0]
    if _CJK_CHARACTER.match(a) or _CJK_CHARACTER.match(b):
        return False
    return not (_SOUTH_EAST_ASIAN.match(a) and _SOUTH_EAST_ASIAN.match(b))


def ends_sentence(word: str) -> bool:
    """Return whether a sentence ends with a word: a full stop that belongs to no title or initial."""
    return (
        bool(_SENTENCE_END.search(word)) and word.lower() not in _NO_SENTENCE_END and not _INITIAL.match(word)
    )


def tokens(text: str) -> list[str]:
    """Return a text's words in one form (no case, no punctuation), the characters where there are no spaces."""
    return _searchable(text).split()


def read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is, None where it is none: what a parser says of a broken one quotes it."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


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
    paragraphs = tuple(_given_paragraphs(alternatives))
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
        segments=segments or tuple(sentence for paragraph in paragraphs for sentence in paragraph.sentences),
        channels=max(len(channels), 1),
        model=_model(metadata),
        usage=_usage(result, reply),
        given_paragraphs=paragraphs,
    )


def _from_text(result: Mapping[str, Any], reply: Mapping[str, Any]) -> Transcript:
    """Read the AssemblyAI-like and the OpenAI-like shape: the text lies open, times are in milliseconds."""
    words = tuple(
        _word(word, channel=_text_channel(word), unit=MILLISECOND) for word in _mappings(result.get("words"))
    )
    segments = tuple(
        _segment(part, unit=MILLISECOND, channel=_text_channel(part))
        for part in _mappings(result.get("utterances"))
    )
    return Transcript(
        text=_text(result.get("text")),
        raw=reply,
        language=_optional_text(result.get("language_code")) or _optional_text(result.get("language")),
        # AssemblyAI's audio_duration is the one time that it gives in seconds (its API reference).
        duration=_number(result.get("audio_duration")),
        confidence=_number(result.get("confidence")),
        # One channel after the other, as in the other shape; AssemblyAI mixes them by time.
        words=tuple(sorted(words, key=lambda word: word.channel)),
        segments=segments,
        channels=max([*(word.channel for word in words), *(part.channel for part in segments)], default=0)
        + 1,
        model=_optional_text(result.get("model")) or _optional_text(result.get("speech_model")),
        usage=_usage(result, reply),
    )


def _given_paragraphs(alternatives: Iterable[Mapping[str, Any]]) -> Iterator[Paragraph]:
    for number, alternative in enumerate(alternatives):
        for paragraph in _mappings(_mapping(alternative.get("paragraphs")).get("paragraphs")):
            speaker = _label(paragraph.get("speaker"))
            sentences = tuple(
                Segment(
                    text=_text(sentence.get("text")),
                    start=_number(sentence.get("start")),
                    end=_number(sentence.get("end")),
                    speaker=speaker,
                    channel=number,
                )
                for sentence in _mappings(paragraph.get("sentences"))
            )
            if sentences:
                yield Paragraph(sentences=sentences, speaker=speaker, channel=number)


def _word(word: Mapping[str, Any], *, channel: int, unit: float) -> Word:
    return Word(
        text=_text(word.get("punctuated_word")) or _text(word.get("word")) or _text(word.get("text")),
        start=_number(word.get("start"), unit),
        end=_number(word.get("end"), unit),
        confidence=_number(word.get("confidence")),
        speaker=_label(word.get("speaker")),
        channel=channel,
    )


def _segment(part: Mapping[str, Any], *, unit: float, channel: int | None = None) -> Segment:
    return Segment(
        text=_text(part.get("transcript")) or _text(part.get("text")),
        start=_number(part.get("start"), unit),
        end=_number(part.get("end"), unit),
        confidence=_number(part.get("confidence")),
        speaker=_label(part.get("speaker")),
        channel=max(int(_number(part.get("channel")) or 0), 0) if channel is None else channel,
    )


def _text_channel(part: Mapping[str, Any]) -> int:
    """Return the channel, from 0, of an AssemblyAI-like word: there it is a text, and the first is "1"."""
    channel = part.get("channel")
    # What is longer than three digits is some other label.
    if isinstance(channel, str) and re.fullmatch(r"[0-9]{1,3}", channel):
        return max(int(channel) - 1, 0)
    return 0


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
    # A confidence is 0 to 1: what is not says nothing.
    known = [value for value in values if value is not None and 0 <= value <= 1]
    return fmean(known) if known else None


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)


def _in_time(parts: Sequence[T]) -> tuple[T, ...]:
    """Put the parts of several channels in order of their start; one without a start stays behind its neighbour."""
    if len({part.channel for part in parts}) <= 1:
        return tuple(parts)
    latest = 0.0
    starts: list[float] = []
    for part in parts:
        latest = latest if part.start is None else part.start
        starts.append(latest)
    # Stable: what begins at the same time stays in order of channel.
    return tuple(parts[index] for index in sorted(range(len(parts)), key=starts.__getitem__))


def _sentences_of_words(words: Sequence[Word]) -> Iterator[Segment]:
    for _, group in groupby(words, key=lambda word: word.channel):
        channel = list(group)
        punctuated = any(ends_sentence(word.text) for word in channel)
        cuts = [
            index
            for index, (word, following) in enumerate(pairwise(channel), 1)
            if word.speaker != following.speaker
            or (ends_sentence(word.text) if punctuated else _pause(word, following) >= SENTENCE_PAUSE)
        ]
        for begin, end in pairwise([0, *cuts, len(channel)]):
            yield _merge(channel[begin:end])


def _paragraphs_of(sentences: Sequence[Segment]) -> Iterator[Paragraph]:
    group: list[Segment] = []
    for sentence in sentences:
        if group and (
            (sentence.channel, sentence.speaker) != (group[-1].channel, group[-1].speaker)
            or len(group) == PARAGRAPH_SENTENCES
            or _pause(group[-1], sentence) >= PARAGRAPH_PAUSE
        ):
            yield Paragraph(tuple(group), speaker=group[0].speaker, channel=group[0].channel)
            group = []
        group.append(sentence)
    if group:
        yield Paragraph(tuple(group), speaker=group[0].speaker, channel=group[0].channel)


def _pause(part: Word | Segment, following: Word | Segment) -> float:
    return 0.0 if part.end is None or following.start is None else following.start - part.end


def _merge(parts: Sequence[Word | Segment]) -> Segment:
    return Segment(
        text=join_words(part.text for part in parts),
        start=_first(part.start for part in parts),
        end=_first(part.end for part in reversed(parts)),
        confidence=_mean(part.confidence for part in parts),
        speaker=parts[0].speaker,
        channel=parts[0].channel,
    )


def _searchable(text: str) -> str:
    """Return a text in the form that is compared: one space between words, and around each CJK character."""
    folded = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold())
    spaced = _CJK_CHARACTER.sub(r" \g<0> ", folded)
    # Letters, digits and the marks that belong to them; a mark is no letter to str.isalnum.
    kept = (c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in spaced)
    return " ".join("".join(kept).split())


def _find(wanted: str, words: Sequence[Word]) -> Iterator[Segment]:
    """Find a phrase in one channel's words; a match may begin or end inside a word of a script without spaces."""
    said = [f"{_searchable(word.text)} ".lstrip(" ") for word in words]
    begins = list(accumulate((len(text) for text in said), initial=1))
    stream = " " + "".join(said)
    at = stream.find(f" {wanted} ")
    while at >= 0:
        # The space before the phrase is at `at`. Words that were only punctuation have no length: the last that
        # begins here is the one that was said.
        first = bisect_right(begins, at + 1, hi=len(words)) - 1
        last = bisect_right(begins, at + len(wanted), hi=len(words)) - 1
        yield _merge(words[first : last + 1])
        at = stream.find(f" {wanted} ", at + 1)


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
        for part in _mappings(data.get(key))
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


_PART_FIELDS = tuple(entry.name for entry in fields(Word))
