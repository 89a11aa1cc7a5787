"""What a caption is: the limits that it keeps to, and one cue on screen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError

LATEST = 1e9
"""Seconds (31 years) after which a time is taken for a mistake, like one below 0."""

KINDS: Mapping[str, str] = {
    "line_length": "lines with one word that is longer than a line",
    "short": "cues on screen for less than the minimum",
    "fast": "cues to be read faster than the limit",
    "late": "cues that begin more than three frames after their speech, to leave an earlier one on screen",
    "estimated_times": "words whose times were missing or out of order",
}
"""What is counted as an exception, and what each means."""


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
    :ivar voice: who speaks, as :meth:`~airflow_provider_laplas.transcript.Transcript.voice` names them, None where that
        is not known
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


def _check_number(name: str, value: Any, least: float, *, whole: bool = False) -> None:
    """
    Refuse what cannot be a limit.

    :raises LaplasArgumentError: naming the limit
    """
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    if not right or isinstance(value, bool) or not least <= value < math.inf:
        kind = "a whole number" if whole else "a number"
        raise LaplasArgumentError(f"`{name}` must be {kind} from {least:g}, not {value!r}.", argument=name)
