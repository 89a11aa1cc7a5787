"""
Splits a transcript's words into cues, and cues into lines.

Both minimize a cost, which is a weighted sum.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from airflow_provider_laplas.captions.measure import CHAIN, HAN, KANA, NEVER, Measure, clean, halves
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.parts import Segment, Word
from airflow_provider_laplas.transcript.text import ends_sentence, join_words, needs_space

_RUN_PAUSE = 1500
"""Milliseconds of silence after which a new cue begins."""

# The weights of the cost. Each limit weighs about ten times as much as all below it in the order of precedence.
_COST_SHORT, _COST_FAST, _COST_CUE, _COST_LINE, _COST_FILL = 30.0, 8.0, 0.7, 0.2, 0.5
_COST_BREAK, _COST_CLAUSE, _COST_SENTENCE_INSIDE, _COST_PAUSE_INSIDE = 1.5, 0.6, 0.4, 1.5

# Characters that may not end a line, then one character or one word in another script, then characters that may not
# begin a line (kinsoku).
_CJK_PIECE = re.compile(
    r"[（「『【〈《〔“‘(\[]*(?:[A-Za-z0-9À-ɏ]+|.)[、。，．！？：；）」』】〉》〕…ーゝ々ぁぃぅぇぉゃゅょっァィゥェォャュョッ”’,.!?:;%)\]]*",  # noqa: RUF001
    re.DOTALL,
)
_CLAUSE_END = re.compile(r"[,;:—–、，；：،؛]['\"”’)\]」』）]*$")  # noqa: RUF001 - intended characters.
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


class Unit(NamedTuple):
    """A word of a cue, or a character of a script without spaces. Times in ms, width in half characters."""

    text: str
    start: int
    end: int
    width: int
    space: int


class Block(NamedTuple):
    """A cue before its time on screen is set: when it was spoken, and its lines."""

    start: int
    end: int
    lines: tuple[str, ...]
    width: int
    voice: str | None
    long_lines: int


def channel_blocks(
    transcript: Transcript,
    parts: Sequence[Word | Segment],
    times: Sequence[tuple[int, int]],
    measure: Measure,
) -> Iterator[Block]:
    """Split one channel at changes of speaker and long pauses, and each section into cues."""
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
        following = units[end].start if end < len(units) else NEVER
        yield from _run_blocks(units[begin:end], voices[begin], following, measure)


def _units(part: Word | Segment, start: int, end: int, measure: Measure) -> Iterator[Unit]:
    """Yield the words of a part, or its characters if it is a Chinese or Japanese phrase."""
    pieces: list[str] = []
    for word in clean(part.text).split():
        phrase = isinstance(part, Segment) or halves(word, wide=measure.wide) > measure.line
        pieces += _CJK_PIECE.findall(word) if phrase and (KANA.search(word) or HAN.search(word)) else [word]
    widths = [max(halves(piece, wide=measure.wide), 1) for piece in pieces]
    edges = [start + (end - start) * done // sum(widths) for done in accumulate(widths, initial=0)]
    for piece, size, begin, finish in zip(pieces, widths, edges, edges[1:], strict=False):
        yield Unit(piece, begin, finish, size, 1 if measure.wide else 2)


def _run_blocks(
    units: Sequence[Unit], voice: str | None, following: int, measure: Measure
) -> Iterator[Block]:
    """Split one section into the cues with the lowest cost, by dynamic programming over the words."""
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
    """Return the cost of a break between two words: none after a sentence, low at a pause or a comma."""
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
    Return where each cue ends: the cuts with the lowest total cost.

    This works from the last word to the first, because the lowest cost from a word on does not depend on the words
    before it. A cue has at most about twenty words, so the run time is linear in the number of words.
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
                inside += _COST_PAUSE_INSIDE * pause / 1000 if pause > CHAIN else 0.0
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
                break  # A word that is longer than a line gets its own cue.
        best[i] = lowest
    cuts: list[int] = []
    at = 0
    while at < count:
        at = cut[at]
        cuts.append(at)
    return cuts


def _time_cost(said: int, room: int, width: int, measure: Measure) -> float:
    """Return the cost of a cue for being too short or too fast; `room` is the time until the next cue."""
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
    """Return the start of each line of a cue, and its end: as few lines as possible, balanced, with good breaks."""
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
    # states[b] is the lowest cost, with its cuts, of lines so far that end at b.
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
