"""
How fast one process may ask one API: a budget of requests, shared fairly, that obeys what the API says of it.

:class:`AdaptiveRate` is the arithmetic, on any clock; :class:`RateLimiter` gives its permits out on an event loop.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_laplas.api.retry import RETRY_AFTER_CEILING

log = logging.getLogger(__name__)

SLOWEST = 1.0
"""The fewest requests a second to which the API's 429s can push the rate."""

RECOVERY = 60.0
"""Seconds without a 429 after which a rate that was halved doubles again."""


@dataclass(slots=True)
class AdaptiveRate:
    """
    A budget of requests a second: when the next one may be sent.

    Two requests are never closer than the budget allows, so a burst of waiting tasks becomes an even stream. A 429
    halves the rate and holds every request back for as long as the API asks; a minute without one doubles it again, up
    to the budget.

    :param budget: requests a second; 0 means no limit of our own (a 429's Retry-After is obeyed all the same)
    :ivar current: requests a second now, 0 where there is no limit
    """

    budget: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    current: float = field(init=False)
    _next: float = field(default=0.0, init=False, repr=False)
    _slowed_at: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        self.current = self.budget

    def delay(self) -> float:
        """Return the seconds until the next request may be sent, 0 where that is now."""
        return max(0.0, self._next - self.clock())

    def take(self) -> None:
        """Count a request that is sent now, when :meth:`delay` says 0."""
        now = self.clock()
        if self.current < self.budget and now - self._slowed_at >= RECOVERY:
            self.current = min(self.budget, self.current * 2)
            self._slowed_at = now
        if self.current:
            self._next = max(self._next, now) + 1.0 / self.current

    def slow_down(self, retry_after: float | None) -> None:
        """Take in a 429, with the seconds that the API asks to wait, if it does."""
        now = self.clock()
        self._next = max(self._next, now + min(retry_after or 0.0, RETRY_AFTER_CEILING))
        # One refusal comes as many, to all the requests that were under way.
        if self.current and now - self._slowed_at >= 1.0:
            self.current = max(min(SLOWEST, self.budget), self.current / 2)
            self._slowed_at = now
            log.warning("The API asks for fewer requests: going on with %.3g a second.", self.current)


class Permit(asyncio.Future[None]):
    """The permission to send one request, which somebody waits for; not given before a time of the loop's clock."""

    __slots__ = ("due",)

    def __init__(self, due: float) -> None:
        super().__init__()
        self.due = due

    def __lt__(self, other: "Permit") -> bool:
        return self.due < other.due


class RateLimiter:
    """
    Permits to send a request, given in the order in which they are due: of one event loop.

    A pause is a permit that is due later, and nothing but one future: no timer and no coroutine of its own. Thousands
    of them have to cost the triggerer little memory, and its garbage collector little time.

    :ivar rate: how close requests may be
    """

    def __init__(self, rate: AdaptiveRate) -> None:
        self.rate = rate
        self._waiting: list[Permit] = []
        self._timer: asyncio.TimerHandle | None = None

    def acquire(self, after: float = 0.0) -> Permit:
        """
        Return a permit to await. It is given when it is due and the rate allows it; those due earlier come first.

        :param after: seconds until it is due
        """
        permit = Permit(asyncio.get_running_loop().time() + after)
        heapq.heappush(self._waiting, permit)
        if self._waiting[0] is permit:
            self._give()
        return permit

    def _give(self) -> None:
        """Give every permit that may be given now, and come back for the next one."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            if self._waiting[0].done():
                # Whoever waited for it was cancelled.
                heapq.heappop(self._waiting)
                continue
            delay = max(self._waiting[0].due - loop.time(), self.rate.delay())
            if delay > 0:
                self._timer = loop.call_later(delay, self._give)
                return
            self.rate.take()
            heapq.heappop(self._waiting).set_result(None)
