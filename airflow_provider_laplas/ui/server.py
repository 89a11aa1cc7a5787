"""
Everything that the pages use from Airflow's API server: who may read, and what the metadata database holds.

The only module of the pages that imports Airflow. All that it reads is of one task instance, which is named as a whole.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.connection import Connection
from airflow.models.dag import DagModel
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from fastapi import Depends
from sqlalchemy import bindparam, select

from airflow_provider_laplas.results.keeping import TaskKey

__all__ = [
    "MAY_READ_TASK",
    "GetUserDep",
    "Instance",
    "SessionDep",
    "Value",
    "claims_of",
    "connection_extra",
    "find_instance",
    "find_value",
    "hook_of",
    "may_read_all",
    "may_read_xcoms",
    "release",
]

_MAY_WAIT = frozenset({"deferred", "queued", "scheduled"})
_LARGE = frozenset({"return_value", "reply"})

# Both look at the query's dag_id, of which there is exactly one: see `task_key`.
MAY_READ_TASK = [
    Depends(requires_access_dag("GET", DagAccessEntity.XCOM)),
    Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE)),
]
"""What a route depends on that tells of a task instance: its user may read its XComs and itself."""


@dataclass(frozen=True, slots=True)
class Instance:
    """
    One task instance, as the database has it.

    :ivar operator: the operator's class name
    :ivar custom_operator: the name that a decorator's operator shows
    :ivar deferred: whether it waits in the triggerer, or has come back from there
    :ivar trigger: the name of its trigger's class; None if it has none
    :ivar arguments: its trigger's
    :ivar fields: its rendered fields, redacted; empty where Airflow has deleted them
    """

    key: TaskKey
    operator: str
    custom_operator: str
    state: str | None
    try_number: int
    started_at: float | None
    ended_at: float | None
    deferred: bool
    deferred_at: float | None
    trigger: str | None
    arguments: Mapping[str, Any]
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """
    An XCom.

    :ivar pushed_at: epoch seconds
    """

    value: Any
    pushed_at: float


def find_instance(session: Any, key: TaskKey) -> Instance | None:
    """Return a task instance, None if there is none. Blocking."""
    found = session.execute(
        select(TaskInstance, Trigger)
        .outerjoin(Trigger, Trigger.id == TaskInstance.trigger_id)
        .where(*_is(TaskInstance, key))
    ).first()
    if found is None:
        return None
    ti, trigger = found
    if ti.state not in _MAY_WAIT:
        # One that is over can still have its last trigger.
        trigger = None
    fields = session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(*_is(RenderedTaskInstanceFields, key))
    )
    return Instance(
        key,
        ti.operator or "",
        ti.custom_operator_name or "",
        None if ti.state is None else str(ti.state),
        ti.try_number or 0,
        _epoch(ti.start_date),
        _epoch(ti.end_date),
        ti.next_method is not None,
        None if trigger is None else _epoch(trigger.created_date),
        None if trigger is None else trigger.classpath.rpartition(".")[2],
        {} if trigger is None else trigger.kwargs,
        fields if isinstance(fields, Mapping) else {},
    )


def find_value(session: Any, key: TaskKey, name: str) -> Value | None:
    """Return an XCom of a task instance, None if there is none. Blocking."""
    row = session.scalar(select(XComModel).where(*_is(XComModel, key), XComModel.key == name))
    if row is None:
        return None
    value = row.value
    if isinstance(value, str) and name in _LARGE and _names(key, value):
        # What the deployment's XCom backend has put elsewhere.
        value = _backend().deserialize_value(row)
    return Value(value, _epoch(row.timestamp) or 0.0)


def release(session: Any) -> None:
    """Give a session's connection to the metadata database back: there are few, and the next look-up takes one again."""
    session.close()


def claims_of(session: Any, uris: Iterable[str]) -> dict[str, list[TaskKey]]:
    """Return the task instances whose XCom ``result`` names each stored reply. Blocking."""
    wanted = list(uris)
    # As JSON, which SQLAlchemy takes a list of strings not for.
    values = [bindparam(None, uri, type_=XComModel.value.type) for uri in wanted]
    rows = session.execute(
        select(
            XComModel.value, XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index
        ).where(XComModel.key == "result", XComModel.value.in_(values))
    )
    claims: dict[str, list[TaskKey]] = {}
    for value, *ids in rows:
        claims.setdefault(_plain(value), []).append(TaskKey(*ids))
    return claims


def may_read_xcoms(user: Any, dag_id: str) -> bool:
    """Tell whether a user may read the XComs of a DAG. Blocking."""
    return _may_read(user, [dag_id])


def may_read_all(user: Any, session: Any) -> bool:
    """Tell whether a user may read the XComs of every DAG, also of those that there are no more. Blocking."""
    asked = get_auth_manager().is_authorized_dag
    # Of no DAG in particular: all of none is nothing that anybody could be refused.
    if not (
        asked(method="GET", user=user) and asked(method="GET", access_entity=DagAccessEntity.XCOM, user=user)
    ):
        return False
    return _may_read(user, session.scalars(select(DagModel.dag_id)))


def connection_extra(conn_id: str) -> Mapping[str, Any]:
    """
    Return a connection's extra. Blocking.

    :raises AirflowNotFoundException: if it does not exist
    """
    extra: Mapping[str, Any] = Connection.get_connection_from_secrets(conn_id).extra_dejson
    return extra


def hook_of(conn_id: str) -> Any:
    """
    Return a connection's hook. Blocking.

    :raises AirflowException: if there is no such connection, or its provider is not installed
    """
    return Connection.get_connection_from_secrets(conn_id).get_hook()


def _may_read(user: Any, dag_ids: Iterable[str]) -> bool:
    return get_auth_manager().batch_is_authorized_dag(
        [
            {
                "method": "GET",
                "access_entity": DagAccessEntity.XCOM,
                "details": DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
            }
            for dag_id in dag_ids
        ],
        user=user,
    )


def _is(model: Any, key: TaskKey) -> list[Any]:
    return [getattr(model, name) == value for name, value in asdict(key).items()]


def _names(key: TaskKey, place: str) -> bool:
    """
    Tell whether a place is one of a task's own XComs: whoever may change an XCom may not so read another DAG's.

    Its ids stand there one after the other, as an id alone may be another DAG's task, and nothing leads elsewhere.
    """
    parts = place.replace("\\", "/").split("/")
    own = [key.dag_id, key.run_id, key.task_id]
    quoted = [quote(one, safe="") for one in own]
    there = any(parts[at : at + 3] in (own, quoted) for at in range(len(parts)))
    return there and not any(unquote(part) in {".", ".."} for part in parts)


def _backend() -> Any:
    # The SDK's, which tasks write with.
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

    return XCom


def _plain(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value.startswith('"') else value


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
