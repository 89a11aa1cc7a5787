"""
What writers note of a batch, in small files that are never changed: what a batch costs grows like its files.

In the folder ``.manifest`` beside the manifest lie::

    leases/000007.json               who took lease 7, see :mod:`~airflow_provider_laplas.manifest.lease`
    leases/000007-checkpoint.json    what the trigger of lease 7 needs
    plan/000007-0002.jsonl           files as they were when lease 7's task began, a page of them
    journal/000007/000012-<id>.jsonl what changed under lease 7, in the order of the numbers
    snapshots/000007-<time>.z        the manifest that lease 7's holder has written, compressed

Each line is a :class:`~airflow_provider_laplas.manifest.files.FileRecord`, or what of it changed. The manifest is what
all of them say together. Where a manifest has been written that holds them (:attr:`Segment.order` says which), they are
deleted, if that is permitted.
"""

import base64
import json
import re
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage

PAGE = 250
"""Files on a page of a plan."""

READ_ATTEMPTS = 20
"""How often files are listed and read at most, while somebody replaces them."""

AT_ONCE = 256
"""Segments that are in memory while they are read."""

_SNAPSHOT = re.compile(r"snapshots/(\d{6,})-(\d{20})\.z")
_NAME = re.compile(r"(?:plan/(\d{6,})-(\d{4,})|journal/(\d{6,})/(\d{6,})-[0-9a-f]+)\.jsonl")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """
    A file of lines.

    :ivar lease: the number of the lease under which it was written
    :ivar number: in the order of writing; a plan's pages come first, and have negative ones
    :ivar uri: where it lies
    """

    lease: int
    number: int
    uri: str

    def folded_into(self, folded: Mapping[str, int]) -> bool:
        """Tell whether a manifest holds it, that has taken in so many segments of each lease."""
        return self.number <= folded.get(str(self.lease), _NOTHING)


_NOTHING = -(10**9)


def segments(manifest: str, names: Iterable[str]) -> list[Segment]:
    """Return what lies beside a manifest, in order, of the names below its folder ``.manifest``."""
    folder, found = meta_folder(manifest), []
    for name in names:
        if match := _NAME.fullmatch(name):
            plan_lease, page, lease, number = match.groups()
            order = (int(plan_lease), int(page) - 10**8) if plan_lease else (int(lease), int(number))
            found.append(Segment(*order, f"{folder}/{name}"))
    return sorted(found)


def snapshots(manifest: str, names: Iterable[str]) -> list[Segment]:
    """Return the snapshots beside a manifest, the newest last, of the names below its folder ``.manifest``."""
    found = ((_SNAPSHOT.fullmatch(name), name) for name in names)
    folder = meta_folder(manifest)
    return sorted(Segment(int(m[1]), int(m[2]), f"{folder}/{name}") for m, name in found if m)


def write_snapshot(manifest: str, lease: int, content: bytes, storage: Storage) -> str:
    """
    Write a manifest under a name of its own, and return its URI. Blocking.

    Each holder writes under the number of its lease: one that was overtaken meanwhile does not replace a later one's.
    """
    uri = f"{meta_folder(manifest)}/snapshots/{lease:06}-{int(time.time() * 1e9):020}.z"
    persistently(storage.write_bytes, uri, base64.b64encode(zlib.compress(content, 1)))
    return uri


def read_snapshot(snapshot: Segment, storage: Storage) -> str:
    """
    Return what :func:`write_snapshot` wrote. Blocking.

    :raises FileNotFoundError: if somebody has just deleted it, having written a newer one
    """
    text = storage.read_text(snapshot.uri)
    try:
        return zlib.decompress(base64.b64decode(text)).decode()
    except (ValueError, zlib.error):
        raise LaplasStorageError(
            f"{redacted(snapshot.uri)} is damaged. Restore it, or delete it: the manifest beside the transcripts is read then."
        ) from None


def read_lines(segments: Iterable[Segment], storage: Storage) -> Iterator[dict[str, Any]]:
    """
    Return the lines of some segments, in order; several are read at a time. Blocking.

    :raises FileNotFoundError: if somebody has just deleted one, having written a manifest that holds it
    """
    todo = iter(segments)
    # Not all of them at once: they would wait in memory.
    while some := list(islice(todo, AT_ONCE)):
        for segment, text in zip(
            some, storage.map(lambda each: storage.read_text(each.uri), some), strict=True
        ):
            try:
                lines = [json.loads(line) for line in text.splitlines()]
            except ValueError:
                raise LaplasStorageError(
                    f"{redacted(segment.uri)} is damaged. Restore it, or delete it: files that it alone has noted may be "
                    "submitted again then."
                ) from None
            yield from lines


def meta_folder(manifest: str) -> str:
    """Return the folder of leases and journals."""
    return f"{manifest.rpartition('/')[0]}/.manifest"


@dataclass(slots=True)
class Journal:
    """
    What one writer writes under one lease. Blocking; writes are repeated, because what they note is paid for.

    :ivar number: of the segment that was written last
    """

    manifest: str
    lease: int
    storage: Storage = field(repr=False)
    number: int = 0
    _writer: str = field(default_factory=lambda: secrets.token_hex(4), init=False)

    def append(self, lines: Iterable[str]) -> None:
        """Write one segment."""
        # Two triggers can be at work under one lease: the part behind the number keeps their files apart.
        # The number is never used again: a write that failed, or that nobody waits for any more, may still arrive.
        self.number += 1
        uri = f"{self._folder}/{self.number:06}-{self._writer}.jsonl"
        persistently(self.storage.write_text, uri, "".join(f"{line}\n" for line in lines))

    def write_plan(self, lines: list[str]) -> int:
        """Write the files with which the lease begins, and return how many pages they fill."""
        pages = [lines[start : start + PAGE] for start in range(0, len(lines), PAGE)]

        def write(number: int, page: list[str]) -> None:
            persistently(self.storage.write_text, self._page(number), "".join(f"{line}\n" for line in page))

        self.storage.map(write, range(len(pages)), pages)
        return len(pages)

    def read_page(self, number: int) -> list[dict[str, Any]]:
        """Return one page of the plan."""
        return [json.loads(line) for line in self.storage.read_text(self._page(number)).splitlines()]

    def write_checkpoint(self, content: Mapping[str, Any]) -> None:
        """Write what the trigger needs."""
        text = json.dumps({**content, "number": self.number}, separators=(",", ":"))
        persistently(self.storage.write_text, self._checkpoint, text)

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Return what :meth:`write_checkpoint` wrote, None if there is none."""
        try:
            content: dict[str, Any] = json.loads(self.storage.read_text(self._checkpoint))
        except FileNotFoundError:
            return None
        return content

    def segments_after(self, number: int) -> list[Segment]:
        """Return what was written under this lease after a segment."""
        names = self.storage.list_files(self._folder)
        found = segments(self.manifest, (f"journal/{self.lease:06}/{name}" for name in names))
        return [segment for segment in found if segment.number > number]

    @property
    def _checkpoint(self) -> str:
        return f"{meta_folder(self.manifest)}/leases/{self.lease:06}-checkpoint.json"

    @property
    def _folder(self) -> str:
        return f"{meta_folder(self.manifest)}/journal/{self.lease:06}"

    def _page(self, number: int) -> str:
        return f"{meta_folder(self.manifest)}/plan/{self.lease:06}-{number:04}.jsonl"
