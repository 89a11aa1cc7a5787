"""
All that is taken from Airflow and is private to it, or differs between its versions; and Airflow's side of our ports.

Everything else of the package imports Airflow's names from here. What is heavy is imported when it is first used: every
DAG file pays for this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    Asset,
    AssetAlias,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    Context,
    Stats,
)
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferralError
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_laplas.metrics import Metrics

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import (
        DecoratedOperator,
        TaskDecorator,
        determine_kwargs,
        task_decorator_factory,
    )

__all__ = [
    "METRICS",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "Asset",
    "AssetAlias",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "Context",
    "DecoratedOperator",
    "RenderedOperator",
    "TaskDecorator",
    "TaskDeferralError",
    "TriggerEvent",
    "TriggerFailure",
    "aconnection_fields",
    "argument_names",
    "connection_fields",
    "determine_kwargs",
    "get_xcom",
    "option",
    "reschedule_at",
    "set_xcom",
    "task_decorator_factory",
    "trigger_failure",
]

# Only what uses @task.transcribe needs these.
_OF_DECORATORS = frozenset(
    {"DecoratedOperator", "TaskDecorator", "determine_kwargs", "task_decorator_factory"}
)

METRICS = Metrics(Stats)
"""Counts through Airflow's metrics; where none are configured, nothing is sent."""

_TRIGGER_FAILED = "__fail__"
"""Airflow's ``next_method`` for a task whose trigger failed or timed out."""

_TRIGGER_TIMEOUT = "Trigger timeout"
"""What Airflow's ``next_kwargs`` then say of a deferral's own time-out."""


class RenderedOperator(BaseOperator):
    """An operator that is told when its templates have been filled in, before Airflow stores and shows them."""

    def after_rendering(self) -> None:
        """Take note that the operator's own fields are rendered. By default nothing is done."""

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        super()._do_render_template_fields(parent, *args, **kwargs)
        # This one method, and not render_template_fields, is what a mapped task calls as well.
        if parent is self:
            self.after_rendering()


@dataclass(frozen=True, slots=True)
class TriggerFailure:
    """
    Why Airflow resumes a task though its trigger sent no event.

    :ivar reason: in Airflow's words
    :ivar timed_out: whether the deferral's own time-out has passed; else the trigger broke
    :ivar traceback: of the trigger, where it broke
    """

    reason: str
    timed_out: bool
    traceback: str = ""


def trigger_failure(next_method: str, next_kwargs: Mapping[str, Any] | None) -> TriggerFailure | None:
    """Return why a task is resumed without an event; None where its trigger sent one."""
    if next_method != _TRIGGER_FAILED:
        return None
    said = next_kwargs or {}
    reason = str(said.get("error", "no reason given"))
    return TriggerFailure(reason, reason == _TRIGGER_TIMEOUT, "\n".join(said.get("traceback") or ()))


def reschedule_at(time: datetime) -> BaseException:
    """Return what a sensor raises to be run again at a time."""
    return AirflowRescheduleException(time)


def argument_names(operator: type[BaseOperator]) -> set[str]:
    """Return the arguments that an operator and its bases take; empty where Airflow does not say."""
    known: set[str] = set()
    for base in operator.__mro__:
        known.update(getattr(vars(base).get("__init__"), "_BaseOperatorMeta__param_names", ()))
    return known


def option(name: str) -> str:
    """Return a text of Airflow's configuration, section ``laplas``; empty where it is not set."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415

    value: str = conf.get("laplas", name, fallback="")
    return value


def set_xcom(key: str, value: Any, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
    """Write an XCom of any task instance; works in a trigger as well. Blocking."""
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

    XCom.set(key, value, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)


def get_xcom(key: str, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
    """Return an XCom of any task instance, None where there is none. Blocking."""
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

    return XCom.get_one(key=key, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)


def connection_fields(hook: Any, conn_id: str) -> dict[str, Any]:
    """
    Look a connection up and return its fields: host, schema, port, password and extra. Blocking.

    :param hook: the hook that asks
    :raises AirflowNotFoundException: where there is none
    """
    connection = hook.get_connection(conn_id)
    return _fields(connection, connection.extra_dejson)


async def aconnection_fields(hook: Any, conn_id: str) -> dict[str, Any]:
    """Do what :func:`connection_fields` does, on the event loop."""
    from airflow.providers.common.compat.connection import (  # noqa: PLC0415
        get_async_connection,
        get_async_extra_dejson,
    )

    connection = await get_async_connection(conn_id, hook=hook)
    return _fields(connection, await get_async_extra_dejson(connection))


def _fields(connection: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    names = ("host", "schema", "port", "password")
    return {**{name: getattr(connection, name) for name in names}, "extra": extra}


def __getattr__(name: str) -> Any:
    """Return what decorators are made of, importing it now."""
    if name not in _OF_DECORATORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("airflow.providers.common.compat.sdk"), name)
