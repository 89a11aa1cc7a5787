"""
Store a finished transcript in object storage, or as an XCom of the task that waited for it.

The API's whole reply is stored, unchanged. A file stays until somebody deletes it. Airflow deletes an XCom before the
next try, so a short reply is also copied to the task's state store, where a later try finds it.

A :data:`Reference` says where the reply is. It is small, plain JSON, and stands for the reply in events and return
values.
"""

import base64
import gzip
import hashlib
import io
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

from airflow_provider_laplas.api.responses import RETENTION
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.persistence import apersistently, persistently
from airflow_provider_laplas.redaction import redact, redacted
from airflow_provider_laplas.storage import Storage, object_storage, off_loop
from airflow_provider_laplas.transcript.json_objects import DEEPEST_STORED, read_object
from airflow_provider_laplas.transcript.model import Transcript

log = logging.getLogger(__name__)

Reference: TypeAlias = str | dict[str, Any]
"""The URI of a stored reply, the ids of its XCom, or a short reply itself, compressed."""

XCOM_KEY = "reply"
"""The XCom key of a reply if no ``results_path`` is set."""

COMPRESS_ABOVE = 32 * 1024
"""Replies with more characters are compressed before they become an XCom."""

UNWRITTEN_KEY = "unwritten"
"""The XCom key of a batch's replies that could not be written to its folder."""

INLINE_LIMIT = 48 * 1024
"""The longest compressed reply, in characters, for the task's state store, whose recommended limit is 64 KiB."""


@dataclass(frozen=True, slots=True)
class TaskKey:
    """The task instance that owns a result; unlike Airflow's ``ti.id``, the same in every try."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> "TaskKey":
        """Return the running task's key."""
        ti = context["ti"]
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)

    @property
    def digest(self) -> str:
        """What tells the folder of this task instance, below its results folder, from those of others."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where the reply of one generation is stored.

    :ivar folder: in object storage; without one the reply becomes an XCom, which Airflow deletes when the task is
        retried or cleared
    :ivar task: the owner of the XCom; None if only the folder may be used
    """

    generation_id: str
    folder: str | None
    task: TaskKey | None

    @property
    def uri(self) -> str | None:
        """The file's URI; None without a folder."""
        # Quoted, because the id is not trusted: it must not lead to another folder.
        return f"{self.folder.rstrip('/')}/{quote(self.generation_id, safe='')}.json" if self.folder else None

    def find(self) -> str | None:
        """Return the file's URI if an earlier try, or its trigger, has written it; else None. Blocking."""
        return self.uri if self.uri is not None and object_storage().exists(self.uri) else None

    def save(self, reply: Mapping[str, Any]) -> Reference:
        """
        Store a reply and return a reference to it. Blocking; may be repeated, and overwrites.

        :raises LaplasArgumentError: if there is neither a folder nor a task
        """
        if self.uri is not None:
            write_reply(self.uri, reply, object_storage())
            return self.uri
        if self.task is None:
            raise LaplasArgumentError(
                "There is nowhere to store the reply: `results_path` or `task` must be set.",
                argument="results_path",
            )
        return _save_xcom(_text(reply), self.task)

    def without_folder(self, error: Exception) -> "Place":
        """Return the fallback for a folder that cannot be written to; raise the error if there is none."""
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
    Store a finished reply, as an XCom if the folder cannot be written to, and return a reference to it. Blocking.

    Each place is retried for a few seconds.

    :raises Exception: the last place's error
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


def set_aside(replies: Mapping[str, Mapping[str, Any]], task: TaskKey) -> None:
    """Keep a batch's replies that cannot be written as an XCom of its task. Blocking."""
    from airflow_provider_laplas.airflow_compat import set_xcom  # noqa: PLC0415

    packed = {uri: _pack(_text(reply)) for uri, reply in replies.items()}
    persistently(lambda: set_xcom(UNWRITTEN_KEY, packed, **asdict(task)))


def write_set_aside(task: TaskKey, storage: Storage) -> int:
    """
    Write what :func:`set_aside` has kept, for as long as the API keeps a reply, and return how many. Blocking.

    :raises Exception: the last failure: then they are in the XCom, until Airflow deletes it before the next try
    """
    from airflow_provider_laplas.airflow_compat import get_xcom  # noqa: PLC0415

    packed = get_xcom(UNWRITTEN_KEY, **asdict(task)) or {}
    for uri, text in packed.items():
        persistently(storage.write_text, uri, _unpack(text), until=time.time() + RETENTION)
    return len(packed)


def write_reply(uri: str, reply: Mapping[str, Any], storage: Storage) -> None:
    """Write an unchanged reply to a file. Blocking."""
    storage.write_text(uri, _text(reply))


def load_reply(reference: Reference, storage: Storage | None = None) -> dict[str, Any]:
    """
    Load a stored reply.

    :param storage: where files are. Default: Airflow's object storage
    :raises LaplasArgumentError: if the reference is invalid, or the reply is no longer there
    """
    reply = read_object(_load(reference, storage), levels=DEEPEST_STORED)
    if reply is None:
        raise LaplasArgumentError(f"The content of {_shown(reference)} is not a reply.", argument="result")
    return reply


def id_of(reference: Reference, reply: Mapping[str, Any]) -> str | None:
    """Return the generation id that the name of a stored reply or the reply itself has; None if there is none."""
    if isinstance(reference, str):
        return unquote(reference.rpartition("/")[2]).removesuffix(".json")
    named = (reply.get(name) for name in ("generation_id", "id"))
    return next((name for name in named if isinstance(name, str) and name), None)


def load_transcript(result: Mapping[str, Any] | str, storage: Storage | None = None) -> Transcript:
    """
    Load a task's whole transcript, including the words and the raw reply.

    :param result: the return value of the sensor or the operator, or its ``result``; or the URI of a file with a reply
        or the output of :meth:`~airflow_provider_laplas.transcript.Transcript.to_dict`
    :param storage: where files are. Default: Airflow's object storage
    :raises LaplasArgumentError: if it is none of these, or the transcript is no longer there
    """
    reference = result.get("result", result) if isinstance(result, Mapping) else result
    try:
        return Transcript.from_json(_load(reference, storage))
    except LaplasArgumentError as error:
        if error.argument != "content":
            raise
        raise LaplasArgumentError(
            f"The content of {_shown(reference)} is not a transcript.", argument="result"
        ) from None


def inline(reply: Mapping[str, Any]) -> Reference | None:
    """Return a reference that contains the reply itself, if it fits into the task's state store; else None."""
    packed = _pack(_text(reply))
    return {"inline": packed} if len(packed) <= INLINE_LIMIT else None


def _load(reference: Any, storage: Storage | None = None) -> str:
    if isinstance(reference, str):
        try:
            return (storage or object_storage()).read_text(reference)
        except FileNotFoundError:
            raise LaplasArgumentError(
                f"There is no transcript at {redacted(reference)} (any more).", argument="result"
            ) from None
    if isinstance(reference, Mapping) and isinstance(reference.get("inline"), str):
        return _unpack(reference["inline"])
    return _load_xcom(reference)


def _shown(reference: Any) -> str:
    return redacted(reference) if isinstance(reference, str) else "the XCom that `result` names"


def _text(reply: Mapping[str, Any]) -> str:
    # NaN is not valid JSON, and could not be read back.
    return json.dumps(reply, allow_nan=False)


def _pack(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _unpack(packed: str, most: int = -1) -> str:
    with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(packed))) as file:
        content = file.read(most + 1 if most >= 0 else -1)
    if 0 <= most < len(content):
        raise LaplasArgumentError(f"The reply is larger than {most} bytes.", argument="result")
    return content.decode()


def _save_xcom(text: str, task: TaskKey) -> dict[str, Any]:
    # Imported here because files can be read, and loaded into databases, without Airflow.
    from airflow_provider_laplas.airflow_compat import set_xcom  # noqa: PLC0415

    # One string: Airflow takes twenty times as long to serialise nested objects.
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
            "`result` must be the return value of the sensor or the operator, or its `result`.",
            argument="result",
        ) from None
    value = get_xcom(key, **asdict(task))
    if value is None:
        raise LaplasArgumentError(
            f"The transcript is no longer in XCom: task {task.task_id} was cleared or retried. Set `results_path` to "
            "store transcripts in object storage.",
            argument="result",
        )
    return unpack_xcom(value)


def unpack_xcom(value: Mapping[str, Any], most: int = -1) -> str:
    """
    Return the text of a reply that is an XCom.

    :param most: bytes that it may have, which no more than are unpacked; -1 for any number
    :raises LaplasArgumentError: if it has more
    """
    data: str = value["data"]
    return _unpack(data, most) if value["encoding"] == "gzip" else data
