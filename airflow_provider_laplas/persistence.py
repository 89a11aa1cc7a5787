"""Writes that are repeated where they fail, because what they write is paid for."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.redaction import redact

log = logging.getLogger(__name__)

T = TypeVar("T")

WRITE_ATTEMPTS = 5
"""How often a write is tried at least, with growing pauses: some eight seconds in all."""

LONGEST_WRITE_PAUSE = 30.0
"""The longest pause, in seconds, between two tries to write."""


def persistently(write: Callable[..., T], *args: Any, until: float = 0.0) -> T:
    """
    Call what writes, again where it fails: what it writes is paid for. Blocking.

    An argument that is wrong is not repeated.

    :param until: epoch seconds up to which it is repeated at least
    :raises Exception: the last failure
    """
    value: T = Retrying(**_repeated(until))(write, *args)
    return value


async def apersistently(write: Callable[..., Awaitable[T]], *args: Any, until: float = 0.0) -> T:
    """Do what :func:`persistently` does, on the event loop."""
    value: T = await AsyncRetrying(**_repeated(until))(write, *args)
    return value


def _repeated(until: float) -> dict[str, Any]:
    return {
        "retry": retry_if_exception(_may_pass),
        "stop": stop_after_attempt(WRITE_ATTEMPTS) & stop_after_delay(until - time.time()),
        "wait": wait_exponential(multiplier=0.5, max=LONGEST_WRITE_PAUSE) + wait_random(0, 0.5),
        "before_sleep": _say,
        "reraise": True,
    }


def _may_pass(error: BaseException) -> bool:
    # A time-out of Airflow, a cancellation and a signal are no Exception: they end the task, and the writing with it.
    return isinstance(error, Exception) and not isinstance(error, LaplasArgumentError)


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    # A storage's outage is logged where it is noticed, once.
    level = logging.DEBUG if isinstance(error, LaplasStorageError) else logging.WARNING
    log.log(level, "A write failed; trying again in %.1f s: %s", pause, redact(repr(error)))
