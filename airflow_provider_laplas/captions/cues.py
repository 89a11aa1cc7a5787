"""The limits for captions, and a single cue."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_laplas.arguments import is_number
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import shown

KINDS: Mapping[str, str] = {
    "line_length": "lines with one word that is longer than a line",
    "short": "cues on screen for less than the minimum",
    "fast": "cues above the reading speed limit",
    "late": "cues that begin more than three frames after their speech, to keep an earlier one on screen",
    "estimated_times": "words whose times were missing or out of order",
}
"""The kinds of exceptions, and their meanings."""


@dataclass(frozen=True, slots=True)
class CaptionLimits:
    """
    The limits for cues; the defaults are Netflix's for English.

    :ivar line_length: characters per line; None means 42, or 16 for Chinese and Korean and 13 for Japanese, where a
        narrow character counts as half
    :ivar lines: the most lines in a cue
    :ivar min_duration: minimum seconds on screen
    :ivar max_duration: maximum seconds on screen
    :ivar reading_speed: characters per second, including spaces; None means 20, or Korean 12, Chinese 9, Japanese 4
    :ivar frame_rate: frames per second of the video, at least 1
    :ivar gap_frames: minimum frames between two cues
    :raises LaplasArgumentError: naming the invalid limit
    """

    line_length: int | None = None
    lines: int = 2
    min_duration: float = 5 / 6
    max_duration: float = 7.0
    reading_speed: float | None = None
    frame_rate: float = 24.0
    gap_frames: int = 2

    def __post_init__(self) -> None:
        _check_number("lines", self.lines, 1, 1000, whole=True)
        _check_number("min_duration", self.min_duration, 0, 1e9)
        _check_number("max_duration", self.max_duration, max(self.min_duration, 0.001), 1e9)
        _check_number("frame_rate", self.frame_rate, 1, 1000)
        _check_number("gap_frames", self.gap_frames, 0, 10_000, whole=True)
        if self.line_length is not None:
            _check_number("line_length", self.line_length, 1, 10_000, whole=True)
        if self.reading_speed is not None:
            _check_number("reading_speed", self.reading_speed, 0.1, 10_000)


@dataclass(frozen=True, slots=True)
class Cue:
    """
    One caption on screen.

    :ivar start: seconds from the beginning of the audio, in whole milliseconds
    :ivar end: the same; after ``start``, and before the next cue's start
    :ivar lines: at least one
    :ivar voice: the speaker's name from :meth:`~airflow_provider_laplas.transcript.Transcript.voice`, None if unknown
    :ivar exceptions: the limits that it exceeds, of :data:`KINDS`
    """

    start: float
    end: float
    lines: tuple[str, ...] = field(repr=False)
    voice: str | None = None
    exceptions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines, joined with newlines."""
        return "\n".join(self.lines)


def _check_number(name: str, value: Any, least: float, most: float, *, whole: bool = False) -> None:
    if not is_number(value, least, most, whole=whole):
        kind = "a whole number" if whole else "a number"
        raise LaplasArgumentError(
            f"`{name}` must be {kind} from {least:g} to {most:g}, not {shown(value)}.", argument=name
        )
