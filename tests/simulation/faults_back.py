"""Faults that the package's protocol rules out, to be put back: a simulation that does not find them is none."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

from airflow_provider_laplas.api.resume import Earlier
from airflow_provider_laplas.batch import finish, joining
from airflow_provider_laplas.batch.notes import Notes
from airflow_provider_laplas.manifest import files, journal, manifest, takeover
from airflow_provider_laplas.manifest import lease as lease_module
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.journal import meta_folder, segments
from airflow_provider_laplas.manifest.lease import Lease, lost
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.persistence import persistently
from tests.simulation.world import SimulatedStorage


def _shared_lease() -> Any:
    """Two leases can get the same number: a create that looks first and then writes."""
    return mock.patch.object(SimulatedStorage, "exclusive", False)


def _no_check() -> Any:
    """Whoever has lost the lease goes on submitting: nothing looks after the intent is written."""
    return mock.patch.object(Notes, "_is_checked", return_value=True)


def _next_only() -> Any:
    """A holder looks for the next number only, whose file may be deleted by then."""

    def check(lease: Lease, storage: Any) -> Any:
        there = lease_module._list(lease.manifest, storage)
        if any(number == lease.number + 1 for number, _ in there):
            raise lost(lease)
        return there

    return mock.patch.object(lease_module, "_check", check)


def _blind_delete() -> Any:
    """A fold deletes what lies there, also what came after it has read."""

    fold = Manifest.fold

    def fold_all(self: Manifest, held: Any, lease: Any, storage: Any) -> None:
        fold(self, held, lease, storage)
        there = segments(self.uri, storage.list_files(meta_folder(self.uri)))
        storage.tidy([segment.uri for segment in there])

    return mock.patch.object(Manifest, "fold", fold_all)


def _early_consent() -> Any:
    """A Clear consents to an ambiguity that nobody has shown."""
    shown = {FileState.INTENT: Earlier.AMBIGUOUS, FileState.AMBIGUOUS: Earlier.AMBIGUOUS}
    return mock.patch.dict(takeover._WITHOUT_ID, shown)


def _hidden_id() -> Any:
    """That the later lease's holder found a file ambiguous hides the id that a late writer noted."""
    merge = files.merge

    def hide(older: FileRecord, newer: FileRecord) -> FileRecord:
        return newer if newer.state is FileState.AMBIGUOUS else merge(older, newer)

    return mock.patch.object(manifest, "merge", hide)


def _read_once() -> Any:
    """Whoever reads while another folds goes without the segments that are gone by then."""
    read_lines = journal.read_lines

    def read(segments: Any, storage: Any) -> Any:
        for segment in segments:
            with suppress(FileNotFoundError):
                yield from read_lines([segment], storage)

    return mock.patch.object(manifest, "read_lines", read)


def _unfenced() -> Any:
    """One manifest for all: a holder that was overtaken while it stood still replaces a later one's."""

    def fold(self: Manifest, held: Any, lease: Any, storage: Any) -> None:
        persistently(storage.write_text, self.uri, self.to_json())
        storage.tidy([segment.uri for segment in held])

    return mock.patch.object(Manifest, "fold", fold)


def _taken_twice() -> Any:
    """Who takes the next files leaves them where the next one finds them, too."""
    take = BatchState.next_pending

    def next_pending(self: BatchState, count: int) -> list[FileRecord]:
        taken = take(self, count)
        for record in taken:
            self.add(record)
        return taken

    return mock.patch.object(BatchState, "next_pending", next_pending)


def _cut_unnoted() -> Any:
    """It is not noted which version of the audio was cut, where that is newer than the one that was listed."""
    split = BatchState.split

    def split_silently(self: BatchState, record: FileRecord, fingerprint: str, plan: Any) -> None:
        record.fingerprint = fingerprint
        split(self, record, fingerprint, plan)

    return mock.patch.object(BatchState, "split", split_silently)


def _cut_anew() -> Any:
    """A recording is cut anew by each try."""
    return mock.patch.object(takeover, "_same_work", _differs_if_split)


def _differs_if_split(entry: FileRecord, old: FileRecord) -> bool:
    return entry.fingerprint == old.fingerprint and old.plan is None


def _joined_early() -> Any:
    """A recording is joined while parts of it are waited for."""
    return mock.patch.object(joining, "UNFINISHED", frozenset())


def _part_unlisted() -> Any:
    """A part is only known while its file is listed."""
    remembered = finish._remembered

    def remember(found: Manifest) -> list[FileRecord]:
        listed = {entry.output for entry in found.entries}
        return [part for part in remembered(found) if part.part_of in listed]

    return mock.patch.object(finish, "_remembered", remember)


PART_FAULTS = {
    "cut-unnoted": _cut_unnoted,
    "cut-anew": _cut_anew,
    "joined-early": _joined_early,
    "part-unlisted": _part_unlisted,
}
"""What can be put back, by name, in histories with parts."""

FAULTS = {
    "taken-twice": _taken_twice,
    "shared-lease": _shared_lease,
    "no-check": _no_check,
    "next-only": _next_only,
    "blind-delete": _blind_delete,
    "early-consent": _early_consent,
    "hidden-id": _hidden_id,
    "read-once": _read_once,
    "unfenced": _unfenced,
}
"""What can be put back, by name."""


@contextmanager
def put_back(name: str) -> Iterator[None]:
    """Put a fault back."""
    with (FAULTS | PART_FAULTS)[name]():
        yield
