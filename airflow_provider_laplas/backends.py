"""
The kinds of storage behind :class:`~airflow_provider_laplas.storage.Storage`: disks, and whatever fsspec reaches.

No name is read as a pattern or parsed as a URL, and nothing is answered from a listing that was made earlier.
"""

import asyncio
import errno
import io
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, ClassVar, Protocol

log = logging.getLogger(__name__)

THREADS = 16
"""Calls to one storage at a time, from an event loop."""

READ_AT_ONCE = 8 * 1024 * 1024
"""Bytes up to which an object is read with one request, into memory; larger ones are streamed."""

LISTING = 15
"""How many times as long as another call a listing may take: it asks for one page of a thousand names after the other."""

SLOWEST = 256 * 1024
"""Bytes a second; a call that writes has so much longer."""

_PART = ".part"
_STALE_PART = 24 * 3600.0


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


# What each operation needs, in the words of S3, Google Cloud Storage and Azure.
_PERMISSIONS = {
    "read": "read objects (s3:GetObject, storage.objects.get)",
    "open": "read objects (s3:GetObject, storage.objects.get)",
    "info": "read objects (s3:GetObject, storage.objects.get)",
    "list": "list objects (s3:ListBucket, storage.objects.list)",
    "write": "write objects (s3:PutObject, storage.objects.create)",
    "create": "write objects (s3:PutObject, storage.objects.create)",
    "delete": "delete objects (s3:DeleteObject, storage.objects.delete)",
}
_DISK_PERMISSIONS = {
    "read": "read this file",
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
        temporary = os.path.join(folder, f".{secrets.token_hex(6)}{_PART}")  # noqa: PTH118
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
                    if _is_part(name):
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


# Version 0.1 wrote <name>.<32 digits>.part, and objects as well.
_TEMPORARY = re.compile(rf"\.([0-9a-f]{{12}}|[0-9a-f]{{32}}){re.escape(_PART)}$")


def _is_part(name: str) -> bool:
    return _TEMPORARY.search(name) is not None


class Objects:
    """Objects through a file system of fsspec."""

    permissions: ClassVar[Mapping[str, str]] = _PERMISSIONS

    def __init__(self, filesystem: Any, timeout: float) -> None:
        self._fs = filesystem
        self._timeout = timeout
        # A DirFileSystem is as asynchronous as what it wraps.
        self._asynchronous = getattr(getattr(filesystem, "fs", filesystem), "async_impl", False)
        self._watched: ThreadPoolExecutor | None = None
        protocol = getattr(filesystem, "protocol", "")
        # s3fs would ask for the size first.
        self._read_options = {"max_concurrency": 1} if "s3" in protocol else {}
        # fsspec's own search leaves out the folders that it cannot list. That of the large storages raises.
        self._find_options = {"on_error": "raise"} if _inherits(filesystem, "find") else {}
        self.exclusive: bool | None = None
        if _inherits(filesystem, "pipe_file"):
            # It looks whether there is a file, and then writes.
            self._not_exclusive()

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        content: bytes = self._run("cat_file", path, **self._read_options)
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write a file, replacing what is there."""
        self._run("pipe_file", path, content)

    def create(self, path: str, content: bytes) -> None:
        """Write a file where there is none, else raise FileExistsError."""
        if self.exclusive is not False:
            try:
                self._run("pipe_file", path, content, mode="create")
            except (NotImplementedError, TypeError):
                self._not_exclusive()
            else:
                if self.exclusive is None:
                    self._try_again(path, content)
                return
        with suppress(FileNotFoundError):
            self.info(path)
            raise FileExistsError(path) from None
        self.write(path, content)

    def _try_again(self, path: str, content: bytes) -> None:
        """Find out whether the storage refuses to create what is there: some ignore the condition."""
        try:
            self._run("pipe_file", path, content, mode="create")
        except FileExistsError:
            self.exclusive = True
        else:
            self._not_exclusive()

    def _not_exclusive(self) -> None:
        self.exclusive = False
        log.warning(
            "The file system %s, or its storage, cannot create a file only where there is none. Of two tasks that begin on "
            "one folder at the same moment the first one may be told so late: it then ends, and the other one goes on.",
            type(self._fs).__name__,
        )

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._run("rm_file", path)

    def info(self, path: str) -> FileInfo:
        """Return what the storage says of a file."""
        # What was listed earlier may have changed since.
        self._fs.invalidate_cache()
        found = self._run("info", path)
        if found.get("type") == "directory":
            raise FileNotFoundError(path)
        return _object_info(found)

    def list(self, folder: str, recursive: bool) -> dict[str, FileInfo]:
        """Return all files below a folder, or those in it alone."""
        prefix = folder.rstrip("/") + "/"
        self._fs.invalidate_cache()
        try:
            if recursive:
                found = self._run("find", prefix, detail=True, **self._find_options)
            else:
                there = self._run("ls", prefix, detail=True)
                found = {each["name"]: each for each in there if each.get("type") != "directory"}
        except FileNotFoundError:
            return {}
        finally:
            # It would be kept as long as the process lives.
            self._fs.invalidate_cache()
        files: dict[str, FileInfo] = {}
        if not isinstance(found, dict):
            # So Azure's library answers where an object has the folder's name.
            container, _, key = prefix.partition("/")
            found = self._run("find", container, detail=True, prefix=key, **self._find_options)
        for path, info in found.items():
            below = path.lstrip("/")
            name = below.removeprefix(prefix.lstrip("/"))
            if name != below and name and not name.endswith("/") and not _is_part(name):
                files[name] = _object_info(info)
        return files

    def has_root(self, path: str) -> bool:
        """Tell whether there is the bucket that a path lies in; where that may not be asked, True."""
        try:
            exists: bool = self._run("exists", path.strip("/").partition("/")[0])
        except Exception:  # noqa: BLE001
            return True
        return exists

    def open(self, path: str, info: FileInfo) -> BinaryIO:
        """Open a file for reading."""
        if info.size <= READ_AT_ONCE:
            return io.BytesIO(self.read(path))
        file: BinaryIO = self._run("open", path, "rb")
        return file

    def _run(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self._check_name(args[0], writes=name == "pipe_file")
        size = len(args[1]) if name == "pipe_file" else 0
        if self._asynchronous and name != "open":
            # On fsspec's own event loop, where it can be ended.
            call = getattr(self._fs, f"_{name}")
            future = asyncio.run_coroutine_threadsafe(call(*args, **kwargs), self._fs.loop)
            return self._result(future, name, size)
        if self._watched is None:
            self._watched = ThreadPoolExecutor(THREADS, thread_name_prefix="laplas-storage-call")
        context = copy_context()
        future = self._watched.submit(context.run, getattr(self._fs, name), *args, **kwargs)
        return self._result(future, name, size)

    def _check_name(self, path: str, *, writes: bool) -> None:
        """Refuse a name that the storage's library would change in silence: Azure's drops a ``?`` at the end."""
        split = getattr(self._fs, "split_path", None)
        if split is None:
            return
        whole = "/".join(split(path)[:2]).rstrip("/")
        if writes:
            try:
                # After a write, Azure's library parses the name without its container as a URL.
                self._fs._parent(whole.partition("/")[2])  # noqa: SLF001
            except ValueError:
                whole = ""
        if whole != path.rstrip("/"):
            raise OSError("the storage's library cannot take this name as it is")

    def _result(self, future: "Future[Any]", name: str, size: int = 0) -> Any:
        try:
            return future.result(self._timeout * (LISTING if name in {"find", "ls"} else 1) + size / SLOWEST)
        except BaseException:
            # A time-out, of ours or of Airflow: nobody waits for it any more.
            future.cancel()
            raise


def _inherits(filesystem: Any, name: str) -> bool:
    """Tell whether a file system has fsspec's general way to do something, and not its own."""
    from fsspec import AbstractFileSystem  # noqa: PLC0415
    from fsspec.asyn import AsyncFileSystem  # noqa: PLC0415

    kind, base = type(filesystem), AbstractFileSystem
    if isinstance(filesystem, AsyncFileSystem):
        name, base = f"_{name}", AsyncFileSystem
    return getattr(kind, name, None) is getattr(base, name)


def _object_info(found: dict[str, Any]) -> FileInfo:
    times = (found.get(name) for name in ("LastModified", "last_modified", "updated", "mtime", "created"))
    modified = _epoch(next((time for time in times if time), 0.0))
    etag = str(found.get("ETag") or found.get("etag") or found.get("md5Hash") or modified)
    # Google's generation, and Azure's hash: their ETags change with a label, or when a rule moves a file to colder storage.
    settings = found.get("content_settings")
    digest = settings.get("content_md5") if isinstance(settings, Mapping) else None
    version = str(found.get("generation") or (bytes(digest).hex() if digest else etag))
    return FileInfo(int(found.get("size") or 0), modified, version, etag)


def _epoch(moment: Any) -> float:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
