"""The outcomes of a task's step, and their translation for Airflow."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import pendulum

from airflow_provider_laplas.airflow_compat import (
    METRICS,
    AirflowSkipException,
    BaseOperator,
    BaseTrigger,
    reschedule_at,
)
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.exceptions import as_airflow_error

log = logging.getLogger(__name__)

ERROR_KEY = "error"
"""The XCom key of the error that ended a task's last try: its ``type`` and its ``message``."""

ERROR_LIMIT = 500
"""The most characters of that message."""

BACKSTOP = 120.0
"""Seconds after our own deadline at which Airflow ends the deferral, if the trigger has not."""


@dataclass(frozen=True, slots=True)
class Done:
    """The task is done and returns the value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Defer:
    """
    The task defers to a trigger, whose event resumes it.

    :ivar timeout: after which Airflow resumes the task without an event
    """

    trigger: BaseTrigger
    timeout: timedelta

    @classmethod
    def until(cls, deadline: float, trigger: BaseTrigger, execution_timeout: timedelta | None) -> "Defer":
        """
        Defer up to a deadline, in epoch seconds, or ``execution_timeout``, which Airflow does not enforce meanwhile.

        The trigger enforces the deadline; Airflow's timeout is for a trigger that does not.
        """
        timeout = timedelta(seconds=max(deadline - time.time(), 0.0) + BACKSTOP)
        return cls(trigger, timeout if execution_timeout is None else min(timeout, execution_timeout))


@dataclass(frozen=True, slots=True)
class Reschedule:
    """
    The task is run again.

    :ivar seconds: from now
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Skip:
    """The task is skipped, for a reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class LeaveToAirflow:
    """Airflow's own error stands: a retry will continue the work."""


Outcome: TypeAlias = Done | Defer | Reschedule | Skip | LeaveToAirflow


def carry_out(
    operator: BaseOperator,
    step: Callable[[], Outcome],
    *,
    ti: Any,
    skip_errors: bool = False,
    leave: Callable[[], Any] | None = None,
) -> Any:
    """
    Run a step, and translate its outcome for Airflow: return, defer, reschedule, skip or fail.

    :param ti: the running task instance, whose XCom :data:`ERROR_KEY` an error becomes
    :param skip_errors: whether an error skips the task instead of failing it
    :param leave: Airflow's default behaviour
    """
    try:
        outcome = step()
    except LaplasError as error:
        METRICS.failed(error)
        _leave_word(error, ti)
        if skip_errors:
            raise AirflowSkipException(f"Skipped, as soft_fail or never_fail says: {error}") from None
        raise as_airflow_error(error) from None
    match outcome:
        case Defer(trigger, timeout):
            operator.defer(trigger=trigger, method_name="execute_complete", timeout=timeout)
        case Reschedule(seconds):
            raise reschedule_at(pendulum.now("UTC") + timedelta(seconds=seconds))
        case Skip(reason):
            raise AirflowSkipException(reason)
        case LeaveToAirflow():
            return leave() if leave else None
    return outcome.value


def _leave_word(error: LaplasError, ti: Any) -> None:
    """Push the error as an XCom, where people and other tasks find it; the log has it in any case."""
    text = error.message
    shown = text if len(text) <= ERROR_LIMIT else f"{text[: ERROR_LIMIT - 1]}…"
    try:
        ti.xcom_push(key=ERROR_KEY, value={"type": type(error).__name__, "message": shown})
    except Exception:
        log.exception("The error of this task could not be pushed as an XCom.")
