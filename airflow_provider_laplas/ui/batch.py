"""A batch as the page shows it: how far it is, and its files, a page at a time."""

import gc
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from starlette.exceptions import HTTPException

from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.manifest.files import TRANSCRIBED, UNFINISHED, FileRecord, FileState
from airflow_provider_laplas.manifest.journal import meta_folder, segments, snapshots
from airflow_provider_laplas.manifest.manifest import NAME, Manifest
from airflow_provider_laplas.manifest.summary import read_summary
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.usage import estimated_cost
from airflow_provider_laplas.ui.answers import not_there
from airflow_provider_laplas.ui.facts import labelled, length, number, percent
from airflow_provider_laplas.ui.places import parent

PAGE = 100
"""Files on a page."""

MOST_KNOWN = 3
"""Manifests that are kept in memory: one of a hundred thousand files takes some 100 MB."""

_HAS_TRANSCRIPT = TRANSCRIBED | {FileState.DUPLICATE}
_SORTS = {
    "name": lambda record: record.source,
    "state": lambda record: (record.state, record.source),
    "length": lambda record: (-(record.audio_seconds or 0.0), record.source),
}


def progress(manifest: str, dag_id: str, price: float | None, storage: Storage) -> dict[str, Any]:
    """
    Return how far a batch is, by one read of its summary. Blocking.

    :param dag_id: of the task whose page asks
    :param price: of a minute of audio
    :raises HTTPException: 404, if it has not begun, or another DAG uses its folder now
    """
    summary = _summary(manifest, storage)
    if summary is None:
        raise not_there("The batch has not begun yet.")
    _check_owner(_dag_of(summary), dag_id)
    try:
        return _progress(summary, manifest, price)
    except (KeyError, TypeError, AttributeError):
        raise not_there("What lies in the batch's folder is no summary of a batch.") from None


def _summary(manifest: str, storage: Storage) -> Any:
    try:
        return read_summary(manifest, storage)
    except LaplasError as error:
        raise not_there(str(error)) from None


def _dag_of(summary: Any) -> str:
    """Return the DAG that a summary names, empty if it names none: others may have put something there."""
    task = summary.get("task") if isinstance(summary, Mapping) else None
    return task.partition("/")[0] if isinstance(task, str) else ""


def _progress(summary: Mapping[str, Any], manifest: str, price: float | None) -> dict[str, Any]:
    counts, per_hour = summary["counts"], summary["per_hour"]
    left = sum(counts.get(str(state), 0) for state in UNFINISHED)
    cost = estimated_cost(summary["audio_seconds"], price)
    return {
        "files": summary["files"],
        "counts": counts,
        "active": summary["active"],
        "changed_at": summary["changed_at"],
        "per_hour": per_hour,
        "seconds_left": 3600 * left / per_hour if per_hour else None,
        "audio_seconds": summary["audio_seconds"],
        "cost": None if cost is None else f"{cost:.2f}",
        "manifest": redacted(manifest),
    }


def check_not_of_another(uri: str, dag_id: str, manifests: "Manifests", storage: Storage) -> None:
    """
    Refuse what another DAG's batch has written into the folder that a task shares with it. Blocking.

    :raises HTTPException: 404, if it has
    """
    manifest, name = f"{parent(uri)}/{NAME}", uri.rpartition("/")[2]
    owner = _dag_of(_summary(manifest, storage))
    if owner not in {"", dag_id} and manifests.has(manifest, name, owner, storage):
        raise not_there("This is a transcript of another DAG's batch.")


def list_page(records: Iterable[FileRecord], *, q: str, state: str, sort: str, page: int) -> dict[str, Any]:
    """
    Return one page of a batch's files.

    :param q: what their source or output contains, whatever its case
    :param state: the state that they are in; empty for all
    :param sort: ``name``, ``state`` or ``length``, the longest first
    :param page: counted from 0
    """
    all_of_them, wanted = list(records), q.casefold()
    found = [
        record
        for record in all_of_them
        if (not state or record.state == state)
        and (not wanted or wanted in record.source.casefold() or wanted in record.output.casefold())
    ]
    found.sort(key=_SORTS.get(sort, _SORTS["name"]))
    return {
        "total": len(all_of_them),
        "matching": len(found),
        "page": page,
        "pages": -(-len(found) // PAGE),
        "files": [_row(record) for record in found[page * PAGE : (page + 1) * PAGE]],
    }


def describe(record: FileRecord, transcript: Transcript) -> dict[str, Any]:
    """Return what is known of a file that was transcribed, as :meth:`~airflow_provider_laplas.ui.task.TaskPage.facts` does."""
    summary = {name: getattr(transcript, name) for name in ("model", "language", "duration", "confidence")}
    facts = labelled(
        {
            "Model": transcript.model,
            "Language": transcript.language,
            "Length": length(record.audio_seconds),
            "Confidence": percent(transcript.confidence),
            "Generation": record.generation_id,
            "Ended": number(record.completed_at),
        }
    )
    findings = [record.error] if record.error else []
    return {"source": record.source, "summary": summary, "facts": facts, "findings": findings}


@dataclass(slots=True)
class _Known:
    """
    A manifest in memory.

    :ivar names: the files that it was read from
    :ivar version: of the manifest's file, where there were no others
    """

    manifest: Manifest
    names: frozenset[str]
    version: str
    outputs: dict[str, FileRecord] = field(default_factory=dict)

    def file(self, output: str) -> FileRecord | None:
        """Return the file that has an output, None if there is none."""
        if not self.outputs:
            self.outputs = {record.output: record for record in self.manifest.entries}
        return self.outputs.get(output)


class Manifests:
    """Manifests that were read, as long as nothing has been noted since. Blocking; usable from several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._reading: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        # No more are in memory, nor in the way of one another where their storage does not answer.
        self._turn = threading.BoundedSemaphore(MOST_KNOWN)

    def files(self, manifest: str, dag_id: str, storage: Storage) -> list[FileRecord]:
        """
        Return a batch's files.

        :raises HTTPException: 404, if there is no manifest, or another DAG uses its folder now
        """
        return self._load(manifest, dag_id, storage).manifest.entries

    def file(self, manifest: str, output: str, dag_id: str, storage: Storage) -> FileRecord:
        """
        Return the file of a batch that has an output.

        :raises HTTPException: 404, as well if there is none
        """
        found = self._load(manifest, dag_id, storage).file(output)
        if found is None:
            raise not_there("The batch has no such file.")
        return found

    def has(self, manifest: str, output: str, dag_id: str, storage: Storage) -> bool:
        """Tell whether a file is an output of a DAG's batch. False as well where its manifest cannot be read."""
        try:
            return self._load(manifest, dag_id, storage).file(output) is not None
        except HTTPException:
            return False

    def _load(self, manifest: str, dag_id: str, storage: Storage) -> _Known:
        try:
            # Of several that ask for the same one, the first reads it.
            with self._lock_of(manifest), self._turn:
                known = self._read(manifest, storage)
        except LaplasError as error:
            raise not_there(str(error)) from None
        if known is None:
            raise not_there("The batch has not begun yet.")
        _check_owner(known.manifest.owner.get("dag_id"), dag_id)
        return known

    def _lock_of(self, manifest: str) -> threading.Lock:
        with self._lock:
            lock = self._reading.get(manifest)
            if lock is None:
                lock = self._reading[manifest] = threading.Lock()
            return lock

    def _read(self, uri: str, storage: Storage) -> _Known | None:
        names = list(storage.list_files(meta_folder(uri)))
        written = frozenset(each.uri for each in (*segments(uri, names), *snapshots(uri, names)))
        version = "" if written else self._version(uri, storage)
        known = self._known.get(uri)
        if known is None or (known.names, known.version) != (written, version):
            known = self._go_on(uri, known, written, names, storage) or self._read_whole(
                uri, written, version, storage
            )
            if known is None:
                return None
        with self._lock:
            self._known[uri] = known
            self._known.move_to_end(uri)
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return known

    @staticmethod
    def _read_whole(uri: str, written: frozenset[str], version: str, storage: Storage) -> _Known | None:
        with _no_collection():
            manifest = Manifest.find(uri, storage)
        return None if manifest is None else _Known(manifest, written, version)

    @staticmethod
    def _go_on(
        uri: str, known: _Known | None, written: frozenset[str], names: list[str], storage: Storage
    ) -> _Known | None:
        """Take in what was only added since; None if there is more to it."""
        if known is None or not known.names or not known.names < written:
            return None
        there = segments(uri, names)
        new = [each for each in there if each.uri not in known.names]
        before = [each for each in there if each.uri in known.names]
        if len(new) != len(written) - len(known.names) or (before and min(new) < max(before)):
            return None
        manifest = known.manifest
        try:
            manifest.take_in(new, storage)
        except FileNotFoundError:
            return None
        return _Known(manifest, written, "")

    @staticmethod
    def _version(uri: str, storage: Storage) -> str:
        try:
            return storage.info(uri).version
        except FileNotFoundError:
            return ""


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for garbage among the hundred thousand objects of a manifest while they are made."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _check_owner(owner: Any, dag_id: str) -> None:
    """Refuse to show what another DAG has put into the same folder: its readers may be others."""
    if owner != dag_id:
        raise not_there("Another DAG uses this batch's folder now.")


def _row(record: FileRecord) -> dict[str, Any]:
    return {
        "output": record.output,
        "source": record.source,
        "state": str(record.state),
        "generation_id": record.generation_id,
        "audio_seconds": record.audio_seconds,
        "error": record.error,
        "has_transcript": record.state in _HAS_TRANSCRIPT,
    }
