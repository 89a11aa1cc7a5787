"""Threads of the pages' own: a storage that does not answer holds up none of Airflow's."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
T = TypeVar("T")

MOST = 16
"""Calls at a time that may wait for a storage or a database of transcripts; others wait without a thread."""

_limiter = CapacityLimiter(MOST)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=_limiter)


def blocking(route: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Make a route of a function that blocks."""

    @wraps(route)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(route, *args, **kwargs)

    return run
