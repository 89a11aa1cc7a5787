"""Measures the width of texts, and converts the limits for a transcript's script to whole numbers."""

import math
import re
import unicodedata
from typing import NamedTuple

from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.values import LATEST

NEVER = 10**13
"""Milliseconds; later than any other time."""

CHAIN = 500
"""Milliseconds; a shorter gap between cues is reduced to the minimum (Netflix, "Subtitle Timing Guidelines")."""

KANA = re.compile(r"[\u3040-\u30ff\uff66-\uff9f]")
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")


class Measure(NamedTuple):
    """The limits, in milliseconds and half characters."""

    wide: bool
    line: int
    lines: int
    shortest: int
    longest: int
    reading: float
    gap: int
    frame: int


def measure_of(transcript: Transcript, limits: CaptionLimits) -> Measure:
    """Return the limits for a transcript; unset limits depend on its script."""
    line, speed, wide = script_limits(transcript)
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


def script_limits(transcript: Transcript) -> tuple[int, float, bool]:
    """Return the line length, the reading speed and whether half widths count, for the text's script."""
    text = transcript.text or "".join(part.text for part in transcript.words or transcript.segments)
    kana, han, hangul = (len(script.findall(text)) for script in (KANA, HAN, _HANGUL))
    letters = sum(map(str.isalpha, text))
    if 10 * (kana + han + hangul) < 3 * letters or not letters:
        return 42, 20.0, False
    if hangul > kana + han:
        return 16, 12.0, True
    # A short Japanese text may have no kana; then the language decides.
    if 20 * kana > han or (transcript.language or "").lower().startswith("ja"):
        return 13, 4.0, True
    return 16, 9.0, True


def width(text: str, *, wide: bool = False) -> float:
    """
    Return a text's width in characters; combining marks have no width.

    :param wide: count a narrow character as half, as in Chinese, Japanese and Korean
    """
    return halves(text, wide=wide) / 2


def halves(text: str, *, wide: bool) -> int:
    """Return a text's width in half characters."""
    if text.isascii():
        return len(text) if wide else 2 * len(text)
    seen = (c for c in text if unicodedata.category(c) not in {"Mn", "Me", "Cf"})
    if not wide:
        return sum(2 for _ in seen)
    return sum(2 if unicodedata.east_asian_width(c) in "WFA" else 1 for c in seen)


def clean(text: str) -> str:
    """Return a text on one line, without control characters and surrogates."""
    if text.isascii() and text.isprintable():
        return text.strip()
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in {"Cc", "Cs"})
    return " ".join("".join(kept).split())


def milliseconds(seconds: float | None) -> int | None:
    """Return a time in whole milliseconds, None if it is missing or out of range."""
    return None if seconds is None or not 0 <= seconds <= LATEST else round(seconds * 1000)
