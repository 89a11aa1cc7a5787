"""What has to be read of the audio itself before a batch submits it: for ``deduplicate`` and ``max_audio_seconds``."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.audio.length import audio_seconds
from airflow_provider_laplas.batch.sources import Source
from airflow_provider_laplas.client.multipart import CHUNK
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.signatures import unsigned
from airflow_provider_laplas.storage import Storage

T = TypeVar("T")

AT_ONCE = 64
"""Files after which it is shown that the task is at work: each may be read as a whole."""


class Content:
    """
    Reads the audio of pending files. Blocking.

    A file that cannot be read is failed, and the others go on.

    :param alive: called now and then
    """

    def __init__(
        self, sources: Mapping[str, Source], storage: Storage, lease: int, alive: Callable[[], None]
    ) -> None:
        self._sources = sources
        self._storage = storage
        self._lease = lease
        self._alive = alive

    def mark_duplicates(self, records: Iterable[FileRecord]) -> None:
        """Find the pending files with the same content as another one, which is submitted in their place."""
        records = list(records)
        paid = {FileState.COMPLETED, FileState.SUBMITTED, FileState.SPLIT}
        originals = {
            record.content: record.output for record in records if record.content and record.state in paid
        }
        pending = [record for record in records if record.state is FileState.PENDING]
        for record, content in zip(pending, self._each(_content_of, pending), strict=True):
            if content is None:
                continue
            record.content = content
            original = originals.setdefault(content, record.output)
            if original != record.output:
                record.transition(FileState.DUPLICATE, duplicate_of=original)

    def total_seconds(self, records: Sequence[FileRecord]) -> float:
        """
        Return the seconds of audio of pending uploads, by their headers; what has none counts as nothing.

        :raises LaplasArgumentError: naming ``max_audio_seconds``, if the extra ``probe`` is not installed
        """
        return sum(length or 0.0 for length in self._each(_seconds_of, records))

    def _each(self, read: Callable[[str | Upload], T], records: Sequence[FileRecord]) -> list[T | None]:
        def read_one(record: FileRecord) -> T | None:
            try:
                return read(self._sources[record.output].open(self._storage))
            except FileNotFoundError:
                error = f"`audio` is a file that was deleted after it was listed: {record.source}"
            except LaplasArgumentError as refused:
                if refused.argument != "audio":
                    raise
                error = refused.message
            facts: dict[str, Any] = {"error": error, "completed_at": time.time(), "lease": self._lease}
            record.transition(FileState.FAILED, **facts)
            return None

        found: list[T | None] = []
        for start in range(0, len(records), AT_ONCE):
            found += self._storage.map(read_one, records[start : start + AT_ONCE])
            self._alive()
        return found


def _content_of(source: str | Upload) -> str:
    """Return what tells the same content from another: an upload's hash, or the URL without its signature."""
    if isinstance(source, str):
        return unsigned(source)
    digest = hashlib.sha256()
    with source.open() as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _seconds_of(source: str | Upload) -> float | None:
    return None if isinstance(source, str) else audio_seconds(source)
