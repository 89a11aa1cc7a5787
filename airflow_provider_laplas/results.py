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
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from airflow_provider_laplas.airflow_compat import get_xcom, option, set_xcom
from airflow_provider_laplas.arguments import is_template
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import show_location
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.transcript import Transcript, read_object

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


def save_reply(
    reply: Mapping[str, Any], *, generation_id: str, task: TaskKey | None, results_path: str | None
) -> Reference:
    """
    Keep a reply and return where it lies. Blocking; it may be repeated, and then overwrites its own.

    :param results_path: a folder in object storage (any URI of Airflow's ``ObjectStoragePath``, or a local path);
        without one the reply becomes an XCom of ``task``, which Airflow deletes when that is tried again or cleared
    :raises LaplasArgumentError: where neither is given
    """
    text = json.dumps(reply, allow_nan=False)
    if results_path:
        uri = _uri(results_path, generation_id)
        object_storage().write_text(uri, text)
        return uri
    if task is None:
        raise LaplasArgumentError(
            "`results_path` or `task` must say where a reply is kept.", argument="results_path"
        )
    return _save_xcom(text, task)


def find_reply(generation_id: str, results_path: str | None) -> Reference | None:
    """Return where a generation's reply lies, if an earlier try, or its trigger, has put it into the folder."""
    if not results_path:
        return None
    uri = _uri(results_path, generation_id)
    return uri if object_storage().exists(uri) else None


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
    packed = _pack(json.dumps(reply, allow_nan=False))
    return {"inline": packed} if len(packed) <= INLINE_LIMIT else None


def choose_results_path(task: str | None, connection: str | None) -> str | None:
    """
    Return the folder for replies: the task's, else the connection's, else ``[laplas] results_path``, else None.

    :raises LaplasArgumentError: where it cannot be one
    """
    chosen = task or connection or option("results_path") or None
    check_results_path(chosen)
    return chosen


def check_results_path(results_path: Any) -> None:
    """
    Refuse what cannot be a folder in object storage; a template is for later.

    :raises LaplasArgumentError: naming ``results_path``
    """
    if is_template(results_path):
        return
    # "None" is what a template makes of an XCom that is not there.
    if results_path is not None and (
        not isinstance(results_path, str) or not results_path.strip() or results_path == "None"
    ):
        raise LaplasArgumentError(
            f"`results_path` must be a folder in object storage, not {results_path!r}.",
            argument="results_path",
        )
    # s3://connection@bucket is Airflow's; a password in it would be stored with the trigger, readable.
    if results_path and ":" in results_path.partition("://")[2].partition("/")[0].rpartition("@")[0]:
        raise LaplasArgumentError(
            "`results_path` must not hold a password: name the storage's connection, as in "
            "s3://connection_id@bucket/folder.",
            argument="results_path",
        )


def _load(reference: Any) -> str:
    if isinstance(reference, str):
        try:
            return object_storage().read_text(reference)
        except (FileNotFoundError, IsADirectoryError):
            raise LaplasArgumentError(
                f"No transcript lies at {show_location(reference)} (any more).", argument="result"
            ) from None
    if isinstance(reference, Mapping) and isinstance(reference.get("inline"), str):
        return _unpack(reference["inline"])
    return _load_xcom(reference)


def _shown(reference: Any) -> str:
    return show_location(reference) if isinstance(reference, str) else "the XCom that `result` names"


def _uri(results_path: str, generation_id: str) -> str:
    # The id comes from outside: quoted, it cannot name another folder.
    return f"{results_path.rstrip('/')}/{quote(generation_id, safe='')}.json"


def _pack(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _unpack(packed: str) -> str:
    return gzip.decompress(base64.b64decode(packed)).decode()


def _save_xcom(text: str, task: TaskKey) -> dict[str, Any]:
    # One string: as nested objects the same reply costs the serialiser twenty times as long.
    value = {"encoding": "json", "data": text}
    if len(text) > COMPRESS_ABOVE:
        value = {"encoding": "gzip", "data": _pack(text)}
    set_xcom(XCOM_KEY, value, **asdict(task))
    return {"xcom_key": XCOM_KEY, **asdict(task)}


def _load_xcom(reference: Mapping[str, Any]) -> str:
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
