"""How fast one process may ask one API: a budget of requests, shared fairly, that obeys what the API says of it. Pure."""

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
    A budget of requests a second, handed out as turns, in the order in which they are asked for.

    A turn is a moment at which one request may be sent: two turns are never closer than the budget allows, so a burst
    of waiting tasks becomes an even stream. A 429 halves the pace and holds every turn back for as long as the API
    asks; a minute without one doubles it again, up to the budget.

    :param budget: requests a second; 0 means no limit of our own (a 429's Retry-After is obeyed all the same)
    """

    budget: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    rate: float = field(init=False)
    _next: float = field(default=0.0, init=False, repr=False)
    _slowed_at: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        self.rate = self.budget

    def turn(self) -> float:
        """Take the next turn and return the seconds until it comes."""
        now = self.clock()
        self._recover(now)
        at = max(self._next, now)
        if self.rate:
            self._next = at + 1.0 / self.rate
        return at - now

    def share(self, waits: int) -> float:
        """Return the shortest pause, in seconds, with which so many waits keep within the budget together."""
        return waits / self.rate if self.rate else 0.0

    def slow_down(self, retry_after: float | None) -> None:
        """Take in a 429, with the seconds that the API asks to wait, if it does."""
        now = self.clock()
        self._next = max(self._next, now + min(retry_after or 0.0, RETRY_AFTER_CEILING))
        # One refusal comes as many, to all the requests that were under way.
        if self.rate and now - self._slowed_at >= 1.0:
            self.rate = max(SLOWEST, self.rate / 2)
            self._slowed_at = now
            log.warning("The API asks for fewer requests: going on with %.3g a second.", self.rate)

    def _recover(self, now: float) -> None:
        if self.rate < self.budget and now - self._slowed_at >= RECOVERY:
            self.rate = min(self.budget, self.rate * 2)
            self._slowed_at = now
