"""
Polling a generation, without sending the requests: when to poll again, and what each result means.

The same :class:`Poller` serves a blocking loop, a sensor's poke and a trigger's event loop. They differ only in how
they send requests and how they sleep::

    while not (generation := poller.observe(client.poll(generation_id))):
        sleep(poller.pause())
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_laplas.api.calls import check_generation_id
from airflow_provider_laplas.api.responses import RETENTION, Generation, State
from airflow_provider_laplas.api.retry import backoff
from airflow_provider_laplas.arguments import check_seconds
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasAuthenticationError,
    LaplasConfigurationError,
    LaplasError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
)

log = logging.getLogger(__name__)

DEFAULT_POLL_INTERVAL = 10.0
"""The longest pause between two polls, in seconds: the interval of the vendor's own client."""

DEFAULT_TIMEOUT = RETENTION
"""The total time to wait, in seconds: as long as the API keeps a result."""

SHORTEST_PAUSE = 1.0
"""The shortest pause between two polls, in seconds."""

GROWTH = 0.15
"""Each pause is this share of the time waited so far, which bounds how late a completion is noticed."""

LAST_POLLS = 4
"""The most polls to make in a row past the deadline while they fail."""

SETTLING = 10.0
"""Seconds after a submission during which the API may not know the new id yet."""

ENDS_A_WAIT = (
    LaplasArgumentError,
    LaplasAuthenticationError,
    LaplasConfigurationError,
    LaplasGenerationGoneError,
)
"""Errors that end a wait. After any other error, polling continues."""


def next_pause(
    waited: float,
    *,
    poll_interval: float = DEFAULT_POLL_INTERVAL,
    rng: Callable[[], float] = random.random,
) -> float:
    """
    Return the seconds until the next poll of an unfinished generation.

    The pause grows with the time waited, from :data:`SHORTEST_PAUSE` up to ``poll_interval``, so that short clips are
    noticed quickly and long ones cost no more requests than the vendor's fixed interval. A jitter of 10 % either way
    keeps waits that started together from polling together.

    :param waited: seconds since the wait began
    :param poll_interval: the longest pause, in seconds
    :param rng: a number from 0 to 1
    """
    pause = min(max(SHORTEST_PAUSE, GROWTH * max(waited, 0.0)), poll_interval)
    return min(pause * (0.9 + 0.2 * rng()), poll_interval)


@dataclass(slots=True)
class Poller:
    """
    The polling schedule of one wait for one generation, and the outcome of each poll, up to an absolute deadline.

    :param generation_id: the generation to wait for
    :param deadline: epoch seconds; after it there is one last poll
    :param poll_interval: the longest pause between two polls, in seconds
    :param submitted_at: epoch seconds of the submission, if known; an id that is not found within
        :data:`SETTLING` seconds of it is polled again
    :param started: epoch seconds at which the wait began, for example before the task was rescheduled. Default: the
        submission's time, or now
    :param log_level: the level for a new status and for repeated poll failures. Default INFO; the first failure in a
        row and an unknown status are always logged as WARNING
    :ivar status: the last status received
    :ivar completed: whether the generation is completed
    :ivar polls: the number of polls
    :ivar failed_polls: the number of polls that returned no status
    :raises LaplasArgumentError: if an argument is invalid
    """

    generation_id: str
    deadline: float
    poll_interval: float = DEFAULT_POLL_INTERVAL
    submitted_at: float | None = None
    started: float | None = None
    log_level: int = logging.INFO
    clock: Callable[[], float] = field(default=time.time, repr=False)
    rng: Callable[[], float] = field(default=random.random, repr=False)
    status: str | None = field(default=None, init=False)
    completed: bool = field(default=False, init=False)
    polls: int = field(default=0, init=False)
    failed_polls: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False, repr=False)
    _error: LaplasError | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_generation_id(self.generation_id)
        check_seconds("poll_interval", self.poll_interval)
        if self.started is None:
            self.started = self.clock() if self.submitted_at is None else self.submitted_at

    def observe(self, outcome: Generation | LaplasError) -> Generation | None:
        """
        Process the result of one poll, or its error.

        A failed poll does not end the wait, because the generation is running and paid for. A rejected key, an id that
        the API does not know, and the deadline do.

        :return: the generation once it is completed, otherwise None
        :raises LaplasGenerationFailedError: the API could not transcribe it
        :raises LaplasGenerationGoneError: the API does not know it
        :raises LaplasGenerationTimeoutError: the deadline has passed
        :raises LaplasAuthenticationError: the API rejected the key
        """
        self.polls += 1
        if isinstance(outcome, LaplasError):
            self._note_failure(outcome)
        elif self._note_status(outcome):
            return outcome
        # A failed poll does not count as the last one, up to LAST_POLLS of them.
        if self.clock() >= self.deadline and not 0 < self._failures < LAST_POLLS:
            raise self.timed_out()
        return None

    def pause(self) -> float:
        """Return the seconds until the next poll. The last poll is at the deadline, and is retried if it fails."""
        now = self.clock()
        pause = next_pause(now - (self.started or now), poll_interval=self.poll_interval, rng=self.rng)
        if self._failures:
            ceiling = max(self.poll_interval, SHORTEST_PAUSE)
            pause = max(pause, backoff(self._failures, self._error, ceiling=ceiling, rng=self.rng))
        left = self.deadline - now
        return pause if left <= 0 and self._failures else max(0.0, min(pause, left))

    def left(self) -> float:
        """Return the seconds until the deadline; less than 0 after it."""
        return self.deadline - self.clock()

    def timed_out(self, why: str = "was not done by its deadline") -> LaplasGenerationTimeoutError:
        """Return the error for a wait that ended without a result."""
        last = f" The last poll failed: {self._error}" if self._error else ""
        return LaplasGenerationTimeoutError(
            f"Generation {self.generation_id} {why}; its last status was "
            f"{self.status or 'never seen'}.{last} It goes on at the API and is billed. Resume the wait within the "
            f'hour for which the API keeps the result: STTCompletionSensor(generation_id="{self.generation_id}").',
            generation_id=self.generation_id,
            status=self.status,
        )

    def counted(self) -> tuple[int, int, float | None]:
        """Return the metrics of a finished wait: polls, failed polls, seconds from submission to completion."""
        seen = self.completed and self.submitted_at is not None
        return self.polls, self.failed_polls, self.clock() - (self.submitted_at or 0.0) if seen else None

    def _note_failure(self, error: LaplasError) -> None:
        settling = (
            isinstance(error, LaplasGenerationGoneError)
            and self.submitted_at is not None
            and self.clock() - self.submitted_at < SETTLING
        )
        if isinstance(error, ENDS_A_WAIT) and not settling:
            raise error
        self._failures += 1
        self.failed_polls += 1
        self._error = error
        log.log(
            logging.WARNING if self._failures == 1 else self.log_level,
            "Polling generation %s failed (%s in a row), polling again: %s",
            self.generation_id,
            self._failures,
            error,
        )

    def _note_status(self, generation: Generation) -> bool:
        self._failures, self._error = 0, None
        if generation.status != self.status:
            self.status = generation.status
            log.log(
                self.log_level if generation.known else logging.WARNING,
                "Generation %s is %s%s.",
                self.generation_id,
                generation.status,
                "" if generation.known else ", a status that is not known: treated as not done yet",
            )
        if generation.state is State.FAILED:
            raise LaplasGenerationFailedError(
                f"The API could not transcribe generation {self.generation_id}: {generation.reason}. "
                "Correct what the reason names, and clear the task that submitted it: that submits again.",
                generation_id=self.generation_id,
                reason=generation.reason,
            )
        self.completed = generation.state is State.COMPLETED
        return self.completed
