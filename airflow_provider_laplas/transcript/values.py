"""
Single values of a reply, made fit for every place that a transcript goes to: files, XComs and databases.

A text becomes valid Unicode without NUL, and a number one that a column can hold. What is not of the kind that it should be
is missing (None, or an empty text).
"""

import math
import re
from collections.abc import Mapping
from typing import Any

LATEST = 1e9
"""The latest valid time, in seconds (31 years)."""

MOST_CHANNELS = 1000
"""A channel's number is below this; another number is some other label."""

_LARGEST_INTEGER = 2**63 - 1
# Half of a surrogate pair cannot be encoded, and PostgreSQL refuses NUL.
_INVALID = re.compile("[\0\ud800-\udfff]")


def valid_text(text: str) -> str:
    """Return a text with U+FFFD in place of lone surrogates and NUL."""
    return _INVALID.sub("\ufffd", text)


def text_of(value: Any) -> str:
    """Return a text without spaces around it; an empty one for what is no text."""
    return valid_text(value).strip() if isinstance(value, str) else ""


def optional_text(value: Any) -> str | None:
    """Return a text without spaces around it; None if it is empty, and for what is no text."""
    return text_of(value) or None


def label(value: Any) -> str | None:
    """Return a speaker's label: Deepgram numbers them from 0, AssemblyAI uses A, B and so on."""
    return str(value) if _number(value) is not None else optional_text(value)


def seconds(value: Any, unit: float = 1.0) -> float | None:
    """
    Return a time in seconds; None if it is negative or after :data:`LATEST`.

    :param unit: of the value, in seconds
    """
    number = _number(value)
    # Rounded to microseconds, to drop the floating-point noise of the multiplication.
    time = None if number is None else round(number * unit, 6)
    return time if time is not None and 0 <= time <= LATEST else None


def confidence(value: Any) -> float | None:
    """Return a confidence; None if it is not from 0 to 1."""
    number = _number(value)
    return round(number, 6) if number is not None and 0 <= number <= 1 else None


def channel_of(value: Any) -> int:
    """Return the number of a channel; 0 if it is not one."""
    number = _number(value)
    return int(number) if number is not None and 0 <= number < MOST_CHANNELS else 0


def plain_json(value: Any, levels: int = 16) -> Any:
    """
    Return a JSON value whose texts are valid and whose numbers have at most 64 bits; other values become None.

    :param levels: what is nested more deeply becomes None
    """
    if isinstance(value, str):
        return valid_text(value)
    if levels and isinstance(value, Mapping):
        return {valid_text(str(name)): plain_json(each, levels - 1) for name, each in value.items()}
    if levels and isinstance(value, list):
        return [plain_json(each, levels - 1) for each in value]
    # Airflow's processes cannot send larger integers to each other.
    small = isinstance(value, int) and abs(value) <= _LARGEST_INTEGER
    return value if small or (isinstance(value, float) and math.isfinite(value)) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
