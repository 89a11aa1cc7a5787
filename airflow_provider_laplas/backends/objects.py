"""Objects in a storage, through a file system of fsspec."""

import asyncio
import io
import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from typing import Any, BinaryIO, ClassVar

from airflow_provider_laplas.backends.base import READ_AT_ONCE, THREADS, FileInfo, is_part

log = logging.getLogger(__name__)

LISTING = 15
"""
How many times as long as another call a listing may take, as long as the storage answers others: it asks for one page of a
thousand names after the other.
"""

SLOWEST = 256 * 1024
"""Bytes a second; a call that writes has so much longer."""

# What each operation needs, in the words of S3, Google Cloud Storage and Azure.
_PERMISSIONS = {
    "read": "read objects (s3:GetObject, storage.objects.get)",
    "read_range": "read objects (s3:GetObject, storage.objects.get)",
    "open": "read objects (s3:GetObject, storage.objects.get)",
    "info": "read objects (s3:GetObject, storage.objects.get)",
    "list": "list objects (s3:ListBucket, storage.objects.list)",
    "write": "write objects (s3:PutObject, storage.objects.create)",
    "create": "write objects (s3:PutObject, storage.objects.create)",
    "delete": "delete objects (s3:DeleteObject, storage.objects.delete)",
}


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

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from one position to before another; fewer, where the file ends before."""
        content: bytes = self._run("cat_file", path, start=start, end=end, **self._read_options)
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
            if name != below and name and not name.endswith("/") and not is_part(name):
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
            return self._result(future, name, args[0], size)
        if self._watched is None:
            self._watched = ThreadPoolExecutor(THREADS, thread_name_prefix="laplas-storage-call")
        context = copy_context()
        future = self._watched.submit(context.run, getattr(self._fs, name), *args, **kwargs)
        return self._result(future, name, args[0], size)

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

    def _result(self, future: "Future[Any]", name: str, path: str, size: int) -> Any:
        waits = LISTING if name in {"find", "ls"} else 1
        try:
            while True:
                try:
                    return future.result(self._timeout + size / SLOWEST)
                except TimeoutError:
                    waits -= 1
                    if future.done() or waits <= 0 or not self._answers(path):
                        raise
        except BaseException:
            # A time-out, of ours or of Airflow: nobody waits for it any more.
            future.cancel()
            raise

    def _answers(self, path: str) -> bool:
        """Tell whether the storage answers at all, while a listing takes long."""
        try:
            self._run("info", path)
        except TimeoutError:
            return False
        except Exception:  # noqa: BLE001
            return True
        return True


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
