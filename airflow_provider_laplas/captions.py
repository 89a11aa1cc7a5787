"""
Captions from a transcript: cues by the guidelines that subtitlers work to, written as SRT or WebVTT.

The limits are those of Netflix's Timed Text Style Guides (general requirements, and English (USA)). Where they
conflict, the first of these wins:

1. no two cues overlap, and they are in order of time;
2. a cue holds the words of one speaker;
3. no line is longer than the limit, and there are no more lines than allowed;
4. a cue is on screen for 5/6 s to 7 s;
5. a cue asks for no more than 20 characters a second.

A word is never cut and never lost. What a limit had to yield to is counted: see :data:`KINDS`. Nothing in here reads
a clock or a network, and the same transcript gives the same captions.
"""

import io
import math
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript import (
    Segment,
    Transcript,
    Word,
    ends_sentence,
    join_words,
    needs_space,
)

KINDS: Mapping[str, str] = {
    "line_length": "lines with one word that is longer than a line",
    "short": "cues on screen for less than the minimum",
    "fast": "cues to be read faster than the limit",
    "late": "cues that begin more than three frames after their speech, to leave an earlier one on screen",
    "estimated_times": "words whose times were missing or out of order",
}
"""What is counted as an exception, and what each means."""

LATEST = 1e9
"""Seconds (31 years) after which a time is taken for a mistake, like one below 0."""

_NEVER = 10**13
"""Milliseconds after everything else."""
_PACE = 40
"""Milliseconds that half a character takes to be said, where nothing says how long: about 12 characters a second."""
_RUN_PAUSE = 1500
"""Milliseconds of silence that no cue goes across."""
_CHAIN = 500
"""Milliseconds: a shorter gap between two cues is closed to the smallest (Netflix, "Subtitle Timing Guidelines")."""

_IN_TIME_FRAMES = 3
"""Frames that a cue may begin after its speech and be in time (the same guidelines)."""

# Weights of one sum. Each limit costs about ten times what can be gained below it in the order of precedence.
_COST_SHORT, _COST_FAST, _COST_CUE, _COST_LINE, _COST_FILL = 30.0, 8.0, 0.7, 0.2, 0.5
_COST_BREAK, _COST_CLAUSE, _COST_SENTENCE_INSIDE, _COST_PAUSE_INSIDE = 1.5, 0.6, 0.4, 1.5

_KANA = re.compile(r"[\u3040-\u30ff\uff66-\uff9f]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
# What may not end a line, one character or one word of another script, what may not begin a line (kinsoku).
_CJK_PIECE = re.compile(
    r"[（「『【〈《〔“‘(\[]*(?:[A-Za-z0-9À-ɏ]+|.)[、。，．！？：；）」』】〉》〕…ーゝ々ぁぃぅぇぉゃゅょっァィゥェォャュョッ”’,.!?:;%)\]]*",  # noqa: RUF001
    re.DOTALL,
)
_CLAUSE_END = re.compile(r"[,;:—–、，；：،؛]['\"”’)\]」』）]*$")  # noqa: RUF001 - these are the marks.
# Netflix, "line treatment": break before conjunctions and prepositions, not after an article or a preposition.
_BREAK_BEFORE = re.compile(
    r"and|but|or|nor|so|yet|because|although|though|while|when|where|if|unless|until|since|that|which|"
    r"who|about|after|against|at|before|behind|between|by|during|for|from|in|into|of|on|onto|over|"
    r"through|to|toward|under|with|within|without",
    re.IGNORECASE,
)
_NO_BREAK_AFTER = re.compile(
    r"a|an|the|my|your|his|her|its|our|their|this|these|those|and|but|or|of|to|in|on|at|by|for|from|"
    r"with|i|you|he|she|it|we|they|is|am|are|was|were|be|been|has|have|had|do|does|did|will|would|can|"
    r"could|shall|should|may|might|must|not|very|mr|mrs|ms|dr",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CaptionLimits:
    """
    What cues keep to; the defaults are Netflix's for English.

    :ivar line_length: characters in a line; None is 42, for Chinese and Korean 16 and for Japanese 13, where a
        narrow character counts as half
    :ivar lines: lines in a cue
    :ivar min_duration: seconds on screen, at least
    :ivar max_duration: seconds on screen, at most
    :ivar reading_speed: characters a second, spaces included; None is 20, for Korean 12, Chinese 9, Japanese 4
    :ivar frame_rate: frames a second of the video, 1 or more
    :ivar gap_frames: frames between two cues, at least
    :raises LaplasArgumentError: naming the limit that cannot be one
    """

    line_length: int | None = None
    lines: int = 2
    min_duration: float = 5 / 6
    max_duration: float = 7.0
    reading_speed: float | None = None
    frame_rate: float = 24.0
    gap_frames: int = 2

    def __post_init__(self) -> None:
        _check_number("lines", self.lines, 1, whole=True)
        _check_number("min_duration", self.min_duration, 0)
        _check_number("max_duration", self.max_duration, max(self.min_duration, 0.001))
        _check_number("frame_rate", self.frame_rate, 1)
        _check_number("gap_frames", self.gap_frames, 0, whole=True)
        if self.line_length is not None:
            _check_number("line_length", self.line_length, 1, whole=True)
        if self.reading_speed is not None:
            _check_number("reading_speed", self.reading_speed, 0.1)


@dataclass(frozen=True, slots=True)
class Cue:
    """
    One caption on screen.

    :ivar start: seconds from the beginning of the audio, in whole milliseconds
    :ivar end: the same; after ``start``, and before the next cue's
    :ivar lines: at least one
    :ivar voice: who speaks, as :meth:`Transcript.voice` names them, None where that is not known
    :ivar exceptions: the limits that it does not keep, of :data:`KINDS`
    """

    start: float
    end: float
    lines: tuple[str, ...] = field(repr=False)
    voice: str | None = None
    exceptions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines, with newlines between them."""
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class Captions:
    """
    The cues of one transcript.

    :ivar cues: in order of time, none overlapping
    :ivar exceptions: how often each kind of :data:`KINDS` occurred; what never did is not in it
    :ivar transcript: what they were made of
    """

    cues: tuple[Cue, ...] = field(repr=False)
    exceptions: Mapping[str, int]
    transcript: Transcript = field(repr=False)

    @property
    def report(self) -> str:
        """What limits could not be kept, in a line for people; empty where all were."""
        counted = "; ".join(f"{KINDS[name]} ({count})" for name, count in self.exceptions.items())
        return f"Cues: {len(self.cues)}. Exceptions: {counted}." if counted else ""

    def to_srt(self) -> str:
        """Return SubRip. The format has no place for speakers, and no escapes: an arrow ``-->`` becomes ``→``."""
        webvtt = _library()

        class Plain(webvtt.Caption):  # type: ignore[misc, name-defined]
            # The writer takes anything in <> for a tag and drops it; here all of it was said.
            text = property(lambda self: self.raw_text)

        return _write(
            "srt",
            (Plain(*_times(cue), [line.replace("-->", "→") for line in _marked(cue)]) for cue in self.cues),
        )

    def to_vtt(self) -> str:
        """Return WebVTT, with a voice tag on every cue whose speaker is known."""
        webvtt = _library()
        captions = []
        for cue in self.cues:
            lines = [_escape(line) for line in _marked(cue)]
            if cue.voice:
                lines[0] = f"<v {_escape(' '.join(cue.voice.split()))}>{lines[0]}"
                lines[-1] += "</v>"
            captions.append(webvtt.Caption(*_times(cue), lines))
        return _write("vtt", captions)

    def to_txt(self) -> str:
        """Return the transcript's text for reading: :meth:`Transcript.to_txt`."""
        return self.transcript.to_txt()


class Unit(NamedTuple):
    """A word of a cue, or a character of a script without spaces. Times in ms, width in half characters."""

    text: str
    start: int
    end: int
    width: int
    space: int


class Block(NamedTuple):
    """A cue before it has its place among the others: when it was said, and its lines."""

    start: int
    end: int
    lines: tuple[str, ...]
    width: int
    voice: str | None
    long_lines: int


class Measure(NamedTuple):
    """The limits as whole numbers: milliseconds and half characters."""

    wide: bool
    line: int
    lines: int
    shortest: int
    longest: int
    reading: float
    gap: int
    frame: int


def make_captions(transcript: Transcript, limits: CaptionLimits | None = None) -> Captions:
    """
    Make a transcript's captions, of its words; of its segments, channel by channel, where words have no times.

    No speech gives no cues.

    :param limits: None is the defaults
    :raises LaplasArgumentError: naming ``transcript``, where neither words nor segments have times
    """
    measure = _measure(transcript, limits or CaptionLimits())
    blocks: list[Block] = []
    estimated = 0
    for parts in _timed_channels(transcript):
        times, guessed = _timeline(parts, measure)
        estimated += guessed
        blocks += _channel_blocks(transcript, parts, times, measure)
    # Stable: what begins at the same time stays in order of channel.
    blocks.sort(key=lambda block: block.start)
    cues = tuple(_place(blocks, measure))
    counts = Counter(kind for cue in cues for kind in cue.exceptions)
    counts["line_length"] = sum(block.long_lines for block in blocks)
    counts["estimated_times"] = estimated
    return Captions(cues, {kind: counts[kind] for kind in KINDS if counts[kind]}, transcript)


def width(text: str, *, wide: bool = False) -> float:
    """
    Return how many characters of a line a text takes; marks on a letter take none.

    :param wide: count as Chinese, Japanese and Korean do: a narrow character is half of one
    """
    return _halves(text, wide=wide) / 2


def _measure(transcript: Transcript, limits: CaptionLimits) -> Measure:
    line, speed, wide = _script_limits(transcript)
    return Measure(
        wide=wide,
        line=2 * (limits.line_length or line),
        lines=limits.lines,
        shortest=math.ceil(limits.min_duration * 1000),
        longest=max(
            math.floor(min(limits.max_duration, LATEST) * 1000), math.ceil(limits.min_duration * 1000)
        ),
        reading=500 / (limits.reading_speed or speed),
        gap=math.ceil(limits.gap_frames * 1000 / limits.frame_rate),
        frame=math.ceil(1000 / limits.frame_rate),
    )


def _script_limits(transcript: Transcript) -> tuple[int, float, bool]:
    """Return line length, reading speed and whether half widths count, by what the text is written in."""
    text = transcript.text or "".join(part.text for part in transcript.words or transcript.segments)
    kana, han, hangul = (len(script.findall(text)) for script in (_KANA, _HAN, _HANGUL))
    letters = sum(map(str.isalpha, text))
    if 10 * (kana + han + hangul) < 3 * letters or not letters:
        return 42, 20.0, False
    if hangul > kana + han:
        return 16, 12.0, True
    # A Japanese text without any kana is a short one: then the language decides.
    if 20 * kana > han or (transcript.language or "").lower().startswith("ja"):
        return 13, 4.0, True
    return 16, 9.0, True


def _timed_channels(transcript: Transcript) -> Iterator[list[Word] | list[Segment]]:
    """Give each channel's words, or its segments where the words have no times."""
    channels = {word.channel for word in transcript.words} | {part.channel for part in transcript.segments}
    found = False
    for channel in sorted(channels):
        words = [word for word in transcript.words if word.channel == channel and _clean(word.text)]
        segments = [part for part in transcript.segments if part.channel == channel and _clean(part.text)]
        if any(_milliseconds(word.start) is not None for word in words):
            found = True
            yield words
        elif any(_milliseconds(segment.start) is not None for segment in segments):
            found = True
            yield segments
        elif words or segments:
            raise _no_times()
    if not found and _clean(transcript.text):
        raise _no_times()


def _no_times() -> LaplasArgumentError:
    return LaplasArgumentError(
        "Captions need times, and neither the words nor the segments of the transcript have them: the model gives "
        "none, or they were not asked for. The text can still be written as txt.",
        argument="transcript",
    )


def _timeline(parts: Sequence[Word | Segment], measure: Measure) -> tuple[list[tuple[int, int]], int]:
    """
    Return start and end of each part, in order, and how many of them had to be estimated.

    The longest run of starts in order is believed; what is missing or breaks it is spread over the time around it, by
    length. An end reaches no further than the next start.
    """
    given = [_milliseconds(part.start) for part in parts]
    lengths = [_PACE * max(_halves(part.text, wide=measure.wide), 1) for part in parts]
    known = _longest_in_order(given)
    starts = [0] * len(parts)
    ends: list[int | None] = [None] * len(parts)
    for index in known:
        starts[index] = given[index] or 0
        end = _milliseconds(parts[index].end)
        ends[index] = end if end is not None and end >= starts[index] else None
    estimated = sum(end is None for end in ends)
    first, last = known[0], known[-1]
    lead = sum(lengths[:first])
    _spread(starts, lengths, range(first), max(starts[first] - lead, 0), starts[first])
    for left, right in pairwise(known):
        end = ends[left]
        if end is None:
            _spread(starts, lengths, range(left, right), starts[left], starts[right])
        else:
            _spread(starts, lengths, range(left + 1, right), min(end, starts[right]), starts[right])
    end = ends[last]
    after = starts[last] + lengths[last] if end is None else end
    _spread(starts, lengths, range(last + 1, len(parts)), after, after + sum(lengths[last + 1 :]))
    starts.append(_NEVER)
    return [
        (start, min(start + length if end is None else end, following))
        for start, end, length, following in zip(starts, ends, lengths, starts[1:], strict=False)
    ], estimated


def _spread(starts: list[int], lengths: Sequence[int], indices: range, begin: int, end: int) -> None:
    """Set the starts of some parts so that they fill the time from begin to end, each by its length."""
    total = sum(lengths[index] for index in indices)
    done = 0
    for index in indices:
        starts[index] = begin + (end - begin) * done // total
        done += lengths[index]


def _longest_in_order(values: Sequence[int | None]) -> list[int]:
    """Return the indices of the longest subsequence that never falls; there is at least one value."""
    tops: list[int] = []
    at: list[int] = []
    before: list[int] = [-1] * len(values)
    for index, value in enumerate(values):
        if value is None:
            continue
        place = bisect_right(tops, value)
        tops[place : place + 1] = [value]
        at[place : place + 1] = [index]
        before[index] = at[place - 1] if place else -1
    chain: list[int] = []
    index = at[-1]
    while index >= 0:
        chain.append(index)
        index = before[index]
    return chain[::-1]


def _channel_blocks(
    transcript: Transcript,
    parts: Sequence[Word | Segment],
    times: Sequence[tuple[int, int]],
    measure: Measure,
) -> Iterator[Block]:
    """Cut one channel at changes of speaker and at long pauses, and what is between them into cues."""
    units: list[Unit] = []
    voices: list[str | None] = []
    for part, (start, end) in zip(parts, times, strict=True):
        new = list(_units(part, start, end, measure))
        units += new
        voices += [transcript.voice(part)] * len(new)
    cuts = [
        index
        for index in range(1, len(units))
        if voices[index] != voices[index - 1] or units[index].start - units[index - 1].end >= _RUN_PAUSE
    ]
    for begin, end in pairwise([0, *cuts, len(units)]):
        following = units[end].start if end < len(units) else _NEVER
        yield from _run_blocks(units[begin:end], voices[begin], following, measure)


def _units(part: Word | Segment, start: int, end: int, measure: Measure) -> Iterator[Unit]:
    """Give the words of a part; of Chinese and Japanese the characters, where it is no word but a phrase."""
    pieces: list[str] = []
    for word in _clean(part.text).split():
        phrase = isinstance(part, Segment) or _halves(word, wide=measure.wide) > measure.line
        pieces += _CJK_PIECE.findall(word) if phrase and (_KANA.search(word) or _HAN.search(word)) else [word]
    widths = [max(_halves(piece, wide=measure.wide), 1) for piece in pieces]
    edges = [start + (end - start) * done // sum(widths) for done in accumulate(widths, initial=0)]
    for piece, size, begin, finish in zip(pieces, widths, edges, edges[1:], strict=False):
        yield Unit(piece, begin, finish, size, 1 if measure.wide else 2)


def _run_blocks(
    units: Sequence[Unit], voice: str | None, following: int, measure: Measure
) -> Iterator[Block]:
    """Cut one speaker's stretch into the cues that cost least, by a dynamic programme over the words."""
    spaces = [0, *(b.space if needs_space(a.text, b.text) else 0 for a, b in pairwise(units))]
    breaks = [0.0, *(_break_cost(a, b) for a, b in pairwise(units)), 0.0]
    begin = 0
    for end in _cheapest_cuts(units, spaces, breaks, following, measure):
        chosen = units[begin:end]
        cuts = _line_cuts(chosen, spaces[begin:end], breaks[begin:end], measure)
        yield Block(
            start=chosen[0].start,
            end=chosen[-1].end,
            lines=tuple(join_words(unit.text for unit in chosen[a:b]) for a, b in pairwise(cuts)),
            width=sum(unit.width for unit in chosen) + sum(spaces[begin + 1 : end]),
            voice=voice,
            long_lines=sum(unit.width > measure.line for unit in chosen),
        )
        begin = end


def _break_cost(left: Unit, right: Unit) -> float:
    """Return what a break between two words costs: nothing after a sentence, little at a pause or a comma."""
    if ends_sentence(left.text):
        return 0.0
    cost = _COST_CLAUSE if _CLAUSE_END.search(left.text) else _COST_BREAK
    cost -= min((right.start - left.end) / 600, 1.0)
    if _BREAK_BEFORE.fullmatch(right.text):
        cost -= 0.4
    if _NO_BREAK_AFTER.fullmatch(left.text):
        cost += 0.7
    return max(cost, 0.1)


def _cheapest_cuts(
    units: Sequence[Unit],
    spaces: Sequence[int],
    breaks: Sequence[float],
    following: int,
    measure: Measure,
) -> list[int]:
    """
    Return where each cue ends: the cuts with the lowest sum of costs.

    From the last word to the first: what is cheapest from a word on does not depend on what is before it. A cue has
    about twenty words at most, so this is linear in the words.
    """
    count = len(units)
    capacity = measure.line * measure.lines
    starts = [*(unit.start for unit in units), following]
    best = [0.0] * (count + 1)
    cut = [count] * (count + 1)
    for i in reversed(range(count)):
        lowest = math.inf
        start = starts[i]
        line = total = units[i].width
        lines, inside = 1, 0.0
        for j in range(i + 1, count + 1):
            last = units[j - 1]
            if j > i + 1:
                step = spaces[j - 1] + last.width
                if line + step > measure.line:
                    lines, line, step = lines + 1, 0, last.width
                    total += spaces[j - 1]
                if lines > measure.lines or last.width > measure.line or last.end - start > measure.longest:
                    break
                line += step
                total += step
                pause = last.start - units[j - 2].end
                inside += _COST_PAUSE_INSIDE * pause / 1000 if pause > _CHAIN else 0.0
                inside += _COST_SENTENCE_INSIDE if breaks[j - 1] == 0.0 else 0.0
            cost = (
                best[j]
                + breaks[j]
                + inside
                + _COST_CUE
                + _COST_LINE * (lines - 1)
                + _COST_FILL * (1 - total / capacity) ** 2
                + _time_cost(last.end - start, starts[j] - start, total, measure)
            )
            if cost < lowest:
                lowest, cut[i] = cost, j
            if units[i].width > measure.line:
                break  # A word that is longer than a line has a cue of its own.
        best[i] = lowest
    cuts: list[int] = []
    at = 0
    while at < count:
        at = cut[at]
        cuts.append(at)
    return cuts


def _time_cost(said: int, room: int, width: int, measure: Measure) -> float:
    """Return what a cue costs that is too short or too fast; `room` is the time until the next one."""
    reading = width * measure.reading
    shown = min(max(said, measure.shortest, reading), max(room - measure.gap, measure.frame), measure.longest)
    cost = 0.0
    if shown < measure.shortest:
        cost += _COST_SHORT * (1 - shown / measure.shortest)
    if shown < reading:
        cost += _COST_FAST * min(reading / shown - 1, 3.0)
    return cost


def _line_cuts(
    units: Sequence[Unit], spaces: Sequence[int], breaks: Sequence[float], measure: Measure
) -> list[int]:
    """Return where the lines of a cue begin, and its end: as few lines as it needs, balanced, broken well."""
    edges = list(
        accumulate((space + unit.width for space, unit in zip(spaces, units, strict=True)), initial=0)
    )

    def size(a: int, b: int) -> int:
        return edges[b] - edges[a] - spaces[a]

    count = len(units)
    lines, line = 1, units[0].width
    for space, unit in zip(spaces[1:], units[1:], strict=True):
        line += space + unit.width
        if line > measure.line:
            lines, line = lines + 1, unit.width
    if lines == 1:
        return [0, count]
    target = edges[count] / lines
    # states[b] is the cheapest way to have the lines so far end at b.
    states: dict[int, tuple[float, list[int]]] = {0: (0.0, [0])}
    for number in range(1, lines + 1):
        ahead: dict[int, tuple[float, list[int]]] = {}
        for a, (cost, cuts) in states.items():
            for b in range(a + 1, count + 1) if number < lines else [count]:
                long = size(a, b)
                if long > measure.line or a == count:
                    break
                price = cost + 3 * ((long - target) / measure.line) ** 2 + (breaks[b] if b < count else 0.0)
                if b not in ahead or price < ahead[b][0]:
                    ahead[b] = (price, [*cuts, b])
        states = ahead
    return states[count][1]


def _place(blocks: Sequence[Block], measure: Measure) -> Iterator[Cue]:
    """
    Give the cues their times on screen, so that none overlap.

    A cue begins with its speech. It begins later only where the one before it would have too little time: where two
    people speak at once both get a share by the length of their text, and a short cue gets its minimum, which delays
    the next one by no more than that minimum.
    """
    starts: list[int] = []
    for index, block in enumerate(blocks):
        start = block.start
        if index:
            before, since = blocks[index - 1], starts[-1]
            if before.end > block.start:
                both = max(before.end, block.end) - before.start
                share = before.start + both * before.width // (before.width + block.width)
                wish = min(share, before.end, block.end)
            else:
                wish = min(since + measure.shortest + measure.gap, block.start + measure.shortest)
            start = max(start, wish, since + measure.frame + measure.gap)
        starts.append(start)
    for index, block in enumerate(blocks):
        start = starts[index]
        latest = starts[index + 1] - measure.gap if index + 1 < len(starts) else _NEVER
        reading = math.ceil(block.width * measure.reading)
        end = max(block.end, start + max(measure.shortest, reading))
        if latest - end < _CHAIN:
            end = latest
        end = min(end, latest, start + measure.longest)
        exceptions = (
            ("short", end - start < measure.shortest),
            ("fast", end - start < reading),
            ("late", start - block.start > _IN_TIME_FRAMES * measure.frame),
            ("line_length", block.long_lines > 0),
        )
        yield Cue(
            start=start / 1000,
            end=end / 1000,
            lines=block.lines,
            voice=block.voice,
            exceptions=tuple(kind for kind, broken in exceptions if broken),
        )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None or not 0 <= seconds <= LATEST else round(seconds * 1000)


def _clean(text: str) -> str:
    """Return a text in one line, without characters that a file cannot hold or that no screen shows."""
    if text.isascii() and text.isprintable():
        return text.strip()
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in {"Cc", "Cs"})
    return " ".join("".join(kept).split())


def _halves(text: str, *, wide: bool) -> int:
    """Return a text's width in half characters."""
    if text.isascii():
        return len(text) if wide else 2 * len(text)
    seen = (c for c in text if unicodedata.category(c) not in {"Mn", "Me", "Cf"})
    if not wide:
        return sum(2 for _ in seen)
    return sum(2 if unicodedata.east_asian_width(c) in "WFA" else 1 for c in seen)


def _times(cue: Cue) -> tuple[str, str]:
    timestamp = _library().models.Timestamp
    return str(timestamp.from_seconds(cue.start)), str(timestamp.from_seconds(cue.end))


def _marked(cue: Cue) -> list[str]:
    """
    Return the lines, with a right-to-left mark where a line of such a script does not begin with its letters.

    Players take a line's direction from its first letter: a Hebrew line that begins with a Latin name or a number
    would be laid out from the left, with its full stop on the wrong side.
    """
    if cue.text.isascii():
        return list(cue.lines)
    kinds = [[unicodedata.bidirectional(c) for c in line] for line in cue.lines]
    strong = Counter(kind for line in kinds for kind in line)
    if strong["R"] + strong["AL"] <= strong["L"]:
        return list(cue.lines)
    return [
        line if line_kinds[0] in {"R", "AL"} else f"\u200f{line}"
        for line, line_kinds in zip(cue.lines, kinds, strict=True)
    ]


def _escape(text: str) -> str:
    # Of ">" only the one in "-->" has to be escaped; all of them is simpler to read back.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _library() -> Any:
    """
    Return webvtt-py: typed, no dependencies, 0.6 is of October 2026; both formats, any hour, checked as it writes.

    pysubs2 stops at 99:59:59 and knows no voice tags, srt has one of the formats and no release since 2023, and
    pycaption brings lxml, cssutils and beautifulsoup4. It is imported here because most tasks write no captions.
    """
    import webvtt  # noqa: PLC0415

    return webvtt


def _write(kind: str, captions: Iterable[Any]) -> str:
    file = io.StringIO()
    document = _library().WebVTT()
    document.captions.extend(captions)
    document.write(file, kind)
    text = file.getvalue().rstrip("\n")
    return f"{text}\n" if text else ""


def _check_number(name: str, value: Any, least: float, *, whole: bool = False) -> None:
    """
    Refuse what cannot be a limit.

    :raises LaplasArgumentError: naming the limit
    """
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    if not right or isinstance(value, bool) or not least <= value < math.inf:
        kind = "a whole number" if whole else "a number"
        raise LaplasArgumentError(f"`{name}` must be {kind} from {least:g}, not {value!r}.", argument=name)
