"""
Whether this process stood still: a machine that hangs, or is suspended, lets a triggerer miss its heartbeats.

Airflow then moves its triggers to another triggerer, and cancels them here once it is back, by the same hook as for a
user's action. What tells the two apart has to be known at once: Airflow repeats the cancellation every second, which ends
whatever the hook waits for.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from airflow_provider_laplas.airflow_compat import tolerated_standstill

TICK = 1.0
"""Seconds between two looks at the clock."""

RECENT = 30.0
"""Seconds after a stall in which a cancellation is its consequence; Airflow needs one or two."""


@dataclass
class _Clock:
    """
    What is known of one event loop.

    :ivar tolerated: seconds that a stall must have to be one: after a shorter one, Airflow moves nothing
    :ivar users: how many watch it now
    :ivar ticked_at: epoch seconds, as a suspended machine's other clocks stand still, too
    :ivar stall: how long the last one was, in seconds
    :ivar over_at: when it was over, in epoch seconds
    """

    tolerated: float
    users: int = 0
    ticked_at: float = 0.0
    stall: float = 0.0
    over_at: float = 0.0
    next_tick: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ticked_at = time.time()
        self.next_tick = loop.call_later(TICK, self._tick, loop)

    def stop(self) -> None:
        if self.next_tick is not None:
            self.next_tick.cancel()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.look()
        self.next_tick = loop.call_later(TICK, self._tick, loop)

    def look(self) -> None:
        now = time.time()
        if now - self.ticked_at >= self.tolerated + TICK:
            self.stall, self.over_at = now - self.ticked_at, now
        self.ticked_at = now


_clocks: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Clock]" = WeakKeyDictionary()


@contextmanager
def watched() -> Iterator[None]:
    """Watch the event loop of this coroutine inside the block; all blocks share one look a second."""
    loop = asyncio.get_running_loop()
    clock = _clocks.get(loop)
    if clock is None:
        clock = _clocks[loop] = _Clock(tolerated_standstill())
    clock.users += 1
    if clock.users == 1:
        clock.start(loop)
    try:
        yield
    finally:
        # It may end in the first moment after a stall, before the next look.
        clock.look()
        clock.users -= 1
        if not clock.users:
            clock.stop()


def recent_stall() -> float | None:
    """Return for how many seconds this event loop stood still, if that was over a moment ago; else None."""
    clock = _clocks.get(asyncio.get_running_loop())
    if clock is None or time.time() - clock.over_at > RECENT:
        return None
    return clock.stall
