"""What the page says of one task instance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.exceptions import HTTPException

from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.known_secrets import MASK
from airflow_provider_laplas.manifest.manifest import NAME
from airflow_provider_laplas.results.keeping import Place, Reference, TaskKey
from airflow_provider_laplas.storage import Storage, object_storage
from airflow_provider_laplas.ui import wording
from airflow_provider_laplas.ui.answers import not_there
from airflow_provider_laplas.ui.facts import labelled, length, money, number, percent, text
from airflow_provider_laplas.ui.places import (
    is_own,
    lies_below,
    own_reference,
    own_xcom,
    results_folder,
    shown_place,
)
from airflow_provider_laplas.ui.server import (
    Instance,
    Value,
    connection_extra,
    find_instance,
    find_value,
    release,
)

REFRESH = 10
"""Seconds after which the page asks again, as long as a task is not over."""

_KINDS = {
    "SubmitSTTOperator": "submission",
    "STTCompletionSensor": "transcript",
    "TranscribeOperator": "transcript",
    "TranscribeBatchOperator": "batch",
    "TranscribeDecoratedOperator": "transcript",
}
_SENSOR = "STTCompletionSensor"
_SOURCES = {_SENSOR: "source"}
_TRIGGERS = {"STTCompletionTrigger": "transcript", "STTBatchTrigger": "batch"}

_WAITING = frozenset({"deferred", "running", "up_for_reschedule", "up_for_retry", "restarting"})
_NOT_YET = frozenset({"queued", "scheduled"})


@dataclass(slots=True)
class TaskPage:
    """
    One task instance and what it has written.

    :ivar instance: as the database has it
    """

    instance: Instance
    session: Any
    _values: dict[str, Value | None] = field(default_factory=dict, init=False)

    @property
    def kind(self) -> str:
        """``transcript``, ``batch``, ``submission``, or ``none`` for a task that is not of this provider."""
        named = _KINDS.get(self.instance.operator, "none")
        waited = _TRIGGERS.get(self.instance.trigger or "")
        if waited is not None:
            # Also of a subclass, whose name is not known; and of a decorated task, which may be either.
            return waited
        returned = self.returned()
        if named in {"none", "transcript"} and {"manifest", "counts", "results_path"} <= returned.keys():
            return "batch"
        return "transcript" if {"generation_id", "result", "files"} <= returned.keys() else named

    @property
    def state(self) -> str:
        """``waiting``, ``finished``, ``failed``, or ``none``."""
        state = self.instance.state
        if state in _WAITING or (state in _NOT_YET and self.instance.deferred):
            return "waiting"
        return {"success": "finished", "failed": "failed"}.get(state or "", "none")

    def value(self, name: str) -> Any:
        """Return one of its XComs, None if there is none."""
        found = self.found(name)
        return None if found is None else found.value

    def found(self, name: str) -> Value | None:
        """Return one of its XComs, with its time."""
        if name not in self._values:
            self._values[name] = find_value(self.session, self.instance.key, name)
        return self._values[name]

    def returned(self) -> Mapping[str, Any]:
        """Return what it returned; empty if that is no dict."""
        value = self.value("return_value")
        return value if isinstance(value, Mapping) else {}

    def folder(self) -> str | None:
        """Return its results folder, None if it has none."""
        try:
            return results_folder(self.instance.fields, self._connection_folder)
        except LaplasError as error:
            raise not_there(str(error)) from None

    def reference(self) -> Reference:
        """
        Return where its own reply is stored.

        :raises HTTPException: 404, if there is none, or it is not its own
        """
        result = self.returned().get("result")
        if result is not None:
            reference = own_reference(result, self.instance.key, self.folder())
            if reference is None:
                raise not_there("The transcript does not lie in this task's own results folder.")
            return reference
        # It has not passed a quality check, or the task was ended while it wrote its formats.
        if self.found("reply") is not None:
            return own_xcom(self.instance.key)
        if self.kind != "transcript":
            raise not_there("This task has no transcript.")
        generation_id, folder = self._generation_id(), self.folder()
        if self.state == "waiting" or generation_id is None or folder is None:
            raise not_there("This task has no transcript yet.")
        uri = Place(generation_id, folder, None).uri
        if uri is None or not lies_below(uri, folder):
            raise not_there("This task has no transcript.")
        return uri

    def manifest(self) -> str:
        """
        Return where its manifest lies.

        :raises HTTPException: 404, if it is no batch, or Airflow has deleted what tells
        """
        if self.kind != "batch":
            raise not_there("This task is no batch.")
        if self.instance.fields.get("results_path") is None:
            raise not_there(
                "Airflow does not know this batch's folder any more: it keeps it for some runs only."
            )
        folder = str(self.folder())
        # The parts of one recording have a folder of their own below it.
        waited = self.instance.arguments.get("manifest")
        if isinstance(waited, str) and is_own(waited, self.instance.key, folder):
            return waited
        return f"{folder.rstrip('/')}/{NAME}"

    def storage(self) -> Storage:
        """Return Airflow's object storage. It may keep its reader waiting: until the next look-up, others have the database."""
        release(self.session)
        return object_storage()

    def audio(self) -> str | None:
        """Return where its audio is, redacted; None if it is not a single place."""
        return shown_place(self.instance.fields.get(_SOURCES.get(self.instance.operator, "audio")))

    def facts(self) -> dict[str, Any]:
        """Return all of it, as plain JSON."""
        ti, kind, state = self.instance, self.kind, self.state
        error = self._error()
        return {
            "kind": kind,
            "state": state,
            "airflow_state": ti.state,
            "try_number": ti.try_number,
            "generation_id": self._generation_id(),
            "since": number(ti.arguments.get("submitted_at")) or ti.deferred_at or ti.started_at,
            "deadline": number(ti.arguments.get("deadline")),
            "after_clear": self._after_clear(kind, state, error),
            "error": error and {"message": error["message"], "advice": error["advice"]},
            "source": self.audio(),
            "summary": self._summary(),
            "facts": self._labelled(),
            "findings": self._findings(),
            **self._player(kind),
            "refresh": REFRESH if state == "waiting" or ti.state in _NOT_YET or ti.state is None else None,
        }

    def price_per_minute(self) -> float | None:
        """Return the price of a minute of audio, as its connection has it; None if that is not known."""
        return number(self._extra().get("price_per_minute"))

    def _connection_folder(self) -> str | None:
        folder = self._extra().get("results_path")
        return folder if isinstance(folder, str) else None

    def _extra(self) -> Mapping[str, Any]:
        try:
            return connection_extra(str(self.instance.fields.get("conn_id") or DEFAULT_CONN_ID))
        except Exception:  # noqa: BLE001
            # The API server may not see all connections.
            return {}

    def _generation_id(self) -> str | None:
        given = (
            self.instance.arguments.get("generation_id"),
            self.value("generation_id"),
            self.returned().get("generation_id"),
            self.instance.fields.get("generation_id"),
            self.value("return_value") if self.instance.operator == "SubmitSTTOperator" else None,
        )
        return next((one for one in given if isinstance(one, str) and one and one != "None"), None)

    def _error(self) -> dict[str, Any] | None:
        if self.state != "failed" and self.instance.state != "up_for_retry":
            return None
        found = self.value("error")
        if not isinstance(found, Mapping) or not isinstance(found.get("message"), str):
            return {"type": None, "message": wording.NO_ERROR, "advice": None}
        kind = str(found.get("type"))
        return {"type": kind, "message": found["message"], "advice": wording.ADVICE.get(kind)}

    def _after_clear(self, kind: str, state: str, error: Mapping[str, Any] | None) -> str:
        in_xcom = isinstance(self.returned().get("result"), Mapping)
        name = None if error is None else error["type"]
        return wording.after_clear(
            kind, state, name, sensor=self.instance.operator == _SENSOR, in_xcom=in_xcom
        )

    def _summary(self) -> dict[str, Any] | None:
        returned = self.returned()
        if "duration" not in returned:
            return None
        return {
            **{name: text(returned.get(name)) for name in ("model", "language")},
            **{name: number(returned.get(name)) for name in ("duration", "confidence")},
        }

    def _findings(self) -> list[str]:
        found = self.value("findings")
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    def _labelled(self) -> list[list[str | float]]:
        """Return what is known of it, each with a label."""
        returned, usage = self.returned(), self.value("usage")
        usage = usage if isinstance(usage, Mapping) else {}
        tokens = usage.get("tokens")
        result = returned.get("result")
        known = {
            "Model": text(returned.get("model")) or text(self.instance.fields.get("model")),
            "Language": text(returned.get("language")),
            "Length": length(usage.get("audio_seconds", returned.get("duration"))),
            "Confidence": percent(returned.get("confidence")),
            "Generation": self._generation_id(),
            "Begun": self.instance.started_at,
            "Ended": self.instance.ended_at,
            "Estimated cost": money(usage.get("estimated_cost")),
            "Tokens": ", ".join(f"{name} {count}" for name, count in tokens.items())
            if isinstance(tokens, Mapping)
            else None,
            "Stored in": shown_place(result) or ("XCom" if isinstance(result, Mapping) else None),
        }
        return labelled(known)

    def _player(self, kind: str) -> dict[str, Any]:
        if kind == "batch":
            return {"audio": None, "no_audio": wording.SEVERAL}
        return player(self.audio(), self.instance, None)


def stores(session: Any, key: TaskKey, uri: str) -> bool:
    """Tell whether a file is a task's own reply. Blocking."""
    instance = find_instance(session, key)
    try:
        return instance is not None and TaskPage(instance, session).reference() == uri
    except HTTPException:
        return False


def player(source: str | None, instance: Instance, file: str | None) -> dict[str, Any]:
    """
    Return ``audio``, with the URL that a page plays, or ``no_audio``, which says why there is none.

    :param source: where it is, redacted
    :param file: the output of a batch's file, which it belongs to
    """
    if source is None:
        return {"audio": None, "no_audio": wording.NOT_KNOWN}
    if MASK in source:
        return {"audio": None, "no_audio": wording.SIGNED}
    if is_web(source):
        parts = urlsplit(source)
        if parts.query or parts.fragment or "@" in parts.netloc:
            return {"audio": None, "no_audio": wording.SIGNED}
        return {"audio": {"url": source, "type": None}, "no_audio": None}
    key = instance.key
    query = {
        "dag_id": key.dag_id,
        "run_id": key.run_id,
        "task_id": key.task_id,
        "map_index": key.map_index,
        **({} if file is None else {"file": file}),
    }
    return {
        "audio": {"url": f"api/audio?{urlencode(query, errors='replace')}", "type": None},
        "no_audio": None,
    }


def is_web(source: str) -> bool:
    """Tell whether a place is an http(s) URL."""
    return source.partition("://")[0].lower() in {"http", "https"}
