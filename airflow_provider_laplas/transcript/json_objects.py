"""Lenient access to JSON objects; values that are not objects are skipped."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

DEEPEST = 100
"""The most levels of an object; a deeper one could be read, but not be written by every program."""

DEEPEST_STORED = DEEPEST + 10
"""The same of what this package stores, in which a reply of the API may be contained whole."""


def read_object(content: str | bytes, *, levels: int = DEEPEST) -> dict[str, Any] | None:
    """
    Parse a JSON object; return None if it is invalid, because a parser's error would quote the text.

    NaN, Infinity and numbers beyond those of a double become null: JSON has no such numbers, and neither XCom nor a
    database accepts them.

    :param levels: an object with more of them is invalid, too
    """
    try:
        data = json.loads(content, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and not _is_deeper(data, levels) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Iterate over the objects in a list, or over the single object that some replies have instead of a list."""
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def _no_number(_: str) -> None:
    return None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
