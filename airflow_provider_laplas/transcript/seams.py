"""
The words of one channel of a recording's parts: where they are in the recording, and which of them two parts both have.

What parts have in common is left out at the end of one and at the begin of the next: see :meth:`Channel.agree_with`. Pure.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from airflow_provider_laplas.transcript.parts import Segment, Word
from airflow_provider_laplas.transcript.replies import ChannelOutline
from airflow_provider_laplas.transcript.text import join_words, searchable, split_words

TOLERANCE = 0.5
"""
Seconds by which the middles of a word differ at the most between the two parts that have it.

It is no more than half of an overlap: then no repetition that was spoken is taken for a duplicate.
"""

MOST_COMPARED = 300
"""The most words of an overlap that are compared, however long it is."""

FASTEST = 12
"""The most words, or characters of Chinese and Japanese, in a second of speech."""


class Timeline:
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


class Channel:
    """
    One channel of a part, of which words may be left out at the begin and at the end.

    :ivar units: the texts of its words, or the words of its text if the reply has none
    :ivar first: index of the first unit that is not left out
    :ivar last: the index after the last one
    """

    def __init__(self, outline: ChannelOutline, words: Sequence[Word], timeline: Timeline, part: int) -> None:
        self.text, self.language, self.confidence = outline
        self.words = words
        self.timeline = timeline
        self.units = [word.text for word in words] if words else split_words(self.text)
        self.first, self.last = 0, len(self.units)
        self.has_times = any(word.start is not None and word.end is not None for word in words)
        self._part = part
        self._names: dict[str, str] = {}
        self._middles: list[float] | None = None

    @property
    def is_cut(self) -> bool:
        """Whether anything is left out."""
        return self.first > 0 or self.last < len(self.units)

    def name(self, speaker: str | None) -> str | None:
        """Return the label of a speaker in the joined reply."""
        if speaker is None or self._part == 1:
            return speaker
        shown = f"Speaker {speaker}" if len(speaker) <= 2 else speaker  # noqa: PLR2004 - as Transcript.voice
        return self._names.get(speaker, f"Part {self._part} {shown}")

    def kept_text(self) -> str:
        """Return the text without what is left out."""
        return _cut(self.text, self.units, self.first, self.last) if self.is_cut else self.text

    def kept_words(self) -> Sequence[Word]:
        """Return the words that are kept, with the times of the part; those of a text alone have none."""
        return self.words[self.first : self.last] or [
            Word(unit) for unit in self.units[self.first : self.last]
        ]

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

    def agree_with(self, before: "Channel", begin: float, end: float) -> None:
        """
        Leave out what this channel and that of the part before both have of an overlap, and name the speakers of both.

        :param begin: of the overlap, in seconds of the recording
        :param end: the same
        """
        most = min(math.ceil((end - begin) * FASTEST), MOST_COMPARED)
        if self.has_times and before.has_times:
            earlier, later = before.heard_after(begin), self.heard_before(end)
            # Times in which nobody could say so much are wrong: by them, all words of a part may be in the overlap.
            if max(len(earlier), len(later)) <= most:
                self._agree_by_times(before, earlier, later, begin, end)
                return
        left_out, begins = _common_run(before.keys(), self.keys(), most)
        before.last -= left_out
        self.first += begins

    def _agree_by_times(
        self, before: "Channel", earlier: Sequence[_Heard], later: Sequence[_Heard], begin: float, end: float
    ) -> None:
        middle = (begin + end) / 2
        agreed = _agreements(earlier, later, min(TOLERANCE, (end - begin) / 2))
        self._name_speakers(before, agreed)
        if agreed:
            before.last, self.first = _seam(earlier, later, agreed, begin, end)
            return
        ends = max((word.end for word in earlier if word.end is not None), default=begin)
        begins = min((word.start for word in later if word.start is not None), default=end)
        if ends <= begins:
            # Nothing was heard by both.
            return
        # In the middle; but a word that only one of them heard, where the other has none, is not lost.
        half = [word for word in earlier if word.middle is not None and word.middle < middle]
        reach = min(middle, max((word.end for word in half if word.end is not None), default=begin))
        self.first = next(
            (w.at + 1 for w in reversed(later) if w.middle is not None and w.middle < reach), self.first
        )
        kept = (word.start for word in later if word.at >= self.first and word.start is not None)
        onset = max(middle, min(kept, default=end))
        before.last = next((w.at for w in earlier if w.middle is not None and w.middle >= onset), before.last)

    def _name_speakers(self, before: "Channel", agreed: Iterable[tuple[_Heard, _Heard]]) -> None:
        votes = Counter((other.speaker, before.name(one.speaker)) for one, other in agreed)
        for (speaker, name), _ in votes.most_common():
            if speaker and name and speaker not in self._names and name not in self._names.values():
                self._names[speaker] = name

    def heard_after(self, begin: float) -> list[_Heard]:
        """Return the last words, those that end after a time of the recording."""
        heard: list[_Heard] = []
        for index in reversed(range(self.first, self.last)):
            word = self._heard(index)
            if word.end is not None and word.end <= begin:
                break
            heard.append(word)
        return heard[::-1]

    def heard_before(self, end: float) -> list[_Heard]:
        """Return the first words, those that start before a time of the recording."""
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
        """Return what is compared of the units that are kept; of punctuation alone that is an empty text."""
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


def _seam(
    earlier: Sequence[_Heard],
    later: Sequence[_Heard],
    agreed: Sequence[tuple[_Heard, _Heard]],
    begin: float,
    end: float,
) -> tuple[int, int]:
    """Return where the words of the first part end, and where those of the second begin: beside a word that both have."""
    middle = (begin + end) / 2
    distances = [-math.inf, *((one.middle or 0.0) - middle for one, _ in agreed), math.inf]
    # What touches the border of its part may be the rest of a word that the other part has.
    first, last = later[0].at - (later[0].start != begin), earlier[-1].at + (earlier[-1].end != end)
    pairs = [
        (earlier[0].at - 1, first),
        *((one.at, other.at) for one, other in agreed),
        (last, later[-1].at + 1),
    ]
    after = next(index for index, distance in enumerate(distances) if distance >= 0)
    (one, other), (next_one, next_other) = pairs[after - 1], pairs[after]
    first_has, second_has = next_one - one > 1, next_other - other > 1
    nearer = -distances[after - 1] <= distances[after]
    # What only one of them heard in the middle is not lost.
    takes_second = nearer if first_has == second_has else second_has
    return (one + 1, other + 1) if takes_second else (next_one, next_other)


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
                # A sign after the run is that of the second, which heard what follows.
                return len(before) - run[-1][0] - 1, copy[-1][0] + 1
    return 0, 0
