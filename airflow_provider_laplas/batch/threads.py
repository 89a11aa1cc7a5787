"""Calls that wait for a storage, several at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from airflow_provider_laplas.batch import timing

T = TypeVar("T")


def in_threads(function: Callable[..., T], *items: Iterable[Any]) -> list[T]:
    """Call a function for many files at once, and return what it returned, in order."""
    with ThreadPoolExecutor(timing.CONCURRENT_SUBMISSIONS) as threads:
        return list(threads.map(function, *items))
