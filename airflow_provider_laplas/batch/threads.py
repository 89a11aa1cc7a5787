"""Calls that wait for a storage, several at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

from airflow_provider_laplas.batch import timing

T = TypeVar("T")


AT_ONCE = 1000
"""Calls that are lined up: one that waits takes more memory than its file."""


def in_threads(function: Callable[..., T], *items: Iterable[Any]) -> list[T]:
    """Call a function for many files at once, and return what it returned, in order."""
    results: list[T] = []
    calls = zip(*items, strict=True)
    with ThreadPoolExecutor(timing.CONCURRENT_SUBMISSIONS) as threads:
        while some := list(islice(calls, AT_ONCE)):
            results.extend(threads.map(function, *zip(*some, strict=True)))
    return results
