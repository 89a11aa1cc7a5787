"""The JSON objects in what was received or stored; what is no object is passed over."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is, None where it is none: what a parser says of a broken one quotes it."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a value that is an object, an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Iterate over a list of objects, or over the one object that some replies have in its place."""
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))
