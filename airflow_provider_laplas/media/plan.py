"""What is sent of a recording, and where it is cut. Pure."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any, Literal, TypeAlias, get_args

from airflow_provider_laplas.errors import LaplasArgumentError

Kind: TypeAlias = Literal["as_it_is", "copy", "encode"]
"""The file itself is sent; its audio is copied out of it; its audio is encoded anew."""

WINDOW = 512 / 16_000
"""Seconds that one value of loudness is for: the window of the speech detector."""

SHORTEST_SILENCE = 0.3
"""Seconds: in a shorter one a cut may hit the soft beginning or end of a word."""

SEARCHED = 60.0
"""Seconds at each side of where parts would be equally long, in which a silence is looked for."""

OVERLAP = 1.0
"""Seconds that two parts share where there is no silence between them: longer than nearly every word."""

LONG_SILENCE = 2.0
"""Seconds: what is longer is left out by :func:`without_silence`."""

KEPT_SILENCE = 0.5
"""Seconds of a long silence that are kept at each side of speech."""

_QUIET_WINDOWS = 10
_PRECISION = 1e-6
_MOST_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class Piece:
    """
    A stretch of the recording.

    :ivar start: seconds from its beginning
    :ivar end: the same; not before ``start``
    """

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class MediaPart:
    """
    What is sent as one generation.

    :ivar pieces: what is sent of the recording, in this order, without gaps between; at least one
    :ivar why: why it ends where it ends, in a few words
    :ivar overlap: seconds at its beginning that the part before has, too
    """

    pieces: tuple[Piece, ...]
    why: str
    overlap: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it is."""
        return math.fsum(piece.seconds for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """
    How a file is sent.

    :ivar kind: of :data:`Kind`
    :ivar track: the index of the audio stream in the container; None if nothing is taken out of it
    :ivar codec: what the audio is copied or encoded as, in FFmpeg's words; None for ``as_it_is``
    :ivar suffix: of the files that are sent, with its point; None for ``as_it_is``
    :ivar channels: that are sent; 0 if unknown
    :ivar seconds: the recording's length, decoded if it was, else as its header says; 0 if unknown
    :ivar size: the file's bytes
    :ivar parts: one or more, in order; a single one with a single piece, the whole recording, if nothing is cut
    """

    kind: Kind
    track: int | None
    codec: str | None
    suffix: str | None
    channels: int
    seconds: float
    size: int
    parts: tuple[MediaPart, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is one upload whose times are those of the recording: its reply needs no joining."""
        if self.kind != "encode":
            return True
        return len(self.parts) == 1 and self.parts[0].pieces == (Piece(0.0, self.seconds),)

    def to_fields(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        fields = asdict(self)
        fields["parts"] = [
            {
                "pieces": [[piece.start, piece.end] for piece in part.pieces],
                "why": part.why,
                "overlap": part.overlap,
            }
            for part in self.parts
        ]
        return fields

    @classmethod
    def from_fields(cls, fields: Any) -> "MediaPlan":
        """
        Return what :meth:`to_fields` made JSON of.

        :raises ValueError: if it is not that
        """
        try:
            read = {name: fields[name] for name in cls.__dataclass_fields__}
            read["parts"] = tuple(_part(part) for part in fields["parts"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError("This is not a plan of a recording.") from None
        plan = cls(**read)
        if not _is_sound(plan):
            raise ValueError("This is not a plan of a recording.")
        return plan


def _part(fields: Mapping[str, Any]) -> MediaPart:
    pieces = tuple(Piece(_number(start), _number(end)) for start, end in fields["pieces"])
    if not pieces or not isinstance(fields["why"], str) or any(piece.end < piece.start for piece in pieces):
        raise ValueError
    return MediaPart(pieces, fields["why"], _number(fields["overlap"]))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError
    return float(value)


def _is_sound(plan: MediaPlan) -> bool:
    texts = (plan.codec, plan.suffix)
    numbers = (plan.channels, plan.size, 0 if plan.track is None else plan.track)
    return (
        plan.kind in get_args(Kind)
        and bool(plan.parts)
        and all(
            isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers
        )
        and all(text is None or isinstance(text, str) for text in texts)
        and isinstance(plan.seconds, int | float)
        and not isinstance(plan.seconds, bool)
        and 0 <= plan.seconds < math.inf
        and (plan.kind == "as_it_is" or None not in (plan.track, *texts))
    )


def whole(seconds: float) -> tuple[MediaPart, ...]:
    """Return the parts of a recording of which nothing is cut."""
    return (MediaPart((Piece(0.0, seconds),), "the end of the recording"),)


def without_silence(seconds: float, silences: Sequence[tuple[float, float]]) -> tuple[Piece, ...]:
    """
    Return what is left of a recording without its long silences.

    Half a second of each is kept at each side of speech. If there is nothing but silence, all of it is left.

    :param silences: in order, as start and end in seconds
    """
    pieces, at = [], 0.0
    for start, end in silences:
        if end - start <= LONG_SILENCE:
            continue
        # Nobody speaks before the beginning and after the end.
        last = start + KEPT_SILENCE if start > 0 else 0.0
        if last > at:
            pieces.append(Piece(at, last))
        at = end - KEPT_SILENCE if end < seconds else seconds
    if seconds > at:
        pieces.append(Piece(at, seconds))
    return tuple(pieces) or (Piece(0.0, seconds),)


def ideal_cuts(seconds: float, limit: float) -> tuple[tuple[float, ...], float]:
    """
    Return where a recording would be cut into equally long parts, and how far from there it may be cut.

    :param limit: the most seconds of a part, above 0
    :raises LaplasArgumentError: naming ``media.max_part_seconds``, if these would be more than 100,000 parts
    """
    count = math.ceil(seconds / limit)
    if count <= 1:
        return (), 0.0
    # What rounding to milliseconds and samples may add.
    most = limit - min(0.002, limit / 100) - _overlap(limit)
    while (slack := (most - seconds / count) / 2) < min(SEARCHED, limit / 8):
        count += 1
        if count > _MOST_PARTS:
            raise LaplasArgumentError(
                f"`media.max_part_seconds` is so low that a recording of {seconds:,.0f} s would be cut into more than "
                f"{_MOST_PARTS:,} parts. Raise it.",
                argument="media.max_part_seconds",
            )
    reach = min(SEARCHED, slack, seconds / count / 4)
    return tuple(seconds * number / count for number in range(1, count)), reach


def _overlap(limit: float) -> float:
    return min(OVERLAP, limit / 8)


def choose_cuts(
    pieces: Sequence[Piece],
    silences: Sequence[tuple[float, float]],
    loudness: Sequence[float],
    limit: float | None,
) -> tuple[MediaPart, ...]:
    """
    Cut a recording into parts of about the same length, none longer than ``limit``, none shorter than half the mean.

    Each cut is in the middle of the silence of at least 0.3 s that is nearest to where the parts would be equally
    long, within 60 s of it, or less where the limit is below eight minutes. Where there is none, it is at the quietest
    point, and the next part begins one second before.

    :param pieces: what is sent of the recording; all of it is one piece
    :param silences: in order, as start and end in seconds of the recording
    :param loudness: a value for each :data:`WINDOW` of the recording
    :param limit: the most seconds of a part, above 0; None for no limit
    :raises LaplasArgumentError: naming ``media.max_part_seconds``, if these would be more than 100,000 parts
    """
    line = _Line(pieces)
    ideals, reach = ideal_cuts(line.seconds, limit) if limit else ((), 0.0)
    # What is left of a silence at both sides of what was left out is one.
    quiet = _merged([(line.of(start), line.of(end)) for start, end in silences])
    parts, begin, overlap = [], 0.0, 0.0
    for ideal in ideals:
        low, high = ideal - reach, ideal + reach
        found = _nearest_silence(quiet, low, high, ideal)
        if found:
            cut, why = sum(found) / 2, f"in a silence of {found[1] - found[0]:.1f} s"
        else:
            cut = _quietest(line, loudness, low, high, ideal)
            why = f"at the quietest point, there is no silence within {reach:.0f} s"
        parts.append(MediaPart(line.pieces(begin - overlap, cut), why, overlap))
        begin, overlap = cut, 0.0 if found else _overlap(limit or math.inf)
    parts.append(MediaPart(line.pieces(begin - overlap, line.seconds), "the end of the recording", overlap))
    return tuple(parts)


class _Line:
    """The pieces put together: seconds on it, and the seconds of the recording that they are."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = tuple(pieces)
        self._starts = [0.0]
        for piece in pieces:
            self._starts.append(self._starts[-1] + piece.seconds)
        self._begins = [piece.start for piece in pieces]
        self.seconds = self._starts[-1]

    def of(self, moment: float) -> float:
        """Return where a moment of the recording is; one that is left out, where the next piece begins."""
        index = bisect_right(self._begins, moment) - 1
        if index < 0:
            return 0.0
        piece = self._pieces[index]
        return self._starts[index] + min(moment, piece.end) - piece.start

    def moment(self, at: float) -> float:
        """Return which moment of the recording is there."""
        index = min(max(0, bisect_right(self._starts, at) - 1), len(self._pieces) - 1)
        piece = self._pieces[index]
        return min(piece.end, piece.start + max(0.0, at - self._starts[index]))

    def pieces(self, start: float, end: float) -> tuple[Piece, ...]:
        """Return what of the pieces is between two points."""
        found = []
        for begin, piece in zip(self._starts, self._pieces, strict=False):
            low, high = max(start, begin), min(end, begin + piece.seconds)
            if high - low > _PRECISION:
                # Their own bounds as they are, so that rounding leaves no gap.
                first = piece.start if low == begin else piece.start + (low - begin)
                last = piece.end if end >= begin + piece.seconds else piece.start + (high - begin)
                found.append(Piece(first, last))
        return tuple(found)


def _merged(silences: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in silences:
        if merged and start <= merged[-1][1] + _PRECISION:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _nearest_silence(
    silences: Sequence[tuple[float, float]], low: float, high: float, ideal: float
) -> tuple[float, float] | None:
    within = [(max(start, low), min(end, high)) for start, end in silences]
    long = [(start, end) for start, end in within if end - start >= SHORTEST_SILENCE]
    return min(long, key=lambda one: max(one[0] - ideal, ideal - one[1], 0.0), default=None)


def _quietest(line: _Line, loudness: Sequence[float], low: float, high: float, ideal: float) -> float:
    steps = int((high - low) / WINDOW)
    moments = [int(line.moment(low + step * WINDOW) / WINDOW) for step in range(steps + 1)]
    sums = list(accumulate((loudness[at] for at in moments if at < len(loudness)), initial=0.0))
    if len(sums) <= _QUIET_WINDOWS:
        return ideal
    # Of the same loudness, the nearest one: in digital silence all are.
    begin, _ = min(
        enumerate(zip(sums, sums[_QUIET_WINDOWS:], strict=False)),
        key=lambda one: (
            round(one[1][1] - one[1][0], 3),
            abs(low + (one[0] + _QUIET_WINDOWS / 2) * WINDOW - ideal),
        ),
    )
    return low + (begin + _QUIET_WINDOWS / 2) * WINDOW


def rounded(parts: Sequence[MediaPart]) -> tuple[MediaPart, ...]:
    """Return parts with times in whole milliseconds, the same moment always as the same number."""
    return tuple(
        replace(
            part,
            pieces=tuple(Piece(round(piece.start, 3), round(piece.end, 3)) for piece in part.pieces),
            overlap=round(part.overlap, 3),
        )
        for part in parts
    )


def clock(seconds: float) -> str:
    """Return a moment for people: hours, minutes and seconds, to a tenth, as in ``1:02:03.4``."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{tenths / 10:04.1f}"
