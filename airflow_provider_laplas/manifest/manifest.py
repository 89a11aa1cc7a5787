"""
What became of each file of a batch, as a document.

``manifest.json`` lies beside the outputs, for people. A task writes it when it ends, and a snapshot of the same content
for the next one; what writers note meanwhile lies in journals (:mod:`~airflow_provider_laplas.manifest.journal`).
:meth:`Manifest.load` reads snapshot and journals, so it is up to date at any time.
"""

import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.manifest.files import FileRecord, FileState, merge
from airflow_provider_laplas.manifest.journal import (
    READ_ATTEMPTS,
    Segment,
    meta_folder,
    read_lines,
    read_snapshot,
    segments,
    snapshots,
    write_snapshot,
)
from airflow_provider_laplas.manifest.lease import Lease, check_lease
from airflow_provider_laplas.manifest.parts import counted
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage, object_storage

VERSION = 2
NAME = "manifest.json"
"""The manifest's name in the folder of outputs."""

_VERSION_1 = re.compile(r"\d{6}-[0-9a-f]{32}\.json")
_HEADER = ("owner", "max_tries", "began_at", "began_lease", "written_at", "folded")


@dataclass(slots=True)
class Manifest:
    """
    All files of a batch.

    :ivar uri: where it lies
    :ivar owner: the task that wrote it: dag_id, run_id, task_id, map_index
    :ivar max_tries: Airflow's count of allowed tries, which a user's Clear raises
    :ivar entries: the files that are to be transcribed, in the order in which they were given
    :ivar unlisted: files that were transcribed, or begun, by an earlier run and are not listed any more
    :ivar parts: of those files that are submitted in parts
    :ivar written_at: epoch seconds
    :ivar began_at: epoch seconds at which the owner first began
    :ivar began_lease: the number of the lease with which the owner first began
    :ivar leftovers: what it held when it was read: segments that nobody has deleted yet, and snapshots; not in the file
    :ivar read_from: the snapshot from which it was read; not in the file
    :ivar shown_at: epoch seconds by which people could read it, which a slow storage may take long after it was made;
        infinite where that is not known; not in the file
    :ivar stopped: why its task has submitted nothing, None if it has; not in the file
    :ivar folded: how many of each lease's segments it holds
    """

    uri: str
    owner: dict[str, Any]
    max_tries: int
    entries: list[FileRecord] = field(default_factory=list)
    unlisted: list[FileRecord] = field(default_factory=list)
    parts: list[FileRecord] = field(default_factory=list)
    written_at: float = 0.0
    began_at: float = field(default_factory=time.time)
    began_lease: int = 0
    folded: dict[str, int] = field(default_factory=dict)
    leftovers: list[Segment] = field(default_factory=list, repr=False, compare=False)
    read_from: Segment | None = field(default=None, repr=False, compare=False)
    shown_at: float = field(default=math.inf, repr=False, compare=False)
    stopped: str | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> str:
        """Return the file's text: JSON, with a line for each file."""
        return "".join(self._pieces())

    def _encoded(self) -> bytes:
        # Piece by piece: that of a hundred thousand files has 50 MB, which should be in memory once.
        content = BytesIO()
        for piece in self._pieces():
            content.write(piece.encode())
        return content.getvalue()

    def _pieces(self) -> Iterator[str]:
        header = {name: getattr(self, name) for name in _HEADER}
        yield json.dumps({"version": VERSION, **header})[:-1]
        for name in ("entries", "unlisted", *(["parts"] if self.parts else [])):
            yield f', "{name}": ['
            before = "\n"
            for record in getattr(self, name):
                yield before
                yield record.to_line()
                before = ",\n"
            yield "\n]" if before == ",\n" else "]"
        yield "}\n"

    @classmethod
    def load(cls, uri: str, storage: Storage | None = None) -> "Manifest":
        """
        Read the manifest, and what was noted since it was written. Blocking.

        :param storage: where it lies. Default Airflow's object storage
        :raises LaplasArgumentError: if there is none, or the file is not a manifest of this package
        """
        manifest = cls.find(uri, storage)
        if manifest is None:
            raise LaplasArgumentError(f"There is no manifest at {redacted(uri)}.", argument="uri")
        return manifest

    @classmethod
    def find(cls, uri: str, storage: Storage | None = None) -> "Manifest | None":
        """
        Do what :meth:`load` does; None if there is none. Blocking.

        :raises LaplasArgumentError: if the file is not a manifest of this package
        """
        return cls.gather(uri, storage or object_storage())[0]

    @classmethod
    def gather(
        cls, uri: str, storage: Storage, outputs: Iterable[str] | None = None
    ) -> "tuple[Manifest | None, list[Segment]]":
        """
        Return the manifest with all that was noted since, and the segments that it did not hold. Blocking.

        :param outputs: what was listed of its folder just now
        """
        for _ in range(READ_ATTEMPTS):
            try:
                return cls._gather(uri, storage, outputs)
            except FileNotFoundError:
                # A segment was deleted meanwhile: by now there is a snapshot that holds it.
                outputs = None
        raise LaplasStorageError(
            f"{redacted(meta_folder(uri))} lists files that are not there, again and again. Check the storage."
        )

    @classmethod
    def _gather(
        cls, uri: str, storage: Storage, outputs: Iterable[str] | None
    ) -> "tuple[Manifest | None, list[Segment]]":
        if outputs is None:
            names = list(storage.list_files(meta_folder(uri)))
        else:
            names = [name.partition("/")[2] for name in outputs if name.startswith(".manifest/")]
        found = snapshots(uri, names)
        if found:
            manifest: Manifest | None = cls.from_json(uri, read_snapshot(found[-1], storage))
        else:
            manifest = cls._with_version_1(uri, cls._read(uri, storage), names, storage)
        there = segments(uri, names)
        held = [s for s in there if manifest is not None and s.folded_into(manifest.folded)]
        new = there if manifest is None else [s for s in there if not s.folded_into(manifest.folded)]
        if new:
            manifest = manifest or cls(uri, {}, 0)
            manifest.take_in(new, storage)
        if manifest is not None:
            manifest.leftovers = [*held, *found]
            if found:
                manifest.read_from, manifest.shown_at = found[-1], found[-1].number / 1e9
        return manifest, new

    @classmethod
    def _with_version_1(
        cls, uri: str, manifest: "Manifest | None", names: list[str], storage: Storage
    ) -> "Manifest | None":
        """Return a manifest with what the writers of version 0.1 noted, each in a whole manifest of its own."""
        folder = meta_folder(uri)
        journals = sorted((name for name in names if _VERSION_1.fullmatch(name)), reverse=True)
        found = [each for name in journals if (each := cls._read(f"{folder}/{name}", storage, uri))]
        if not found:
            return manifest
        newest = found[0]
        records = {record.output: record for record in newest.entries}
        for other in found[1:]:
            for record in other.entries:
                known = records.get(record.output)
                records[record.output] = record if known is None else merge(record, known)
        newest.entries = list(records.values())
        return newest

    def take_in(self, new: list[Segment], storage: Storage) -> None:
        """Take in what was noted since it was written. Blocking."""
        # What was written under a lease that is older than the newest that the manifest holds came too late for it.
        newest = max(map(int, self.folded), default=0)
        records = {record.output: record for record in self.records()}
        late = [segment for segment in new if segment.lease < newest]
        for content in read_lines(late, storage):
            record = records.get(content.get("output", ""))
            if record is not None:
                older = FileRecord.from_fields(content) if "source" in content else record.changed(content)
                records[record.output] = merge(older, record)
            elif "source" in content and "part_of" in content:
                part = FileRecord.from_fields(content)
                if part.part_of is not None:
                    records[part.output] = part
        for content in read_lines([s for s in new if s.lease >= newest], storage):
            if "output" in content:
                apply(records, content)
            else:
                # The first line of a plan says whose it is.
                for name, value in content.items():
                    setattr(self, name, value)
        for segment in new:
            lease = str(segment.lease)
            self.folded[lease] = max(segment.number, self.folded.get(lease, segment.number))
        files = [record for record in records.values() if record.part_of is None]
        self.entries = [record for record in files if record.listed]
        self.unlisted = [record for record in files if not record.listed]
        self.parts = [record for record in records.values() if record.part_of is not None]

    @classmethod
    def _read(cls, file: str, storage: Storage, uri: str | None = None) -> "Manifest | None":
        try:
            text = storage.read_text(file)
        except FileNotFoundError:
            return None
        return cls.from_json(uri or file, text)

    @classmethod
    def from_json(cls, uri: str, text: str) -> "Manifest":
        """
        Read what :meth:`to_json` wrote, or version 1.

        :raises LaplasArgumentError: if it is something else
        """
        try:
            content = json.loads(text, object_hook=_read_object)
            version = content.pop("version")
            if version not in {1, VERSION}:
                raise _no_manifest(uri)
            lists = (content["entries"], content["unlisted"], content.get("parts", ()))
            if any(type(each) is not FileRecord for each in chain(*lists)):
                raise _no_manifest(uri)
            manifest = cls(uri, **content)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _no_manifest(uri) from None
        if version == 1:
            # There were no snapshots yet.
            manifest.shown_at = manifest.written_at
            for record in manifest.unlisted:
                record.listed = False
            for record in manifest.having(FileState.AMBIGUOUS):
                # Version 0.1 reported each.
                record.reported = True
        return manifest

    def fold(self, held: Iterable[Segment], lease: Lease, storage: Storage) -> None:
        """
        Write it, and delete the segments that it holds, and older snapshots. Blocking.

        In this order, so that nothing is lost whoever is at work meanwhile: the snapshot, a look whether the lease is still
        held, and only then the deletions. The copy for people comes before, because a Clear consents to what a snapshot
        says has been reported.

        :param held: the segments that it holds now
        :param lease: under which it is written
        :raises LaplasArgumentError: if somebody else has taken the lease: nothing was deleted then
        """
        check_lease(lease, storage)
        self.written_at = time.time()
        content = self._encoded()
        persistently(storage.write_bytes, self.uri, content)
        snapshot = write_snapshot(self.uri, lease.number, content, storage)
        try:
            check_lease(lease, storage)
        except LaplasArgumentError:
            storage.delete(snapshot)
            raise
        storage.tidy([segment.uri for segment in (*held, *self.leftovers)])

    @property
    def folder(self) -> str:
        """The folder of the outputs, in which it lies."""
        return self.uri.rpartition("/")[0]

    def uri_of(self, entry: FileRecord) -> str:
        """Return where a file's transcript lies, or would."""
        return f"{self.folder}/{entry.output}"

    def records(self) -> Iterator[FileRecord]:
        """Iterate over all that is known: files, listed or not, and parts."""
        return chain(self.entries, self.unlisted, self.parts)

    def having(self, *states: FileState) -> Iterator[FileRecord]:
        """Iterate over the entries in one of some states."""
        return (entry for entry in self.entries if entry.state in states)

    def counts(self) -> dict[str, int]:
        """Return how many files are in each state that occurs."""
        return dict(Counter(str(entry.state) for entry in self.entries))

    @property
    def task(self) -> str:
        """The owner, for people: the DAG's, the run's and the task's id."""
        return "/".join(str(self.owner.get(name)) for name in ("dag_id", "run_id", "task_id"))

    def counted(self) -> Iterator[FileRecord]:
        """Iterate over the files and parts that counts and figures are of."""
        return counted(chain(self.entries, self.parts), self.began_lease)

    def audio_seconds(self) -> float:
        """Return the seconds of finished audio, as they are billed."""
        return sum(record.billed_seconds for record in self.counted())

    def new_audio_seconds(self) -> float:
        """Return the seconds of audio that were transcribed, and billed, in the owner's DAG run."""
        records = self.counted()
        return sum(record.billed_seconds for record in records if record.lease >= self.began_lease)

    def new(self, *states: FileState) -> list[FileRecord]:
        """Return the entries that came into one of some states by the owner's doing, and not by an earlier run's."""
        return [e for e in self.having(*states) if e.lease >= self.began_lease]


def apply(records: dict[str, FileRecord], content: Mapping[str, Any]) -> None:
    """Put a journal's line into what is known."""
    output = content["output"]
    known = records.get(output)
    if "source" in content:
        record = FileRecord.from_fields(content)
        records[output] = record if known is None else merge(known, record)
    elif known is not None:
        records[output] = merge(known, known.changed(content))


def _read_object(content: dict[str, Any]) -> Any:
    """Return a file's object as a record, while a manifest is parsed: all of them as dicts would take twice the memory."""
    return FileRecord.from_fields(content) if "output" in content else content


def _no_manifest(uri: str) -> LaplasArgumentError:
    return LaplasArgumentError(
        f"{redacted(uri)} is not a manifest of this version. Use another `results_path`, or move it away.",
        argument="results_path",
    )
