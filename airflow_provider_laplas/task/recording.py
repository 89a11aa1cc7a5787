"""A task that transcribes one recording, which may have to be submitted in parts."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_laplas.airflow_compat import TriggerFailure
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import FileRecord
from airflow_provider_laplas.manifest.lease import find_lease
from airflow_provider_laplas.manifest.manifest import NAME
from airflow_provider_laplas.manifest.names import output_name
from airflow_provider_laplas.manifest.parts import part_outputs
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.task.generation import GenerationTask
from airflow_provider_laplas.task.outcome import Done, Outcome
from airflow_provider_laplas.task.submission import InParts

if TYPE_CHECKING:
    from airflow_provider_laplas.task.batch import BatchTask

log = logging.getLogger(__name__)


@dataclass(slots=True)
class RecordingTask:
    """
    One run of one task over one recording.

    It is submitted whole, as one generation, where it can be. Else its parts are the files of a batch, in a folder of
    their own, from which every later try of this task goes on.

    :ivar whole: the task of one generation; it checks and publishes the transcript in either case
    :ivar audio: called for the recording
    :ivar parts: makes the task of the parts, in a folder
    :ivar written: the transcript's URI, once it is stored
    """

    whole: GenerationTask
    audio: Callable[[], str] = field(repr=False)
    parts: "Callable[[str], BatchTask]" = field(repr=False)
    written: str | None = field(default=None, init=False)
    _batch: "BatchTask | None" = field(default=None, init=False, repr=False)

    def start(self) -> Outcome:
        """Submit, or go on with what an earlier try submitted."""
        folder = self._folder()
        if folder is None or not self._is_in_parts(folder):
            try:
                return self._noted(self.whole.start())
            except InParts as parts:
                if folder is None:
                    raise LaplasArgumentError(
                        f"`results_path` must be set: the recording has to be submitted in {len(parts.plan.parts)} parts, "
                        "whose transcripts are kept there. Nothing was submitted.",
                        argument="results_path",
                    ) from None
                log.info("Submitting in %d parts. Their folder: %s", len(parts.plan.parts), folder)
        return self._handed_on(self._made(folder).start())

    def resume(self, event: Any) -> Outcome:
        """Continue with the trigger's event."""
        if isinstance(event, Mapping) and "generation_id" in event:
            return self._noted(self.whole.resume(event))
        return self._handed_on(self._made(self._folder()).resume(event))

    def trigger_failed(self, failure: TriggerFailure) -> Outcome:
        """Continue after the trigger timed out or failed."""
        folder = self._folder()
        if folder is None or not self._is_in_parts(folder):
            return self._noted(self.whole.trigger_failed(failure))
        return self._handed_on(self._made(folder).trigger_failed(failure))

    def on_kill(self) -> None:
        """Log what keeps running at the API after the task was killed."""
        (self._batch or self.whole).on_kill()

    def lineage(self) -> Any:
        """Return the audio and the files made from it, for OpenLineage."""
        return self.whole.lineage()

    def _folder(self) -> str | None:
        """Return the folder of the parts: one for each task instance and recording. None without a results folder."""
        folder = self.whole.folder()
        if folder is None:
            return None
        name = output_name(self.audio(), None).removesuffix(".json")
        return f"{folder.rstrip('/')}/{name}-{TaskKey.from_context(self.whole.context).digest}"

    @staticmethod
    def _is_in_parts(folder: str) -> bool:
        return find_lease(f"{folder}/{NAME}", object_storage()) is not None

    def _made(self, folder: str | None) -> "BatchTask":
        if folder is None:
            raise LaplasArgumentError(
                "`results_path` is not set any more, but the parts of the recording are there. Set it as it was.",
                argument="results_path",
            )
        self._batch = self.parts(folder)
        return self._batch

    def _handed_on(self, outcome: Outcome) -> Outcome:
        """Return the outcome for the recording, of that for its parts."""
        manifest = self._batch.manifest if self._batch is not None else None
        if not isinstance(outcome, Done) or manifest is None:
            return outcome
        file = manifest.entries[0]
        outputs = part_outputs(file)
        parts = sorted((part for part in manifest.parts if part.output in outputs), key=_number)
        # Of a part that was found by its reply alone, nobody knows the id.
        ids = [record.generation_id for record in parts or [file] if record.generation_id]
        return self._noted(self.whole.hand_on(ids or [file.fingerprint], manifest.uri_of(file)))

    def _noted(self, outcome: Outcome) -> Outcome:
        self.written = self.whole.written
        return outcome


def _number(part: FileRecord) -> int:
    return part.part or 0
