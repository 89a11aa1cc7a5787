"""A task with ``plan_only``: it says what would be submitted, and submits nothing."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_laplas.airflow_compat import Context, TriggerFailure
from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.audio.sources import open_source
from airflow_provider_laplas.batch.batch import Batch
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.hooks import LaplasHook
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.media.plan import MediaPlan
from airflow_provider_laplas.media.preparation import Preparation, media_threads
from airflow_provider_laplas.media.preview import of_plan, preview, totals, untouched
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.task.notify import lineage, price_of
from airflow_provider_laplas.task.outcome import Done, Outcome
from airflow_provider_laplas.task.record import RecordStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _File:
    """
    One file that would be submitted.

    :ivar audio: None if it cannot be used
    :ivar earlier: how it was cut before, if only some of its parts are submitted again
    :ivar parts: their numbers
    """

    source: str
    audio: str | None = field(default=None, repr=False)
    error: str | None = None
    earlier: MediaPlan | None = None
    parts: tuple[int, ...] = ()


@dataclass(slots=True)
class PlanTask:
    """
    One run of a task that only plans.

    :ivar preparation: as the task's own; None if each recording is submitted as it is
    :ivar audio: one source
    :ivar batch: in place of it, many; of these only what its manifest, if it has a folder, says is to be submitted
    """

    context: Context = field(repr=False)
    conn_id: str
    preparation: Preparation | None
    audio: str = field(default="", repr=False)
    batch: Batch | None = None
    durable: bool = True
    written: str | None = field(default=None, init=False)

    def start(self) -> Outcome:
        """Return the previews of all ``files``, each with its ``source``, or with its ``error``, and their ``sums``."""
        with LaplasHook(self.conn_id) as hook:
            price = price_of(hook)
            preparation = self.preparation.within(hook.client.settings) if self.preparation else None
        with media_threads() as threads:
            files = list(threads.map(lambda file: _planned(file, preparation), self._files()))
        sums = totals(files, price)
        log.info("Nothing is submitted, as plan_only says. What would be: %s", sums)
        return Done({"files": files, "sums": sums})

    def resume(self, event: Any) -> Outcome:
        """Plan: what it was deferred for is not waited for."""
        return self.start()

    def trigger_failed(self, failure: TriggerFailure) -> Outcome:
        """Plan: what it was deferred for is not waited for."""
        return self.start()

    def on_kill(self) -> None:
        """Do nothing: nothing is under way."""

    def lineage(self) -> Any:
        """Return nothing: nothing was read or written."""
        return lineage([], [])

    def _files(self) -> Iterable[_File]:
        if self.batch is None:
            return [_File(redacted(self.audio), self.audio)]
        if not self.batch.folder:
            sources = self.batch.sources(min_age=self.batch.min_age).values()
            return [_File(redacted(source.audio), source.audio) for source in sources]
        return self._foreseen(self.batch)

    def _foreseen(self, batch: Batch) -> list[_File]:
        key = TaskKey.from_context(self.context)
        records = RecordStore(self.context, key, batch.folder)
        found = batch.foresee(key, records.max_tries, durable=self.durable, last_tries=records.batch_tries())
        audio_of = batch.audio_of()
        parts: dict[str, list[int]] = {}
        for record in found:
            if record.part_of is not None:
                parts.setdefault(record.part_of, []).append(record.part or 0)
        return [
            _foreseen(record, audio_of, tuple(sorted(parts.get(record.output, ()))))
            for record in found
            if record.part_of is None
        ]


def _foreseen(
    record: FileRecord, audio_of: Callable[[FileRecord], str | None], parts: tuple[int, ...]
) -> _File:
    source = redacted(record.source)
    if record.state is FileState.FAILED:
        return _File(source, error=record.error)
    if record.state is FileState.SPLIT:
        return _File(source, earlier=MediaPlan.from_fields(record.plan), parts=parts)
    return _File(source, audio_of(record))


def _planned(file: _File, preparation: Preparation | None) -> dict[str, Any]:
    try:
        return {"source": file.source, **_preview(file, preparation)}
    except LaplasError as error:
        return {"source": file.source, "error": error.message}


def _preview(file: _File, preparation: Preparation | None) -> dict[str, Any]:
    if file.error is not None:
        return {"error": file.error}
    if file.earlier is not None and preparation is not None:
        return of_plan(file.earlier, preparation, only=file.parts)
    if file.audio is None:
        raise LaplasArgumentError("`audio` is no longer there.", argument="audio")
    source = open_source(file.audio, object_storage())
    if preparation is None:
        return untouched(source.size if isinstance(source, Upload) else None, "the task has no `media`")
    with preparation.opened(source) as upload:
        if isinstance(upload, str):
            return untouched(None, "the API fetches the URL itself")
        return preview(upload, file.audio, preparation)
