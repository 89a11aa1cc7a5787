"""
Where a finished transcript is kept: a file in object storage, or an XCom of the task that waited for it.

A file outlives everything. An XCom dies with the try that wrote it: a copy of it in the task's state store (short
replies only) is what a later try finds.

What is kept is the API's whole reply, untouched. A :data:`Reference` says where; it is small, plain JSON, and travels
in events and return values in place of the reply.
"""

import base64
import gzip
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import quote

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.persistence import apersistently, persistently
from airflow_provider_laplas.redaction import redact, redacted
from airflow_provider_laplas.storage import Storage, object_storage, off_loop
from airflow_provider_laplas.transcript.json_objects import read_object
from airflow_provider_laplas.transcript.model import Transcript

log = logging.getLogger(__name__)

Reference: TypeAlias = str | dict[str, Any]
"""The URI of a stored reply, or the ids of the XCom that holds it."""

XCOM_KEY = "reply"
"""The XCom key under which a reply is kept where no ``results_path`` is set."""

COMPRESS_ABOVE = 32 * 1024
"""Characters from which on a reply is compressed before it becomes an XCom."""

INLINE_LIMIT = 48 * 1024
"""Characters of a compressed reply that may lie in the task's state store, whose polite limit is 64 KiB a value."""


@dataclass(frozen=True, slots=True)
class TaskKey:
    """The task instance that a result belongs to; unlike Airflow's ``ti.id``, the same in every try."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> "TaskKey":
        """Return the running task's key."""
        ti = context["ti"]
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where the reply of one generation is kept.

    :ivar folder: in object storage; without one the reply becomes an XCom, which Airflow deletes when the task is tried
        again or cleared
    :ivar task: whose XCom it becomes; None where only the folder will do
    """

    generation_id: str
    folder: str | None
    task: TaskKey | None

    @property
    def uri(self) -> str | None:
        """The file's URI, None without a folder."""
        # The id comes from outside: quoted, it cannot name another folder.
        return f"{self.folder.rstrip('/')}/{quote(self.generation_id, safe='')}.json" if self.folder else None

    def find(self) -> str | None:
        """Return where the reply lies, if an earlier try, or its trigger, has put it into the folder. Blocking."""
        return self.uri if self.uri is not None and object_storage().exists(self.uri) else None

    def save(self, reply: Mapping[str, Any]) -> Reference:
        """
        Keep a reply and return where it lies. Blocking; it may be repeated, and then overwrites its own.

        :raises LaplasArgumentError: where there is neither a folder nor a task
        """
        if self.uri is not None:
            write_reply(self.uri, reply, object_storage())
            return self.uri
        if self.task is None:
            raise LaplasArgumentError(
                "`results_path` or `task` must say where a reply is kept.", argument="results_path"
            )
        return _save_xcom(_text(reply), self.task)

    def without_folder(self, error: Exception) -> "Place":
        """Return where a reply is kept that the folder did not take; raise the error where there is no other place."""
        if self.folder is None or self.task is None:
            raise error
        log.error(
            "The reply of generation %s cannot be written to %s, so it becomes an XCom: %s",
            self.generation_id,
            redacted(self.folder),
            redact(repr(error)),
        )
        return replace(self, folder=None)


def keep_reply(reply: Mapping[str, Any], place: Place) -> Reference:
    """
    Keep a finished reply, and return where it lies: an XCom rather than nothing. Blocking.

    Each place is tried for some seconds.

    :raises Exception: what the last place failed with
    """
    try:
        return persistently(place.save, reply)
    except Exception as error:  # noqa: BLE001
        return persistently(place.without_folder(error).save, reply)


async def akeep_reply(reply: Mapping[str, Any], place: Place) -> Reference:
    """Do what :func:`keep_reply` does, on the event loop."""
    try:
        return await apersistently(_asave, place, reply)
    except Exception as error:  # noqa: BLE001
        return await apersistently(_asave, place.without_folder(error), reply)


async def _asave(place: Place, reply: Mapping[str, Any]) -> Reference:
    if place.uri is None:
        return await off_loop(place.save, reply)
    return await object_storage().off_loop(place.uri, place.save, reply)


def write_reply(uri: str, reply: Mapping[str, Any], storage: Storage) -> None:
    """Write a reply into a file, as it came. Blocking."""
    storage.write_text(uri, _text(reply))


def load_reply(reference: Reference) -> dict[str, Any]:
    """
    Return a reply that was kept.

    :raises LaplasArgumentError: where the reference is none, or no reply lies there any more
    """
    reply = read_object(_load(reference))
    if reply is None:
        raise LaplasArgumentError(f"What lies at {_shown(reference)} is no reply.", argument="result")
    return reply


def load_transcript(result: Mapping[str, Any] | str) -> Transcript:
    """
    Return the whole transcript, words and raw reply included, of a task that waited for it.

    :param result: what the sensor or the operator returned, or the ``result`` in it; or the URI of a file that holds a
        reply, or what :meth:`~airflow_provider_laplas.transcript.Transcript.to_dict` wrote
    :raises LaplasArgumentError: where that is no such thing, or no transcript lies there any more
    """
    reference = result.get("result", result) if isinstance(result, Mapping) else result
    try:
        return Transcript.from_json(_load(reference))
    except LaplasArgumentError as error:
        if error.argument != "content":
            raise
        raise LaplasArgumentError(
            f"What lies at {_shown(reference)} is no transcript.", argument="result"
        ) from None


def inline(reply: Mapping[str, Any]) -> Reference | None:
    """Return a reply as its own reference, if it is short enough for the task's state store; else None."""
    packed = _pack(_text(reply))
    return {"inline": packed} if len(packed) <= INLINE_LIMIT else None


def _load(reference: Any) -> str:
    if isinstance(reference, str):
        try:
            return object_storage().read_text(reference)
        except FileNotFoundError:
            raise LaplasArgumentError(
                f"No transcript lies at {redacted(reference)} (any more).", argument="result"
            ) from None
    if isinstance(reference, Mapping) and isinstance(reference.get("inline"), str):
        return _unpack(reference["inline"])
    return _load_xcom(reference)


def _shown(reference: Any) -> str:
    return redacted(reference) if isinstance(reference, str) else "the XCom that `result` names"


def _text(reply: Mapping[str, Any]) -> str:
    # NaN is no JSON: what reads it back would not.
    return json.dumps(reply, allow_nan=False)


def _pack(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _unpack(packed: str) -> str:
    return gzip.decompress(base64.b64decode(packed)).decode()


def _save_xcom(text: str, task: TaskKey) -> dict[str, Any]:
    # Airflow is imported for an XCom only: files are read, and loaded into databases, without it.
    from airflow_provider_laplas.airflow_compat import set_xcom  # noqa: PLC0415

    # One string: as nested objects the same reply costs the serialiser twenty times as long.
    value = {"encoding": "json", "data": text}
    if len(text) > COMPRESS_ABOVE:
        value = {"encoding": "gzip", "data": _pack(text)}
    set_xcom(XCOM_KEY, value, **asdict(task))
    return {"xcom_key": XCOM_KEY, **asdict(task)}


def _load_xcom(reference: Mapping[str, Any]) -> str:
    from airflow_provider_laplas.airflow_compat import get_xcom  # noqa: PLC0415

    try:
        key = reference["xcom_key"]
        task = TaskKey(*(reference[name] for name in ("dag_id", "run_id", "task_id", "map_index")))
    except (KeyError, TypeError):
        raise LaplasArgumentError(
            "`result` must be what the sensor or the operator returned, or the `result` in it.",
            argument="result",
        ) from None
    value = get_xcom(key, **asdict(task))
    if value is None:
        raise LaplasArgumentError(
            f"The transcript is no longer in XCom: task {task.task_id} was cleared or tried again. Set `results_path` "
            "to keep transcripts in object storage.",
            argument="result",
        )
    data: str = value["data"]
    return _unpack(data) if value["encoding"] == "gzip" else data
