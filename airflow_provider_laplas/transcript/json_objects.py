"""Lenient access to JSON objects; values that are not objects are skipped."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def read_object(text: str) -> dict[str, Any] | None:
    """Parse a JSON object; return None if it is invalid, because a parser's error would quote the text."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Iterate over the objects in a list, or over the single object that some replies have instead of a list."""
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))
