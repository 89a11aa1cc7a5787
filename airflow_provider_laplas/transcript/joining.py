"""
Joins the replies of a recording that was sent in parts into one reply, with the times of the recording.

A part is what was sent of the recording in one upload: one piece of it, or several where silence between them was left
out. The joined reply has the shape of Whisper's and Nova's replies, whatever the shape of the parts' replies (see
:mod:`~airflow_provider_laplas.transcript.replies`), so that it is read as any other. Pure.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError, LaplasMalformedReplyError
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.parts import Paragraph, Segment, mean_confidence
from airflow_provider_laplas.transcript.replies import ChannelOutline, Outline, read_outline
from airflow_provider_laplas.transcript.seams import Channel, Timeline
from airflow_provider_laplas.transcript.text import join_words
from airflow_provider_laplas.transcript.values import plain_json, seconds
from airflow_provider_laplas.transcript.views import in_time, paragraphs_of, sentences_of_words


@dataclass(frozen=True, slots=True)
class PartReply:
    """
    The reply of one part of a recording.

    :ivar reply: the API's whole reply
    :ivar pieces: start and end of each piece of the recording that was sent, in seconds of the recording; they were sent
        in this order, without gaps between them; at least one
    :ivar overlap: seconds at the beginning of the part which the part before has, too
    :ivar why: why the part ends where it ends
    :ivar generation_id: of the part
    """

    reply: Mapping[str, Any] = field(repr=False)
    pieces: tuple[tuple[float, float], ...]
    overlap: float = 0.0
    why: str = ""
    generation_id: str | None = None


def join_replies(
    parts: Sequence[PartReply], *, seconds: float | None, media: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """
    Join the replies of the parts of a recording, in their order, into one reply.

    * All times are those of the recording. A word lies in one piece, that of its middle.
    * What two parts have of an overlap is said once: the first part's words up to a word in which they agree, near the
      middle of the overlap, then those of the second; without such a word, up to the middle. What only one of them heard
      in the middle is kept. Without times, the longest run of words that both have at the seam is taken out of the text.
    * A part that has no words, where others have some, has those of its text, without times.
    * The API numbers speakers anew in each part. A speaker who says the same words in an overlap keeps the label, any
      other has one such as "Part 2 Speaker 0".
    * Languages are chosen, and confidences weighted, by the parts' durations, for each channel. The figures of ``usage``
      are summed.
    * The text of a reply that has one text for several channels is made of each channel's words.
    * Summaries, topics, intents and sentiments are only in ``parts``, which has each reply unchanged (not copied).

    :param seconds: the recording's duration; None for the end of its last piece
    :param media: the plan of the parts, as JSON; kept in the reply
    :returns: ``status``, ``result``, ``media`` and ``parts``; ``metadata.billed_seconds`` of the result, the sum of the
        parts' durations, is there if it is not the recording's duration
    :raises LaplasArgumentError: naming ``parts``, if there are none, or the pieces or the overlap of one are not valid
    :raises LaplasMalformedReplyError: naming the part, if its reply contains no transcript
    """
    _check(parts)
    read = [_Part.read(part, number, len(parts)) for number, part in enumerate(parts, 1)]
    for before, after in pairwise(read):
        after.follow(before)
    return {
        "status": "completed",
        "result": _result(read, _duration(parts, seconds)),
        "media": media,
        "parts": [
            {
                "generation_id": part.generation_id,
                "pieces": [list(piece) for piece in part.pieces],
                "overlap": part.overlap,
                "why": part.why,
                "reply": part.reply,
            }
            for part in parts
        ],
    }


def _check(parts: Sequence[PartReply]) -> None:
    if not parts:
        raise LaplasArgumentError("`parts` must have one part at least.", argument="parts")
    for number, part in enumerate(parts, 1):
        right = all(0 <= begin <= end < math.inf for begin, end in part.pieces)
        if not part.pieces or not right or not 0 <= part.overlap < math.inf:
            raise LaplasArgumentError(
                f"The pieces and the overlap of part {number} must be times in seconds, and each piece must start before "
                "its end.",
                argument="parts",
            )


def _duration(parts: Sequence[PartReply], known: float | None) -> float:
    duration = seconds(known)
    return max(end for part in parts for _, end in part.pieces) if duration is None else duration


class _Part:
    """One part, with its reply read."""

    def __init__(self, part: PartReply, number: int, transcript: Transcript, outline: Outline) -> None:
        self.transcript = transcript
        self.outline = outline
        self._number = number
        self._timeline = Timeline(part.pieces)
        self._overlap = part.overlap
        self.seconds = self._timeline.length if transcript.duration is None else transcript.duration
        self.channels = [
            self._channel(number, own) for number, own in enumerate(_outlines(transcript, outline))
        ]

    @classmethod
    def read(cls, part: PartReply, number: int, of: int) -> "_Part":
        """Read a part's reply; an error names the part."""
        try:
            transcript = Transcript.from_reply(part.reply)
        except LaplasError as error:
            raise LaplasMalformedReplyError(
                f"The replies cannot be joined because of part {number} of {of}: {error.message}",
                status=200,
                generation_id=part.generation_id,
            ) from None
        return cls(part, number, transcript, read_outline(part.reply))

    def follow(self, before: "_Part") -> None:
        """Leave out what this part and the one before both have."""
        begin, end = self._timeline.start(0.0), self._timeline.end(self._overlap)
        if begin < end:
            for earlier, later in zip(before.channels, self.channels, strict=False):
                later.agree_with(earlier, begin, end)

    def utterances(self) -> list[Segment]:
        """Return the reply's utterances; if it has none, its sentences, as other parts have utterances."""
        if self.outline.has_utterances:
            return self._placed(self.transcript.segments)
        if self.transcript.given_paragraphs:
            return [sentence for paragraph in self.paragraphs() for sentence in paragraph.sentences]
        channels = range(len(self.channels))
        return list(in_time([sentence for channel in channels for sentence in self._sentences(channel)]))

    def paragraphs(self) -> list[Paragraph]:
        """Return the reply's paragraphs; if it has none, made ones, as other parts have paragraphs."""
        if not self.transcript.given_paragraphs:
            channels = range(len(self.channels))
            return [p for channel in channels for p in paragraphs_of(self._sentences(channel))]
        return [
            Paragraph(sentences, self._at(given.channel).name(given.speaker), given.channel)
            for given in self.transcript.given_paragraphs
            if (sentences := tuple(self._placed(given.sentences)))
        ]

    def _channel(self, number: int, outline: ChannelOutline) -> Channel:
        words = self.transcript.words
        begin, end = (bisect_left(words, at, key=lambda word: word.channel) for at in (number, number + 1))
        return Channel(outline, words[begin:end], self._timeline, self._number)

    def _at(self, channel: int) -> Channel:
        """Return a channel; an empty one if the reply names one that it does not have."""
        if channel < len(self.channels):
            return self.channels[channel]
        return Channel(_NOTHING, (), self._timeline, self._number)

    def _placed(self, segments: Iterable[Segment]) -> list[Segment]:
        placed = (self._at(segment.channel).place(segment) for segment in segments)
        return [segment for segment in placed if segment is not None]

    def _sentences(self, channel: int) -> list[Segment]:
        """Return the sentences of a channel's words; without words its utterances, else its text."""
        own = self.channels[channel]
        if own.words:
            return list(sentences_of_words(own.placed_words()))
        if self.outline.has_utterances:
            return self._placed(s for s in self.transcript.segments if s.channel == channel)
        text = own.kept_text()
        return [Segment(text=text, channel=channel)] if text else []


_NOTHING = ChannelOutline("", None, None)


def _outlines(transcript: Transcript, outline: Outline) -> Iterable[ChannelOutline]:
    if len(outline.channels) == transcript.channels:
        return outline.channels
    whole = outline.channels[0] if outline.channels else _NOTHING
    # One text for all of them: what was said on each, only its words tell, or else its utterances.
    texts: dict[int, list[str]] = {}
    for part in transcript.words or transcript.segments:
        texts.setdefault(part.channel, []).append(part.text)
    return [whole._replace(text=join_words(texts.get(n, ()))) for n in range(transcript.channels)]


def _result(parts: Sequence[_Part], duration: float) -> dict[str, Any]:
    has_paragraphs = any(part.transcript.given_paragraphs for part in parts)
    paragraphs = [p for part in parts for p in part.paragraphs()] if has_paragraphs else []
    channels = max(len(part.channels) for part in parts)
    results: dict[str, Any] = {
        "channels": [_channel_of(parts, number, paragraphs) for number in range(channels)]
    }
    if any(part.outline.has_utterances for part in parts):
        results["utterances"] = [_utterance(u) for part in parts for u in part.utterances()]
    metadata = {"duration": duration, "channels": channels, **_model(parts)}
    billed = round(sum(part.seconds for part in parts), 6)
    if billed != round(duration, 6):
        metadata["billed_seconds"] = billed
    usage = plain_json(_sum([part.transcript.usage for part in parts if part.transcript.usage]))
    return {"metadata": metadata, "results": results} | ({"usage": usage} if usage else {})


def _channel_of(parts: Sequence[_Part], number: int, paragraphs: Sequence[Paragraph]) -> dict[str, Any]:
    own = [(part.channels[number], part.seconds) for part in parts if number < len(part.channels)]
    # A part without speech says nothing of the language, nor how well it was understood.
    spoken = [(channel, weight) for channel, weight in own if channel.text] or own
    has_words = any(channel.words for channel, _ in own)
    alternative: dict[str, Any] = {
        "transcript": join_words(channel.kept_text() for channel, _ in own),
        # What a view of words shows would else lack the parts that have none.
        "words": [word for channel, _ in own for word in _words(channel)] if has_words else [],
    }
    confidence = _mean([(channel.confidence, weight) for channel, weight in spoken])
    if confidence is not None:
        alternative["confidence"] = confidence
    if said := [_paragraph(paragraph) for paragraph in paragraphs if paragraph.channel == number]:
        alternative["paragraphs"] = {"paragraphs": said}
    languages: defaultdict[str, float] = defaultdict(float)
    for channel, weight in spoken:
        if channel.language is not None:
            languages[channel.language] += weight
    language = max(languages, key=languages.__getitem__, default=None)
    return {"alternatives": [alternative]} | ({} if language is None else {"detected_language": language})


def _model(parts: Sequence[_Part]) -> dict[str, Any]:
    for part in parts:
        if name := part.transcript.model:
            return {"model_info": part.outline.model_info or {name: {"name": name}}}
    return {}


def _words(channel: Channel) -> Iterator[dict[str, Any]]:
    place, name = channel.timeline.of_word, channel.name
    for word in channel.kept_words():
        start, end = place(word.start, word.end)
        # Not by `_known`: there are as many as words.
        known: dict[str, Any] = {"word": word.text}
        if start is not None:
            known["start"] = start
        if end is not None:
            known["end"] = end
        if word.confidence is not None:
            known["confidence"] = word.confidence
        if word.speaker is not None:
            known["speaker"] = name(word.speaker)
        yield known


def _utterance(segment: Segment) -> dict[str, Any]:
    return _known(
        transcript=segment.text,
        start=segment.start,
        end=segment.end,
        confidence=segment.confidence,
        speaker=segment.speaker,
        channel=segment.channel,
    )


def _paragraph(paragraph: Paragraph) -> dict[str, Any]:
    sentences = [_known(text=s.text, start=s.start, end=s.end) for s in paragraph.sentences]
    return _known(sentences=sentences, speaker=paragraph.speaker, start=paragraph.start, end=paragraph.end)


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _mean(weighted: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in weighted if value is not None]
    total = sum(weight for _, weight in known)
    if total <= 0:
        return mean_confidence(value for value, _ in known)
    # Rounded, so that the noise of a sum of ones is not above one.
    return round(sum(value * (weight / total) for value, weight in known), 6)


def _sum(figures: Sequence[Any]) -> Any:
    """Return the sum of numbers, and of objects the sums of their fields; of other values the first, if any is known."""
    first = next((each for each in figures if each is not None), None)
    if isinstance(first, Mapping):
        objects = [each for each in figures if isinstance(each, Mapping)]
        names = dict.fromkeys(name for each in objects for name in each)
        return {name: _sum([each[name] for each in objects if name in each]) for name in names}
    if isinstance(first, bool) or not isinstance(first, int | float):
        return first
    return sum(each for each in figures if isinstance(each, int | float) and not isinstance(each, bool))
