"""Values as the page shows them, each with a label. Pure."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any


def labelled(known: Mapping[str, Any]) -> list[list[str | float]]:
    """
    Return each label and its text, without those of which nothing is known.

    A float is a moment, in epoch seconds: the page shows it in the time zone that Airflow's UI is set to.
    """
    return [
        [label, found if isinstance(found, float) else str(found)] for label, found in known.items() if found
    ]


def number(value: Any) -> float | None:
    """Return a value that is a finite number, else None: an XCom that was edited may hold any."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        known = float(value)
    except OverflowError:
        return None
    return known if math.isfinite(known) else None


def text(value: Any) -> str | None:
    """Return a value that is a text, else None."""
    return value if isinstance(value, str) else None


def length(seconds: Any) -> str | None:
    """Return a length, as in 0:03:25."""
    known = number(seconds)
    return None if known is None or abs(known) > _LONGEST else str(timedelta(seconds=round(known)))


_LONGEST = timedelta.max.total_seconds() / 2


def percent(value: Any) -> str | None:
    """Return a share, as in 90%."""
    known = number(value)
    return None if known is None else f"{known:.0%}"


def money(value: Any) -> str | None:
    """Return a cost in its own currency, as in 0.0125."""
    known = number(value)
    return None if known is None else f"{known:.4f}".rstrip("0").rstrip(".")
