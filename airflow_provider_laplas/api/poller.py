"""
Polling a generation, without the requests: when to poll again, and what each poll means.

The same :class:`Poller` serves a blocking loop, a sensor's poke and a trigger's event loop. They differ in nothing but
how they send and how they sleep::

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
"""The longest pause between two polls, in seconds: what the vendor's own client waits."""

DEFAULT_TIMEOUT = RETENTION
"""How long to wait in all, in seconds: as long as the API keeps a result."""

SHORTEST_PAUSE = 1.0
"""The shortest pause between two polls, in seconds."""

GROWTH = 0.15
"""A pause is this share of the time waited so far: a clip is seen done at most that much late."""

LAST_POLLS = 4
"""How many polls there are past the deadline, as long as they fail."""

SETTLING = 10.0
"""Seconds after a submission in which an unknown id may only not have arrived everywhere yet."""

ENDS_A_WAIT = (
    LaplasArgumentError,
    LaplasAuthenticationError,
    LaplasConfigurationError,
    LaplasGenerationGoneError,
)
"""What waiting longer cannot mend. Every other error is a failed poll, no more."""


def next_pause(
    waited: float,
    *,
    poll_interval: float = DEFAULT_POLL_INTERVAL,
    rng: Callable[[], float] = random.random,
) -> float:
    """
    Return the seconds until the next poll of a generation that is not done.

    Short clips are seen done quickly and long ones cost no more requests than the vendor's fixed pause: the pause
    grows with the time waited, from :data:`SHORTEST_PAUSE` up to ``poll_interval``, and varies by a tenth each way
    so that waits which began together do not stay together.

    :param waited: seconds since the wait began
    :param poll_interval: the longest pause, in seconds
    :param rng: a number from 0 to 1
    """
    pause = min(max(SHORTEST_PAUSE, GROWTH * max(waited, 0.0)), poll_interval)
    return min(pause * (0.9 + 0.2 * rng()), poll_interval)


@dataclass(slots=True)
class Poller:
    """
    The schedule and the verdicts of one wait for one generation, up to an absolute deadline.

    :param generation_id: what is waited for
    :param deadline: epoch seconds; past it there is one poll, which takes what is finished
    :param poll_interval: the longest pause between two polls, in seconds
    :param submitted_at: epoch seconds of the submission where it is known; an id that is not found within
        :data:`SETTLING` seconds of it is polled again
    :param started: epoch seconds at which the waiting began, if not at the submission or now; a task that is
        rescheduled goes on waiting
    :param log_level: the level at which a new status, and a poll that fails once more, are logged. Default INFO; the
        first failure in a row and a status that is not known are warnings whatever it is
    :ivar status: the last status that was seen
    :ivar completed: whether the generation was seen completed
    :ivar polls: how many polls there were
    :ivar failed_polls: how many of them saw no status
    :raises LaplasArgumentError: where an argument cannot be right
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
        if not self.poll_interval > 0:
            raise LaplasArgumentError(
                "`poll_interval` must be more than 0 seconds.", argument="poll_interval"
            )
        if self.started is None:
            self.started = self.clock() if self.submitted_at is None else self.submitted_at

    def observe(self, outcome: Generation | LaplasError) -> Generation | None:
        """
        Take in one poll, or the error that it ended in.

        A failed poll does not end a wait: the generation is running and paid for. What ends it is a refused key, an
        id that the API does not know, and the deadline.

        :return: the generation once it is completed, None as long as it is not
        :raises LaplasGenerationFailedError: the API could not transcribe it
        :raises LaplasGenerationGoneError: the API does not know it
        :raises LaplasGenerationTimeoutError: the deadline has passed
        :raises LaplasAuthenticationError: the key is refused
        """
        self.polls += 1
        if isinstance(outcome, LaplasError):
            self._note_failure(outcome)
        elif self._note_status(outcome):
            return outcome
        # A poll that failed is no last poll, but some are enough.
        if self.clock() >= self.deadline and not 0 < self._failures < LAST_POLLS:
            raise self.timed_out()
        return None

    def pause(self) -> float:
        """Return the seconds until the next poll; the last poll falls on the deadline, and is repeated where it fails."""
        now = self.clock()
        pause = next_pause(now - (self.started or now), poll_interval=self.poll_interval, rng=self.rng)
        if self._failures:
            ceiling = max(self.poll_interval, SHORTEST_PAUSE)
            pause = max(pause, backoff(self._failures, self._error, ceiling=ceiling, rng=self.rng))
        left = self.deadline - now
        return pause if left <= 0 and self._failures else max(0.0, min(pause, left))

    def timed_out(self, why: str = "was not done by its deadline") -> LaplasGenerationTimeoutError:
        """Return the error for a wait that is given up."""
        last = f" The last poll failed: {self._error}" if self._error else ""
        return LaplasGenerationTimeoutError(
            f"Generation {self.generation_id} {why}; its last status was {self.status or 'never seen'}.{last} It goes on at the API and is billed. Take it up again within the "
            f'hour for which the API keeps it: STTCompletionSensor(generation_id="{self.generation_id}").',
            generation_id=self.generation_id,
            status=self.status,
        )

    def counted(self) -> tuple[int, int, float | None]:
        """Return what metrics take of a wait that is over: polls, failed polls, seconds from submission to completion."""
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
                "" if generation.known else ", a status that is not known: taken as not done yet",
            )
        if generation.state is State.FAILED:
            raise LaplasGenerationFailedError(
                f"The API could not transcribe generation {self.generation_id}: {generation.reason}. See "
                "whether the audio is reachable and playable; a Clear submits it again.",
                generation_id=self.generation_id,
                reason=generation.reason,
            )
        self.completed = generation.state is State.COMPLETED
        return self.completed
