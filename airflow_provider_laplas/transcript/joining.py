"""
Joins the replies of a recording that was sent in parts into one reply, with the times of the recording.

A part is what was sent of the recording in one upload: one piece of it, or several where silence between them was left
out. The joined reply has the shape of Whisper's and Nova's replies, whatever the shape of the parts' replies (see
:mod:`~airflow_provider_laplas.transcript.replies`), so that it is read as any other. Pure.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError, LaplasMalformedReplyError
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.parts import Paragraph, Segment, Word, mean_confidence
from airflow_provider_laplas.transcript.replies import ChannelOutline, Outline, read_outline
from airflow_provider_laplas.transcript.text import join_words, searchable, split_words
from airflow_provider_laplas.transcript.values import plain_json, seconds
from airflow_provider_laplas.transcript.views import in_time, paragraphs_of, sentences_of_words

TOLERANCE = 0.5
"""
Seconds by which the middles of a word differ at the most between the two parts that have it.

It is no more than half of an overlap: then no repetition that was spoken is taken for a duplicate.
"""

MOST_COMPARED = 300
"""The most words of an overlap that are compared, those around its middle: more than two minutes of speech."""

FASTEST = 12
"""The most words, or characters of Chinese and Japanese, in a second of speech."""


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
      middle of the overlap, then those of the second; without such a word, up to the middle. Without times, the longest
      run of words that both have at the seam is taken out of the text.
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
    :raises LaplasArgumentError: naming ``parts``, if there are none, or the pieces of one are not valid
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
        times = [time for piece in part.pieces for time in piece]
        ascending = all(begin <= end for begin, end in part.pieces)
        if not times or not ascending or not all(math.isfinite(time) and time >= 0 for time in times):
            raise LaplasArgumentError(
                f"The pieces of part {number} must be times in seconds, each with its start before its end.",
                argument="parts",
            )


def _duration(parts: Sequence[PartReply], known: float | None) -> float:
    duration = seconds(known)
    return max(end for part in parts for _, end in part.pieces) if duration is None else duration


class _Timeline:
    """Where the times of a part are in the recording."""

    def __init__(self, pieces: Sequence[tuple[float, float]]) -> None:
        self._pieces = pieces
        # Of each piece in the part.
        *self._begins, self.length = accumulate((end - begin for begin, end in pieces), initial=0.0)
        self.has_seams = len(pieces) > 1

    def of_word(self, start: float | None, end: float | None) -> tuple[float | None, float | None]:
        """Return the times of a word, of which one or both may be unknown."""
        if start is None or end is None:
            return None if start is None else self.start(start), None if end is None else self.end(end)
        return self.within(start, end)

    def within(self, start: float, end: float) -> tuple[float, float]:
        """Return the times of a word, within the piece of its middle: silence that was left out is in no word."""
        index = bisect_right(self._begins, (start + end) / 2) - 1
        begins = self._at(start, index)
        return begins, max(begins, self._at(end, index))

    def start(self, time: float) -> float:
        """Return a start; at the seam of two pieces it is that of the second."""
        return self._at(time, bisect_right(self._begins, time) - 1)

    def end(self, time: float) -> float:
        """Return an end; at the seam of two pieces it is that of the first."""
        return self._at(time, max(bisect_left(self._begins, time) - 1, 0))

    def _at(self, time: float, index: int) -> float:
        begin, end = self._pieces[index]
        return round(min(max(begin + time - self._begins[index], begin), end), 6)


class _Heard(NamedTuple):
    """A word in an overlap: its index in its channel, what is compared of it, and its times in the recording."""

    at: int
    text: str
    start: float | None
    end: float | None
    speaker: str | None

    @property
    def middle(self) -> float | None:
        return None if self.start is None or self.end is None else (self.start + self.end) / 2


class _Channel:
    """
    One channel of a part, of which words may be left out at the begin and at the end.

    :ivar units: the texts of its words, or the words of its text if the reply has none
    :ivar first: index of the first unit that is not left out
    :ivar last: the index after the last one
    """

    def __init__(
        self, outline: ChannelOutline, words: Sequence[Word], timeline: _Timeline, part: int
    ) -> None:
        self.text, self.language, self.confidence = outline
        self.words = words
        self.timeline = timeline
        self.units = [word.text for word in words] if words else split_words(self.text)
        self.first, self.last = 0, len(self.units)
        self.has_times = any(word.start is not None for word in words)
        self._part = part
        self._names: dict[str, str] = {}
        self._middles: list[float] | None = None

    @property
    def is_cut(self) -> bool:
        return self.first > 0 or self.last < len(self.units)

    def name(self, speaker: str | None) -> str | None:
        """Return the label of a speaker in the joined reply."""
        if speaker is None or self._part == 1:
            return speaker
        shown = f"Speaker {speaker}" if len(speaker) <= 2 else speaker  # noqa: PLR2004 - as Transcript.voice
        return self._names.get(speaker, f"Part {self._part} {shown}")

    def kept_text(self) -> str:
        return _cut(self.text, self.units, self.first, self.last) if self.is_cut else self.text

    def kept_words(self) -> Sequence[Word]:
        return self.words[self.first : self.last]

    def placed_words(self) -> list[Word]:
        """Return the words that are kept, with the times and the speakers of the joined reply."""
        placed = []
        for word in self.kept_words():
            start, end = self.timeline.of_word(word.start, word.end)
            placed.append(replace(word, start=start, end=end, speaker=self.name(word.speaker)))
        return placed

    def place(self, segment: Segment) -> Segment | None:
        """Return a segment with the times and speakers of the joined reply; None if all of its words are left out."""
        trimmed = self._trim(segment) if self.is_cut and self.has_times else segment
        if trimmed is None:
            return None
        start, end = self._times_of(trimmed)
        return replace(trimmed, start=start, end=end, speaker=self.name(segment.speaker))

    def agree_with(self, before: "_Channel", begin: float, end: float) -> None:
        """Leave out what both channels have of an overlap, and name the speakers whom both have."""
        if self.has_times and before.has_times:
            self._agree_by_times(before, begin, end)
        else:
            most = math.ceil((end - begin) * FASTEST)
            left_out, begins = _common_run(before.keys(), self.keys(), most)
            before.last -= left_out
            self.first += begins

    def _agree_by_times(self, before: "_Channel", begin: float, end: float) -> None:
        earlier, later = before.heard_after(begin), self.heard_before(end)
        middle = (begin + end) / 2
        agreed = _agreements(
            _around(earlier, middle), _around(later, middle), min(TOLERANCE, (end - begin) / 2)
        )
        self._name_speakers(before, agreed)
        if agreed:
            one, other = min(agreed, key=lambda pair: abs((pair[0].middle or 0.0) - middle))
            before.last, self.first = one.at + 1, other.at + 1
            return
        ends = max((word.end for word in earlier if word.end is not None), default=begin)
        begins = min((word.start for word in later if word.start is not None), default=end)
        if ends <= begins:
            # Nothing was heard by both.
            return
        before.last = next(
            (w.at for w in earlier if w.middle is not None and w.middle >= middle), before.last
        )
        self.first = next(
            (w.at + 1 for w in reversed(later) if w.middle is not None and w.middle < middle), self.first
        )

    def _name_speakers(self, before: "_Channel", agreed: Iterable[tuple[_Heard, _Heard]]) -> None:
        votes = Counter((other.speaker, before.name(one.speaker)) for one, other in agreed)
        for (speaker, name), _ in votes.most_common():
            if speaker and name and speaker not in self._names and name not in self._names.values():
                self._names[speaker] = name

    def heard_after(self, begin: float) -> list[_Heard]:
        heard: list[_Heard] = []
        for index in reversed(range(self.first, self.last)):
            word = self._heard(index)
            if word.end is not None and word.end <= begin:
                break
            heard.append(word)
        return heard[::-1]

    def heard_before(self, end: float) -> list[_Heard]:
        heard: list[_Heard] = []
        for index in range(self.first, self.last):
            word = self._heard(index)
            if word.start is not None and word.start >= end:
                break
            heard.append(word)
        return heard

    def _heard(self, index: int) -> _Heard:
        word = self.words[index]
        return _Heard(
            index, searchable(word.text), *self.timeline.of_word(word.start, word.end), word.speaker
        )

    def keys(self) -> list[str]:
        return [searchable(unit) for unit in self.units[self.first : self.last]]

    def _words_in(self, start: float, end: float) -> tuple[int, int]:
        """Return the range of the words whose middles are between two times of the part."""
        if self._middles is None:
            self._middles = list(accumulate(map(_middle_of, self.words), max))
        return bisect_left(self._middles, start), bisect_right(self._middles, end)

    def _trim(self, segment: Segment) -> Segment | None:
        if segment.start is None or segment.end is None:
            return segment
        begin, end = self._words_in(segment.start, segment.end)
        first, last = max(begin, self.first), min(end, self.last)
        if (first, last) == (begin, end):
            return segment
        if first >= last:
            return None
        return replace(
            segment,
            text=_cut(segment.text, self.units[begin:end], first - begin, last - begin),
            start=segment.start if first == begin else self.words[first].start,
            end=segment.end if last == end else self.words[last - 1].end,
        )

    def _times_of(self, segment: Segment) -> tuple[float | None, float | None]:
        start, end = segment.start, segment.end
        if start is None or end is None:
            return self.timeline.of_word(start, end)
        begins, ends = self.timeline.start(start), self.timeline.end(end)
        first, last = self._words_in(start, end) if self.timeline.has_seams else (0, 0)
        if first < last:
            # A segment begins and ends with its words, which may have been moved into another piece.
            one, other = self.words[first], self.words[last - 1]
            if one.start == start and one.end is not None:
                begins, _ = self.timeline.within(start, one.end)
            if other.end == end and other.start is not None:
                _, ends = self.timeline.within(other.start, end)
        return begins, max(begins, ends)


class _Part:
    """One part, with its reply read."""

    def __init__(self, part: PartReply, number: int, transcript: Transcript, outline: Outline) -> None:
        self.transcript = transcript
        self.outline = outline
        self._number = number
        self._timeline = _Timeline(part.pieces)
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

    def _channel(self, number: int, outline: ChannelOutline) -> _Channel:
        words = self.transcript.words
        begin, end = (bisect_left(words, at, key=lambda word: word.channel) for at in (number, number + 1))
        return _Channel(outline, words[begin:end], self._timeline, self._number)

    def _at(self, channel: int) -> _Channel:
        """Return a channel; an empty one if the reply names one that it does not have."""
        if channel < len(self.channels):
            return self.channels[channel]
        return _Channel(_NOTHING, (), self._timeline, self._number)

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
    alternative: dict[str, Any] = {
        "transcript": join_words(channel.kept_text() for channel, _ in own),
        "words": [word for channel, _ in own for word in _words(channel)],
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


def _words(channel: _Channel) -> Iterator[dict[str, Any]]:
    for word in channel.kept_words():
        start, end = channel.timeline.of_word(word.start, word.end)
        speaker = channel.name(word.speaker)
        yield _known(word=word.text, start=start, end=end, confidence=word.confidence, speaker=speaker)


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
    return sum(value * (weight / total) for value, weight in known)


def _sum(figures: Sequence[Any]) -> Any:
    """Return the sum of numbers, and of objects the sums of their fields; of other values the first."""
    first = figures[0] if figures else None
    if isinstance(first, Mapping):
        objects = [each for each in figures if isinstance(each, Mapping)]
        names = dict.fromkeys(name for each in objects for name in each)
        return {name: _sum([each[name] for each in objects if name in each]) for name in names}
    if isinstance(first, bool) or not isinstance(first, int | float):
        return first
    return sum(each for each in figures if isinstance(each, int | float) and not isinstance(each, bool))


def _cut(text: str, units: Sequence[str], first: int, last: int) -> str:
    """Return what a text has from one of its units up to another."""
    if first >= last:
        return ""
    found = _find_units(text, units)
    if found is None:
        # The text is written otherwise than its words.
        return join_words(units[first:last])
    ends = [0, *(end for _, end in found)]
    starts = [*(start for start, _ in found), len(text)]

    def seam(index: int) -> int:
        # Punctuation between two units stays with the one that it touches.
        between = text[ends[index] : starts[index]]
        return ends[index] + next((at for at, c in enumerate(between) if c.isspace()), len(between))

    begin = seam(first) if first else 0
    end = seam(last) if last < len(units) else len(text)
    return text[begin:end].strip()


def _find_units(text: str, units: Sequence[str]) -> list[tuple[int, int]] | None:
    """Return where each unit is in a text; None unless they are all there, in order, and no letter is between them."""
    found: list[tuple[int, int]] = []
    end = 0
    for unit in units:
        start = text.find(unit, end)
        if start < 0 or any(map(str.isalnum, text[end:start])):
            return None
        end = start + len(unit)
        found.append((start, end))
    return found


def _middle_of(word: Word) -> float:
    return -math.inf if word.start is None or word.end is None else (word.start + word.end) / 2


def _around(words: Sequence[_Heard], middle: float) -> Sequence[_Heard]:
    """Return no more words than are compared: those around the middle of an overlap."""
    at = next((i for i, w in enumerate(words) if w.middle is not None and w.middle >= middle), len(words))
    begin = max(0, min(at - MOST_COMPARED // 2, len(words) - MOST_COMPARED))
    return words[begin : begin + MOST_COMPARED]


def _agreements(
    earlier: Sequence[_Heard], later: Sequence[_Heard], tolerance: float
) -> list[tuple[_Heard, _Heard]]:
    """Pair the words in which both agree, in order, so that their times agree best."""
    best = [[0.0] * (len(later) + 1) for _ in range(len(earlier) + 1)]
    for i, one in enumerate(earlier):
        for j, other in enumerate(later):
            best[i + 1][j + 1] = max(
                best[i][j + 1], best[i + 1][j], best[i][j] + _agreement(one, other, tolerance)
            )
    pairs: list[tuple[_Heard, _Heard]] = []
    i, j = len(earlier), len(later)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((earlier[i], later[j]))
    return pairs[::-1]


def _agreement(one: _Heard, other: _Heard, tolerance: float) -> float:
    """Return from 0, for other words or too far away from each other, to 1 for the same word at the same time."""
    if one.text != other.text or not one.text or one.middle is None or other.middle is None:
        return 0.0
    return max(0.0, 1 - abs(one.middle - other.middle) / tolerance)


def _common_run(before: Sequence[str], after: Sequence[str], most: int) -> tuple[int, int]:
    """
    Find the longest run of words that both have at their seam.

    Each may have one word more at the seam, as what is cut within a word is misheard; then the run has two words at least.

    :returns: how many words to leave out at the end of the first, and at the begin of the second
    """
    said, again = ([(index, key) for index, key in enumerate(keys) if key] for keys in (before, after))
    for size in range(min(most, len(said), len(again)), 0, -1):
        for more, other in ((0, 0), (0, 1), (1, 0), (1, 1)):
            end = len(said) - more
            run, copy = said[max(0, end - size) : end], again[other : other + size]
            if size < 2 and (more or other):  # noqa: PLR2004
                continue
            if len(run) == len(copy) == size and all(
                a == b for (_, a), (_, b) in zip(run, copy, strict=True)
            ):
                left_out = len(before) - said[end][0] if more else 0
                begin = copy[-1][0] + 1
                # Punctuation after the run belongs to it.
                while begin < len(after) and not after[begin]:
                    begin += 1
                return left_out, begin
    return 0, 0
