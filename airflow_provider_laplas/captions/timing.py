"""Estimates missing times of words, and sets the times of cues on screen."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from airflow_provider_laplas.captions.cues import Cue
from airflow_provider_laplas.captions.layout import Block
from airflow_provider_laplas.captions.measure import CHAIN, NEVER, Measure, clean, halves, milliseconds
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.parts import Segment, Word

_PACE = 40
"""Estimated milliseconds to speak half a character: about 12 characters per second."""

_IN_TIME_FRAMES = 3
"""Frames by which a cue may begin after its speech without being late (Netflix, "Subtitle Timing Guidelines")."""


def timed_channels(transcript: Transcript) -> Iterator[list[Word] | list[Segment]]:
    """Yield each channel's words, or its segments if the words have no times."""
    channels = {word.channel for word in transcript.words} | {part.channel for part in transcript.segments}
    found = False
    for channel in sorted(channels):
        words = [word for word in transcript.words if word.channel == channel and clean(word.text)]
        segments = [part for part in transcript.segments if part.channel == channel and clean(part.text)]
        if any(milliseconds(word.start) is not None for word in words):
            found = True
            yield words
        elif any(milliseconds(segment.start) is not None for segment in segments):
            found = True
            yield segments
        elif words or segments:
            raise _no_times()
    if not found and clean(transcript.text):
        raise _no_times()


def _no_times() -> LaplasArgumentError:
    return LaplasArgumentError(
        "Captions need times, and neither the words nor the segments of the transcript have them: the model gives "
        "none, or they were not requested. The text can still be written as txt.",
        argument="transcript",
    )


def timeline(parts: Sequence[Word | Segment], measure: Measure) -> tuple[list[tuple[int, int]], int]:
    """
    Return the start and end of each part, in order, and the number of parts with estimated times.

    The longest ascending subsequence of start times is trusted. The other parts are spread over the time between their
    neighbours, in proportion to their length. No part ends after the next one starts.
    """
    given = [milliseconds(part.start) for part in parts]
    lengths = [_PACE * max(halves(part.text, wide=measure.wide), 1) for part in parts]
    known = longest_in_order(given)
    starts = [0] * len(parts)
    ends: list[int | None] = [None] * len(parts)
    for index in known:
        starts[index] = given[index] or 0
        end = milliseconds(parts[index].end)
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
    starts.append(NEVER)
    return [
        (start, min(start + length if end is None else end, following))
        for start, end, length, following in zip(starts, ends, lengths, starts[1:], strict=False)
    ], estimated


def _spread(starts: list[int], lengths: Sequence[int], indices: range, begin: int, end: int) -> None:
    """Set the starts of some parts so that they fill the time from begin to end, in proportion to their length."""
    total = sum(lengths[index] for index in indices)
    done = 0
    for index in indices:
        starts[index] = begin + (end - begin) * done // total
        done += lengths[index]


def longest_in_order(values: Sequence[int | None]) -> list[int]:
    """Return the indices of the longest ascending subsequence; there must be at least one value."""
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


def place_cues(blocks: Sequence[Block], measure: Measure) -> Iterator[Cue]:
    """
    Set the cues' times on screen, so that none overlap.

    A cue begins with its speech, or later if the cue before it would have too little time: while two people speak at
    once, the time is shared in proportion to the length of their texts, and a short cue gets its minimum duration,
    which delays the next cue by no more than that minimum.
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
        latest = starts[index + 1] - measure.gap if index + 1 < len(starts) else NEVER
        reading = math.ceil(block.width * measure.reading)
        end = max(block.end, start + max(measure.shortest, reading))
        if latest - end < CHAIN:
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
