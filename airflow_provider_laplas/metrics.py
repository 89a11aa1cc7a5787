"""
The package's metrics. Pure; tasks send them as Airflow metrics.

==============================  ====================================================================
``laplas.submissions``          generations that were submitted, and are billed
``laplas.polls``                polls of generations
``laplas.retries``              requests that were sent again, and polls that failed
``laplas.audio_seconds``        seconds of finished audio
``laplas.time_to_completion``   from a submission to the poll that saw it completed
``laplas.failures.KIND``        tasks and files that failed, by error
==============================  ====================================================================
"""

from datetime import timedelta
from typing import Protocol

from airflow_provider_laplas.errors import LaplasError


class Stats(Protocol):
    """The part of Airflow's ``Stats`` that is used here."""

    def incr(self, stat: str, count: int = 1) -> object:
        """Add to a counter."""

    def timing(self, stat: str, dt: timedelta) -> object:
        """Record a duration."""


class Metrics:
    """
    Sends the metrics.

    :param stats: where to send them; None sends nothing
    """

    def __init__(self, stats: Stats | None = None) -> None:
        self._stats = stats

    def submitted(self) -> None:
        """Count a submission."""
        self._incr("laplas.submissions")

    def retried(self, times: int = 1) -> None:
        """Count retried requests."""
        self._incr("laplas.retries", times)

    def waited(self, polls: int, failed_polls: int, seconds: float | None) -> None:
        """
        Count the polls of a finished wait, in one call because there are many.

        :param failed_polls: how many of them returned no status
        :param seconds: from the submission to the completion; None if either is unknown
        """
        self._incr("laplas.polls", polls)
        self.retried(failed_polls)
        if seconds is not None and self._stats is not None:
            self._stats.timing("laplas.time_to_completion", timedelta(seconds=seconds))

    def finished(self, audio_seconds: float | None) -> None:
        """Count finished audio."""
        self._incr("laplas.audio_seconds", round(audio_seconds or 0.0))

    def failed(self, error: LaplasError) -> None:
        """Count a failure by its kind: ``LaplasGenerationGoneError`` is ``laplas.failures.generation_gone``."""
        self._incr(f"laplas.failures.{error.kind}")

    def _incr(self, name: str, count: int = 1) -> None:
        if self._stats is not None and count:
            self._stats.incr(name, count)


NO_METRICS = Metrics()
"""Sends nothing."""
