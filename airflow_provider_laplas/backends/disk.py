"""Local files, by the operating system's own calls."""

import errno
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO, ClassVar

from airflow_provider_laplas.backends.base import PART, FileInfo, is_part

_STALE_PART = 24 * 3600.0

_DISK_PERMISSIONS = {
    "read": "read this file",
    "read_range": "read this file",
    "open": "read this file",
    "info": "search its folder",
    "list": "list this folder",
    "write": "write into its folder",
    "create": "write into its folder",
    "delete": "delete in its folder",
}


# What os.link says on file systems that have no hard links.
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK}


# A folder that was deleted meanwhile, or is none; and a link to a folder that it is in.
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


class Disk:
    """Local files, by the operating system's own calls; it offers no way to end one that hangs."""

    permissions: ClassVar[Mapping[str, str]] = _DISK_PERMISSIONS
    exclusive: bool | None = True

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from one position to before another; fewer, where the file ends before."""
        with open(path, "rb") as file:  # noqa: PTH123
            file.seek(start)
            return file.read(end - start)

    def write(self, path: str, content: bytes) -> None:
        """Write a file, replacing what is there."""
        with self._written_beside(path, content) as temporary:
            os.replace(temporary, path)  # noqa: PTH105

    def create(self, path: str, content: bytes) -> None:
        """Write a file where there is none, else raise FileExistsError."""
        with self._written_beside(path, content) as temporary:
            try:
                # A link, unlike a move, replaces nothing; and whoever finds the file finds all of it.
                os.link(temporary, path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                self._create_in_place(path, content)

    def _create_in_place(self, path: str, content: bytes) -> None:
        with open(path, "xb") as file:  # noqa: PTH123
            try:
                file.write(content)
                _sync(file)
            except BaseException:
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108
                raise

    @contextmanager
    def _written_beside(self, path: str, content: bytes) -> Iterator[str]:
        """Write a temporary file with a short name: one with the file's name in it could be too long."""
        folder = os.path.dirname(path)  # noqa: PTH120
        if folder:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        temporary = os.path.join(folder, f".{secrets.token_hex(6)}{PART}")  # noqa: PTH118
        try:
            with open(temporary, "wb") as file:  # noqa: PTH123
                file.write(content)
                _sync(file)
            yield temporary
        finally:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108

    def delete(self, path: str) -> None:
        """Delete a file."""
        os.unlink(path)  # noqa: PTH108

    def info(self, path: str) -> FileInfo:
        """Return what the storage says of a file."""
        found = os.stat(path)  # noqa: PTH116
        if not os.path.isfile(path):  # noqa: PTH113
            raise FileNotFoundError(path)
        return _disk_info(found)

    def list(self, folder: str, recursive: bool) -> dict[str, FileInfo]:
        """Return all files below a folder, or those in it alone."""
        root = folder.rstrip("/") or "/"
        skip = len(root.rstrip("/")) + 1
        files = {}
        for parent, folders, names in os.walk(root, onerror=_raise_unless_gone, followlinks=True):
            folders[:] = [name for name in folders if recursive and not _leads_back(parent, name)]
            for name in names:
                path = f"{parent.rstrip('/')}/{name}"
                # A file can be deleted, or a link lead nowhere.
                with suppress(FileNotFoundError):
                    info = self.info(path)
                    if is_part(name):
                        self._clean_up(path, info)
                    else:
                        files[path[skip:]] = info
        return files

    def has_root(self, path: str) -> bool:
        """Return True: a missing folder is noticed by itself."""
        return True

    def open(self, path: str, info: FileInfo) -> BinaryIO:
        """Open a file for reading."""
        return open(path, "rb")  # noqa: PTH123

    def _clean_up(self, path: str, info: FileInfo) -> None:
        if info.modified < time.time() - _STALE_PART:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108


def _sync(file: BinaryIO) -> None:
    # What is moved into place is to be whole also after a power cut.
    file.flush()
    os.fsync(file.fileno())


def _raise_unless_gone(error: OSError) -> None:
    # A folder that cannot be read is not an empty one.
    if error.errno not in _NOT_THERE:
        raise error


def _leads_back(parent: str, name: str) -> bool:
    """Tell whether a folder is a link to one that it is in, below which everything would be found again, for ever."""
    path = os.path.join(parent, name)  # noqa: PTH118
    if not os.path.islink(path):  # noqa: PTH114
        return False
    target = os.path.realpath(path)
    return f"{os.path.realpath(parent)}/".startswith(f"{target.rstrip('/')}/")


def _disk_info(found: os.stat_result) -> FileInfo:
    return FileInfo(found.st_size, found.st_mtime, str(found.st_mtime_ns))
