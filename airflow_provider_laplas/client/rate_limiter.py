"""
An adaptive rate limit for all requests of one process to one API.

:class:`AdaptiveRate` calculates the rate, on any clock; :class:`RateLimiter` hands out permits on an event loop.
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
"""The lowest rate, in requests per second, to which 429s can reduce it."""

RECOVERY = 60.0
"""Seconds without a 429 after which a reduced rate is doubled."""


@dataclass(slots=True)
class AdaptiveRate:
    """
    A rate limit that adapts to 429s.

    Requests are evenly spaced, without bursts. A 429 halves the rate and delays all requests by its Retry-After; each
    minute without one doubles the rate again, up to the budget.

    :param budget: requests per second; 0 for no limit (Retry-After is honoured all the same)
    :ivar current: the current requests per second, 0 for no limit
    """

    budget: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    current: float = field(init=False)
    _next: float = field(default=0.0, init=False, repr=False)
    _slowed_at: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        self.current = self.budget

    def delay(self) -> float:
        """Return the seconds until the next request may be sent; 0 means now."""
        return max(0.0, self._next - self.clock())

    def take(self) -> None:
        """Count a request that is sent now; one that is sent before :meth:`delay` is 0 delays the others."""
        now = self.clock()
        if self.current < self.budget and now - self._slowed_at >= RECOVERY:
            self.current = min(self.budget, self.current * 2)
            self._slowed_at = now
        if self.current:
            self._next = max(self._next, now) + 1.0 / self.current

    def slow_down(self, retry_after: float | None) -> None:
        """React to a 429, with its Retry-After in seconds, if it has one."""
        now = self.clock()
        self._next = max(self._next, now + min(retry_after or 0.0, RETRY_AFTER_CEILING))
        # All requests in flight may get the same 429; halve the rate only once for them.
        if self.current and now - self._slowed_at >= 1.0:
            self.current = max(min(SLOWEST, self.budget), self.current / 2)
            self._slowed_at = now
            log.warning(
                "The API asks for fewer requests: going on with %.3g requests a second.", self.current
            )


class Permit(asyncio.Future[None]):
    """Permission to send one request, to be awaited; ``due`` is the earliest time for it, on the loop's clock."""

    __slots__ = ("due",)

    def __init__(self, due: float) -> None:
        super().__init__()
        self.due = due

    def __lt__(self, other: "Permit") -> bool:
        return self.due < other.due


class RateLimiter:
    """
    Hands out permits to send a request, in the order in which they are due, on one event loop.

    A pending permit is a single future without a timer or coroutine of its own, so that thousands of them take little
    memory and garbage collection time in the triggerer.

    :ivar rate: the rate limit
    """

    def __init__(self, rate: AdaptiveRate) -> None:
        self.rate = rate
        self._waiting: list[Permit] = []
        self._timer: asyncio.TimerHandle | None = None

    def acquire(self, after: float = 0.0) -> Permit:
        """
        Return a permit to await. It is granted once it is due and the rate allows it, those due earlier first.

        :param after: seconds until it is due
        """
        permit = Permit(asyncio.get_running_loop().time() + after)
        heapq.heappush(self._waiting, permit)
        if self._waiting[0] is permit:
            self._give()
        return permit

    def _give(self) -> None:
        """Grant all permits that are allowed now, and schedule a call for the next one."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            if self._waiting[0].done():
                # Its waiter was cancelled.
                heapq.heappop(self._waiting)
                continue
            delay = max(self._waiting[0].due - loop.time(), self.rate.delay())
            if delay > 0:
                self._timer = loop.call_later(delay, self._give)
                return
            self.rate.take()
            heapq.heappop(self._waiting).set_result(None)

    def give_now(self, permit: Permit) -> None:
        """Grant a permit whatever the rate allows; others wait longer for it."""
        if not permit.done():
            self.rate.take()
            permit.set_result(None)


class Turn:
    """The permits of one wait, one after another, which are given late only up to its deadline."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._permit: Permit | None = None
        self._over = False

    async def come(self, after: float) -> None:
        """
        Return when the next request may be sent.

        :param after: seconds until it is due
        """
        if self._over:
            await asyncio.sleep(after)
            self._limiter.rate.take()
            return
        self._permit = self._limiter.acquire(after=after)
        await self._permit

    def take(self) -> None:
        """Give the permit that is waited for, and all that come after it when they are due: the deadline has come."""
        self._over = True
        if self._permit is not None:
            self._limiter.give_now(self._permit)
