"""
What is counted through Airflow's metrics; where none are configured, nothing is sent.

==============================  ====================================================================
``laplas.submissions``          generations that were submitted, and so billed
``laplas.polls``                looks of waits at their generations
``laplas.retries``              requests that were sent again, and looks that failed
``laplas.audio_seconds``        seconds of finished audio
``laplas.time_to_completion``   from a submission to the look that saw it completed
``laplas.failures.KIND``        tasks and files that failed, by the name of their error
==============================  ====================================================================
"""

import time
from datetime import timedelta

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.waiting import Wait


def submitted() -> None:
    """Count a submission."""
    Stats.incr("laplas.submissions")


def retried(times: int = 1) -> None:
    """Count requests that are sent again."""
    if times:
        Stats.incr("laplas.retries", times)


def waited(wait: Wait) -> None:
    """
    Count the looks of a wait that is over: once for all of them, as they are many.

    Every loop that looks calls this in its ``finally``. A context manager would be one more object for each of
    thousands of waits.
    """
    if wait.looks:
        Stats.incr("laplas.polls", wait.looks)
    retried(wait.failed_looks)
    if wait.completed and wait.submitted_at is not None:
        Stats.timing("laplas.time_to_completion", timedelta(seconds=time.time() - wait.submitted_at))


def finished(audio_seconds: float | None) -> None:
    """Count finished audio."""
    if audio_seconds:
        Stats.incr("laplas.audio_seconds", round(audio_seconds))


def failed(error: LaplasError) -> None:
    """Count a failure by its kind: ``LaplasGenerationGoneError`` is ``laplas.failures.generation_gone``."""
    Stats.incr(f"laplas.failures.{error.kind}")
