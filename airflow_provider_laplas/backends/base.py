"""What all kinds of storage have in common."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Protocol

THREADS = 16
"""Calls to one storage at a time, from an event loop."""

READ_AT_ONCE = 8 * 1024 * 1024
"""Bytes up to which an object is read with one request, into memory; larger ones are streamed."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """
    What a storage says of a file.

    :ivar size: in bytes
    :ivar modified: epoch seconds, by the storage's clock
    :ivar version: changes when the content does: its generation, hash or ETag, where the storage has one, else its
        modification time
    :ivar etag: what version 0.1 took for that; on Google Cloud Storage and Azure it changes with metadata, too
    """

    size: int
    modified: float
    version: str
    etag: str = ""


class Backend(Protocol):
    """One kind of storage. A file that is not there is a FileNotFoundError."""

    permissions: ClassVar[Mapping[str, str]]
    exclusive: bool | None
    """Whether :meth:`create` lets one of several succeed; None as long as that is not known."""

    def read(self, path: str) -> bytes:
        """Return a file's content."""

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from one position to before another; fewer, where the file ends before."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file, replacing what is there."""

    def create(self, path: str, content: bytes) -> None:
        """Write a file where there is none, else raise FileExistsError."""

    def delete(self, path: str) -> None:
        """Delete a file."""

    def info(self, path: str) -> FileInfo:
        """Return what the storage says of a file."""

    def list(self, folder: str, recursive: bool) -> dict[str, FileInfo]:
        """Return all files below a folder, or those in it alone."""

    def has_root(self, path: str) -> bool:
        """Tell whether there is the bucket that a path lies in."""

    def open(self, path: str, info: FileInfo) -> BinaryIO:
        """Open a file for reading."""


PART = ".part"
"""The suffix of a file that is being written."""

# Version 0.1 wrote <name>.<32 digits>.part, and objects as well.
_TEMPORARY = re.compile(rf"\.([0-9a-f]{{12}}|[0-9a-f]{{32}}){re.escape(PART)}$")


def is_part(name: str) -> bool:
    """Tell whether a file is one that is being written, or that a killed writer has left."""
    return _TEMPORARY.search(name) is not None
