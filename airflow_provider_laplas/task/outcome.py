"""What a step of a task comes to, and the one place that turns it into what Airflow calls it."""

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

BACKSTOP = 120.0
"""Seconds behind our own deadline at which Airflow ends the deferral, should the trigger not have done so."""


@dataclass(frozen=True, slots=True)
class Done:
    """The task is done, and returns the value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Defer:
    """
    A trigger goes on; its event resumes the task.

    :ivar timeout: after which Airflow resumes the task without one
    """

    trigger: BaseTrigger
    timeout: timedelta

    @classmethod
    def until(cls, deadline: float, trigger: BaseTrigger, execution_timeout: timedelta | None) -> "Defer":
        """
        Defer up to a deadline, in epoch seconds: Airflow counts deferred time towards no other time-out.

        It is the trigger that keeps the deadline; Airflow's time-out is for a trigger that does not.
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
    """Airflow's own error stands: it is worth a retry, which goes on."""


Outcome: TypeAlias = Done | Defer | Reschedule | Skip | LeaveToAirflow


def carry_out(
    operator: BaseOperator,
    step: Callable[[], Outcome],
    *,
    skip_errors: bool = False,
    leave: Callable[[], Any] | None = None,
) -> Any:
    """
    Take a step, and do in Airflow's terms what it comes to: return, defer, reschedule, skip or fail.

    :param skip_errors: whether the user chose, with ``soft_fail``, to have the task skipped instead of failed
    :param leave: what Airflow does of itself
    """
    try:
        outcome = step()
    except LaplasError as error:
        METRICS.failed(error)
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
