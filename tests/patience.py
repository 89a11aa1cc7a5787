"""How the tests wait for what has to happen."""

from collections.abc import Callable
from typing import TypeVar

from airflow_stack.processes import PATIENCE, await_condition

__all__ = ["PATIENCE", "eventually"]

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str, *, shown: Callable[[], str] | None = None) -> T:
    """Return the first value of a condition that is true; ``shown`` tells, where there is none, what there is."""
    try:
        return await_condition(condition, what=what)
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n{shown()}" if shown else str(error)) from None
