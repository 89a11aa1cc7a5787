"""
Everything that the package uses from Airflow that is private, or differs between versions.

The other modules import Airflow's names from here. Heavy modules are imported at their first use, because every DAG
file imports this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    AssetAlias,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    Connection,
    Context,
)
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_laplas.metrics import Metrics
from airflow_provider_laplas.redaction import redacted

try:
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferralError,
    )
    from airflow.sdk.observability.stats import Stats
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.exceptions import (  # type: ignore[attr-defined,no-redef]
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferralError,
    )
    from airflow.stats import Stats

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import (
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
    "delete_variable",
    "determine_kwargs",
    "forgets_on_success",
    "form_widgets",
    "get_variable",
    "get_xcom",
    "keep_for_ever",
    "option",
    "push_outputs",
    "reschedule_at",
    "set_variable",
    "set_xcom",
    "task_decorator_factory",
    "trigger_failure",
]

# Imported at their first use: only @task.transcribe needs them.
_OF_DECORATORS = frozenset(
    {"DecoratedOperator", "TaskDecorator", "determine_kwargs", "task_decorator_factory"}
)

METRICS = Metrics(Stats)
"""Sends Airflow metrics; does nothing if Airflow has none configured."""

_TRIGGER_FAILED = "__fail__"
"""Airflow's ``next_method`` for a task whose trigger failed or timed out."""

_TRIGGER_TIMEOUT = "Trigger timeout"
"""The error in ``next_kwargs`` if the deferral timed out."""


class RenderedOperator(BaseOperator):
    """
    An operator whose templated fields hold, once they are rendered, what may be shown of them.

    Airflow stores and shows these fields before the task runs. What they really are is returned by :meth:`given`.
    """

    _hidden: Mapping[str, tuple[Any, Any]] = MappingProxyType({})

    def given(self, field: str) -> Any:
        """Return the value of a field with its secrets, or what the field has been changed to since."""
        current = getattr(self, field)
        shown, value = self._hidden.get(field, (current, current))
        # Strings may have been copied.
        return value if current is shown or (isinstance(shown, str) and current == shown) else current

    def show(self, field: str, value: Any) -> None:
        """Set a field to what may be shown of a value."""
        shown = redacted(value)
        # One that is rendered again holds what was shown of it.
        if shown is not value:
            self._hidden = {**self._hidden, field: (shown, value)}
        setattr(self, field, shown)

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        super()._do_render_template_fields(parent, *args, **kwargs)
        # Overridden instead of render_template_fields, because mapped tasks call only this method.
        if parent is self:
            for field in self.template_fields:
                self.show(field, getattr(self, field))


@dataclass(frozen=True, slots=True)
class TriggerFailure:
    """
    Why Airflow resumes a task without an event from its trigger.

    :ivar reason: Airflow's message
    :ivar timed_out: whether the deferral timed out; otherwise the trigger failed
    :ivar traceback: the trigger's, if it failed
    """

    reason: str
    timed_out: bool
    traceback: str = ""


def trigger_failure(next_method: str, next_kwargs: Mapping[str, Any] | None) -> TriggerFailure | None:
    """Return why a task is resumed without an event; None if its trigger sent one."""
    if next_method != _TRIGGER_FAILED:
        return None
    said = next_kwargs or {}
    reason = str(said.get("error", "no reason given"))
    return TriggerFailure(reason, reason == _TRIGGER_TIMEOUT, "\n".join(said.get("traceback") or ()))


def reschedule_at(time: datetime) -> BaseException:
    """Return the exception that reschedules a sensor."""
    return AirflowRescheduleException(time)


def argument_names(operator: type[BaseOperator]) -> set[str]:
    """Return the arguments of an operator and its bases; empty if Airflow does not expose them."""
    known: set[str] = set()
    for base in operator.__mro__:
        known.update(getattr(vars(base).get("__init__"), "_BaseOperatorMeta__param_names", ()))
    return known


def option(name: str) -> str:
    """Return an option from the section ``laplas`` of Airflow's configuration; empty if it is not set."""
    value: str = _configuration().get("laplas", name, fallback="")
    return value


def _configuration() -> Any:
    try:
        from airflow.sdk.configuration import conf  # noqa: PLC0415
    except ImportError:  # Airflow 3.0 and 3.1
        from airflow.configuration import conf  # noqa: PLC0415

    return conf


def keep_for_ever(store: Any, key: str, value: str) -> None:
    """
    Write to a task's state store what Airflow keeps as long as the DAG run, whatever its usual retention. Blocking.

    With ``[state_store] clear_on_success`` it goes with the task's success all the same.
    """
    from airflow.sdk.execution_time.context import NEVER_EXPIRE  # noqa: PLC0415

    store.set(key, value, retention=NEVER_EXPIRE)


def tolerated_standstill() -> float:
    """Return for how many seconds a triggerer can stand still before Airflow may move its triggers to another one."""
    conf = _configuration()
    dead_after = conf.getfloat("triggerer", "triggerer_health_check_threshold", fallback=30.0)
    # Its last heartbeat may be that old when it comes to a standstill.
    return float(dead_after - conf.getfloat("triggerer", "job_heartbeat_sec", fallback=5.0))


def forgets_on_success() -> bool:
    """Return whether Airflow empties a task's state store once the task succeeds."""
    return bool(_configuration().getboolean("state_store", "clear_on_success", fallback=False))


def push_outputs(operator: BaseOperator, ti: Any, value: Any) -> None:
    """
    With ``multiple_outputs``, push what a task returns by its keys, but for those without a value. Blocking.

    In Airflow 3.0 only, which fails where a key has no value. Newer ones push all keys, also what a subclass adds.
    """
    import airflow.sdk  # noqa: PLC0415

    if hasattr(airflow.sdk, "BaseHook"):  # Airflow 3.1 and newer
        return
    # The operator may be executed again.
    wanted = vars(operator).setdefault("_pushes_outputs", operator.multiple_outputs)
    if not (wanted and operator.do_xcom_push and isinstance(value, Mapping)):
        return
    for key, one in value.items():
        if one is not None:
            ti.xcom_push(key=key, value=one)
    operator.multiple_outputs = False


def get_variable(key: str) -> str | None:
    """
    Return an Airflow Variable of the metadata database; None if there is none. Blocking; in a worker only.

    :raises AirflowRuntimeError: if Airflow cannot tell, which ``Variable.get`` takes for none
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType  # noqa: PLC0415
    from airflow.sdk.execution_time.comms import GetVariable  # noqa: PLC0415

    try:
        value: str | None = _ask_supervisor(GetVariable(key=key)).value
    except AirflowRuntimeError as error:
        if error.error.error is not ErrorType.VARIABLE_NOT_FOUND:
            raise
        return None
    return value


def set_variable(key: str, value: str, description: str) -> None:
    """
    Write an Airflow Variable to the metadata database. Blocking; in a worker only.

    :raises AirflowRuntimeError: if it cannot be written, which ``Variable.set`` only logs
    """
    from airflow.sdk.execution_time.comms import PutVariable  # noqa: PLC0415

    _ask_supervisor(PutVariable(key=key, value=value, description=description))


def delete_variable(key: str) -> None:
    """
    Delete an Airflow Variable from the metadata database. Blocking; in a worker only.

    :raises AirflowRuntimeError: if it cannot be deleted
    """
    from airflow.sdk.execution_time.comms import DeleteVariable  # noqa: PLC0415

    _ask_supervisor(DeleteVariable(key=key))


def _ask_supervisor(message: Any) -> Any:
    from airflow.sdk.exceptions import AirflowRuntimeError  # noqa: PLC0415
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415
    from airflow.sdk.execution_time.comms import ErrorResponse  # noqa: PLC0415

    reply = task_runner.SUPERVISOR_COMMS.send(message)
    if isinstance(reply, ErrorResponse):
        raise AirflowRuntimeError(reply)
    return reply


def set_xcom(key: str, value: Any, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
    """Write an XCom of any task instance; works in a trigger as well. Blocking."""
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

    XCom.set(key, value, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)


def get_xcom(key: str, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
    """Return an XCom of any task instance; None if there is none. Blocking."""
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

    return XCom.get_one(key=key, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)


def connection_fields(hook: Any, conn_id: str) -> dict[str, Any]:
    """
    Look up a connection and return its fields: host, schema, port, password and extra. Blocking.

    :param hook: the hook that needs it
    :raises AirflowNotFoundException: if it does not exist
    """
    connection = hook.get_connection(conn_id)
    return _fields(connection, connection.extra_dejson)


async def aconnection_fields(hook: Any, conn_id: str) -> dict[str, Any]:
    """Async version of :func:`connection_fields`."""
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    if not hasattr(Connection, "aextra_dejson"):
        # Before Airflow 3.3.2 there is nothing asynchronous in it: secrets are masked by a blocking call to the supervisor.
        return await sync_to_async(connection_fields, thread_sensitive=False)(hook, conn_id)
    connection = await hook.aget_connection(conn_id)
    return _fields(connection, await connection.aextra_dejson())


def _fields(connection: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    names = ("host", "schema", "port", "password")
    return {**{name: getattr(connection, name) for name in names}, "extra": extra}


def form_widgets(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """
    Return fields of a connection's extra as Airflow 3.0 and 3.1 want them; newer ones read the registration.

    :param fields: by their names: ``label``, ``description``, ``type`` (JSON's) and, of what is secret, ``format``
    """
    # Airflow's API server stands in for these where they are not installed.
    from wtforms import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415
        BooleanField,
        IntegerField,
        PasswordField,
        StringField,
    )

    kinds = {"boolean": BooleanField, "integer": IntegerField}
    return {
        name: (PasswordField if "format" in field else kinds.get(field["type"], StringField))(
            field["label"], description=field["description"]
        )
        for name, field in fields.items()
    }


def __getattr__(name: str) -> Any:
    """Import the names that only decorators need."""
    if name not in _OF_DECORATORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module("airflow.sdk.bases.decorator")
    if not hasattr(module, name):  # Airflow 3.0 and 3.1
        module = import_module("airflow.utils.operator_helpers")
    return getattr(module, name)
