"""A batch's progress, for the log."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from airflow_provider_laplas.batch import timing
from airflow_provider_laplas.manifest.files import FileState
from airflow_provider_laplas.manifest.state import Tally

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """
    Logs a batch's progress at intervals: files done and under way, the rate, and the time left.

    :param tally: the batch's; files that are already done do not count towards the rate
    """

    tally: Tally
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    _began: float = field(init=False, repr=False)
    _said: float = field(init=False, repr=False)
    _done_before: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._began = self._said = self.clock()
        self._done_before = self._done()

    def say(self, *, now: bool = False) -> None:
        """Log a line, at most once per interval unless ``now`` is set."""
        clock = self.clock()
        if not now and clock - self._said < timing.REPORT_EVERY:
            return
        self._said = clock
        total, done = self.tally.total, self._done()
        under_way = self.tally.states[FileState.SUBMITTED]
        # A rate over a second or two means nothing.
        took = clock - self._began
        rate = (done - self._done_before) / took if took >= timing.SHORTEST_RATE else 0.0
        how_fast = f", {3600 * rate:.0f} an hour" if rate else ""
        left = (
            f", about {timedelta(seconds=round((total - done) / rate))} left" if rate and done < total else ""
        )
        log.info("%d of %d files done, %d under way%s%s.", done, total, under_way, how_fast, left)

    def _done(self) -> int:
        return self.tally.total - self.tally.unfinished
