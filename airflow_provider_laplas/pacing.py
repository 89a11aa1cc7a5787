"""
How fast one process may ask one API: a budget of requests, shared fairly, that obeys what the API says of it.

:class:`Pace` is the arithmetic, on any clock; :class:`Turns` hands its turns out on an event loop.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_laplas.api import RETRY_AFTER_CEILING

log = logging.getLogger(__name__)

SLOWEST = 1.0
"""The fewest requests a second to which the API's 429s can push the pace."""

RECOVERY = 60.0
"""Seconds without a 429 in which a pace that was halved doubles again."""


@dataclass(slots=True)
class Pace:
    """
    A budget of requests a second, as turns: moments at which one request may be sent.

    Two turns are never closer than the budget allows, so a burst of waiting tasks becomes an even stream. A 429 halves
    the pace and holds every turn back for as long as the API asks; a minute without one doubles it again, up to the
    budget.

    :param budget: requests a second; 0 means no limit of our own (a 429's Retry-After is obeyed all the same)
    """

    budget: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    rate: float = field(init=False)
    _next: float = field(default=0.0, init=False, repr=False)
    _slowed_at: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        self.rate = self.budget

    def delay(self) -> float:
        """Return the seconds until the next turn, 0 where it may be taken now."""
        return max(0.0, self._next - self.clock())

    def take(self) -> None:
        """Take the turn that :meth:`delay` said has come."""
        now = self.clock()
        if self.rate < self.budget and now - self._slowed_at >= RECOVERY:
            self.rate = min(self.budget, self.rate * 2)
            self._slowed_at = now
        if self.rate:
            self._next = max(self._next, now) + 1.0 / self.rate

    def slow_down(self, retry_after: float | None) -> None:
        """Take in a 429, with the seconds that the API asks to wait, if it does."""
        now = self.clock()
        self._next = max(self._next, now + min(retry_after or 0.0, RETRY_AFTER_CEILING))
        # One refusal comes as many, to all the requests that were under way.
        if self.rate and now - self._slowed_at >= 1.0:
            self.rate = max(min(SLOWEST, self.budget), self.rate / 2)
            self._slowed_at = now
            log.warning("The API asks for fewer requests: going on with %.3g a second.", self.rate)


class Turn(asyncio.Future[None]):
    """A turn that somebody waits for, from a time of the loop's clock on."""

    __slots__ = ("due",)

    def __init__(self, due: float) -> None:
        super().__init__()
        self.due = due

    def __lt__(self, other: "Turn") -> bool:
        return self.due < other.due


class Turns:
    """
    Turns to send a request, in the order in which they are due: of one event loop.

    A pause is a turn that is due later, and nothing but one future: no timer and no coroutine of its own. Thousands of
    them have to cost the triggerer little memory, and its garbage collector little time.

    :ivar pace: how close turns may be
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._waiting: list[Turn] = []
        self._timer: asyncio.TimerHandle | None = None

    def turn(self, after: float = 0.0) -> Turn:
        """
        Return the future of a turn. It comes when it is due and the pace allows it; those due earlier come first.

        :param after: seconds until it is due
        """
        turn = Turn(asyncio.get_running_loop().time() + after)
        heapq.heappush(self._waiting, turn)
        if self._waiting[0] is turn:
            self._hand_out()
        return turn

    def _hand_out(self) -> None:
        """Give away every turn that has come, and come back for the next one."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            if self._waiting[0].done():
                # Whoever waited for it was cancelled.
                heapq.heappop(self._waiting)
                continue
            delay = max(self._waiting[0].due - loop.time(), self.pace.delay())
            if delay > 0:
                self._timer = loop.call_later(delay, self._hand_out)
                return
            self.pace.take()
            heapq.heappop(self._waiting).set_result(None)
