"""
Whole files in object storage and on local disks, by their exact names.

A file is there whole or not at all: written with one request, or on a disk under a temporary name and moved into place.
A call that the storage does not answer ends after :data:`CALL_TIMEOUT` seconds.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from itertools import islice
from typing import Any, BinaryIO, TypeVar

from airflow_provider_laplas.backends import THREADS, Backend, Disk, FileInfo, Objects
from airflow_provider_laplas.errors import LaplasConfigurationError, LaplasStorageError
from airflow_provider_laplas.redaction import redact, redacted

log = logging.getLogger(__name__)

T = TypeVar("T")

CALL_TIMEOUT = 60.0
"""Seconds after which a call that the storage does not answer is given up; a listing has up to 15 times as long."""

REOPEN_AFTER = 60.0
"""Seconds between two times that a storage's connection is looked up again because the storage refuses its key."""


class Storage:
    """
    Files by their URIs. Blocking, except for :meth:`off_loop`; usable from several threads.

    Use Airflow's object storage (:func:`object_storage`), :data:`LOCAL`, or ``Storage(UPath)``.

    Every method raises :class:`~airflow_provider_laplas.errors.LaplasStorageError` where the storage refuses, fails or
    does not answer. It names the storage and the file.

    :param path: makes a path object of the root of a storage, such as ``s3://connection_id@bucket``: one whose ``fs`` is
        a file system of fsspec
    :param call_timeout: seconds for each call. Default :data:`CALL_TIMEOUT`
    :param reopen: makes a new file system for such a path object, for a key that has expired or was replaced. Default:
        its ``fs``, once more
    """

    def __init__(
        self,
        path: Callable[[str], Any],
        *,
        call_timeout: float = CALL_TIMEOUT,
        reopen: Callable[[Any], Any] = lambda path: path.fs,
    ) -> None:
        self._path = path
        self._reopen = reopen
        self._call_timeout = call_timeout
        self._roots: dict[str, _Root] = {}

    def read_text(self, uri: str) -> str:
        """
        Read a file.

        :raises FileNotFoundError: if it does not exist
        """
        root, path = self._locate(uri)
        content: bytes = root.call("read", uri, path)
        return content.decode()

    def read_range(self, uri: str, start: int, end: int) -> bytes:
        """
        Read the bytes of a file from one position to before another, with one request.

        :raises FileNotFoundError: if it does not exist
        """
        root, path = self._locate(uri)
        content: bytes = root.call("read_range", uri, path, start, end)
        return content

    def write_text(self, uri: str, text: str) -> None:
        """Write a file, replacing what is there; missing local folders are made."""
        self.write_bytes(uri, text.encode())

    def write_bytes(self, uri: str, content: bytes) -> None:
        """Do what :meth:`write_text` does."""
        root, path = self._locate(uri)
        root.call("write", uri, path, content)

    def create(self, uri: str, text: str) -> bool:
        """Write a file where there is none; False where there is one. Of several that try at once, one succeeds."""
        root, path = self._locate(uri)
        try:
            root.call("create", uri, path, text.encode())
        except FileExistsError:
            return False
        return True

    def creates_exclusively(self, uri: str) -> bool:
        """Tell whether :meth:`create` lets only one of several succeed there, as far as that is known."""
        return self._locate(uri)[0].exclusive

    def delete(self, uri: str) -> None:
        """Delete a file, if it is there."""
        root, path = self._locate(uri)
        with suppress(FileNotFoundError):
            root.call("delete", uri, path)

    def tidy(self, uris: Sequence[str]) -> None:
        """Delete files that are not needed any more; where that is not permitted, they stay."""

        def delete(uri: str) -> bool:
            try:
                self.delete(uri)
            except LaplasStorageError:
                return False
            return True

        # The first one tells whether it is permitted.
        if uris and delete(uris[0]) and len(uris) > 1:
            self.map(delete, uris[1:])

    def exists(self, uri: str) -> bool:
        """Tell whether there is a file."""
        try:
            self.info(uri)
        except FileNotFoundError:
            return False
        return True

    def info(self, uri: str) -> FileInfo:
        """
        Return a file's size, time and version.

        :raises FileNotFoundError: if it does not exist
        """
        root, path = self._locate(uri)
        info: FileInfo = root.call("info", uri, path)
        return info

    def list_files(self, folder: str, *, recursive: bool = True) -> dict[str, FileInfo]:
        """
        Return all files in a folder and in its folders, by their paths below it; none where there is no folder.

        Half-written files of a writer that was killed are left out; on a disk those of the day before are deleted.

        :param recursive: whether the folders in it are listed, too
        """
        root, path = self._locate(folder)
        files: dict[str, FileInfo] = root.call("list", folder, path, recursive)
        return files

    def has_root(self, uri: str) -> bool:
        """Tell whether there is such a bucket, as far as the storage says so: an empty listing does not tell."""
        root, path = self._locate(uri)
        exists: bool = root.call("has_root", uri, path)
        return exists

    def open(self, uri: str, info: FileInfo | None = None) -> BinaryIO:
        """
        Open a file for reading. A small one is read now, with one request; others are streamed.

        :param info: what :meth:`info` or :meth:`list_files` said of it. Default: it is asked for
        :raises FileNotFoundError: where there is none
        """
        root, path = self._locate(uri)
        file: BinaryIO = root.call("open", uri, path, info or self.info(uri))
        return file

    def map(self, function: Callable[..., T], *items: Iterable[Any]) -> list[T]:
        """
        Call a function that blocks on a storage for many items, several at a time, and return the results in order.

        :raises Exception: the first failure, after all calls have ended
        """
        results: list[T] = []
        calls = zip(*items, strict=True)
        with ThreadPoolExecutor(THREADS) as threads:
            # Not all of them at once: one that waits its turn takes more memory than its file.
            while some := list(islice(calls, 64 * THREADS)):
                results.extend(threads.map(function, *zip(*some, strict=True)))
        return results

    async def off_loop(self, uri: str, function: Callable[..., T], *args: Any) -> T:
        """
        Run a function that blocks on a storage in one of the threads that are kept for this storage.

        One that hangs holds up nobody who waits for another, and nothing else that the event loop's own threads do.

        :param uri: any file or folder of that storage
        """
        return await _off_loop(_threads_of(_place_of(uri)), function, *args)

    def _locate(self, uri: str) -> "tuple[_Root, str]":
        name, rest = _root_of(uri)
        root = self._roots.get(name)
        if root is None:
            root = self._roots[name] = self._open_root(name, uri, lambda path: path.fs)
        elif root.is_to_be_reopened():
            # The key of its connection may have been replaced since.
            root = self._roots[name] = self._open_root(name, uri, self._reopen)
        return root, f"{root.prefix}{rest}"

    def _open_root(self, name: str, uri: str, filesystem_of: Callable[[Any], Any]) -> "_Root":
        if not name:
            return _Root("This machine's disk", "", Disk())
        shown = redacted(name)
        try:
            path = self._path(name)
            filesystem, prefix = filesystem_of(path), f"{path.path.rstrip('/')}/"
        except (ImportError, ValueError) as error:
            raise LaplasConfigurationError(
                f"{redacted(uri)} lies in a storage that cannot be used here: {redact(str(error))}. Install its "
                "provider, as in apache-airflow-providers-amazon[s3fs] for s3:// and apache-airflow-providers-google "
                "for gs://."
            ) from None
        except Exception as error:  # noqa: BLE001
            raise LaplasStorageError(
                f"{shown} could not be opened: {redact(repr(error))}. Check the storage's connection."
            ) from None
        return _Root(shown, prefix, Objects(filesystem, self._call_timeout))


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_local(uri: str) -> bool:
    """Tell whether a path or URI lies on this machine."""
    return not _root_of(uri)[0]


def local_path(uri: str) -> str:
    """Return the path of a local file or folder that is given as a path or as a ``file://`` URI."""
    return _root_of(uri)[1]


def _root_of(uri: str) -> tuple[str, str]:
    """Return a storage's root, empty for local disks, and the path below it, to the letter."""
    scheme, _, rest = uri.partition("://")
    if not _SCHEME.match(uri):
        return "", uri
    authority, slash, path = rest.partition("/")
    if scheme in {"file", "local"}:
        # file://connection_id@/path is Airflow's.
        here = not authority or authority == "localhost" or authority.endswith("@")
        return "", f"/{path}" if here else f"{authority}{slash}{path}"
    return f"{scheme}://{authority}", path


def _place_of(uri: str) -> str:
    """Return what may hang as one: a storage, or what is likely to be one mount."""
    root, path = _root_of(uri)
    return root or "/".join(path.split("/")[:3])


_FAILED = {
    "open": "be read",
    "read": "be read",
    "read_range": "be read",
    "info": "be asked for",
    "list": "be listed",
    "write": "be written",
}


class _Root:
    """One storage: its errors are ours, and an outage is logged once, and once more when it is over."""

    def __init__(self, shown: str, prefix: str, backend: Backend) -> None:
        self.prefix = prefix
        self._shown = shown
        self._backend = backend
        self._away_since: float | None = None
        self._opened_at = time.monotonic()
        self._refused = False

    @property
    def exclusive(self) -> bool:
        """Whether the storage lets only one of several create a file, as far as that is known."""
        return self._backend.exclusive is not False

    def is_to_be_reopened(self) -> bool:
        """Tell whether the storage has refused its key, and it was not opened just now."""
        return self._refused and time.monotonic() - self._opened_at >= REOPEN_AFTER

    def call(self, operation: str, uri: str, *args: Any) -> Any:
        try:
            result = getattr(self._backend, operation)(*args)
        except FileExistsError:
            self._answered()
            raise
        except FileNotFoundError as error:
            self._answered()
            if operation not in {"write", "create"}:
                raise
            raise LaplasStorageError(
                f"{redacted(uri)} could not be written: there is no such bucket or folder. Create it. "
                f"({redact(repr(error))})"
            ) from None
        except (IsADirectoryError, NotADirectoryError):
            self._answered()
            raise FileNotFoundError(redacted(uri)) from None
        except Exception as error:  # noqa: BLE001
            self._refused = _is_refusal(error)
            if self._refused and _names_no_other_cause(error):
                self._answered()
                permission = self._backend.permissions[operation]
                raise LaplasStorageError(
                    f"{redacted(uri)}: there is no permission to {permission}. Grant it. ({redact(repr(error))})",
                    permission=permission,
                ) from None
            timed_out = isinstance(error, TimeoutError)
            cause = "the storage does not answer" if timed_out else redact(repr(error))
            self._failed(cause)
            failed = _FAILED.get(operation, f"be {operation.removesuffix('e')}ed")
            raise LaplasStorageError(
                f"{redacted(uri)} could not {failed}: {cause}. Check the storage and its connection."
            ) from None
        self._answered()
        return result

    def _failed(self, cause: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("%s does not work: %s. It is tried again.", self._shown, cause)

    def _answered(self) -> None:
        since, self._away_since = self._away_since, None
        if since is not None:
            log.warning("%s works again, after %.0f s.", self._shown, time.monotonic() - since)


def _is_refusal(error: Exception) -> bool:
    # gcsfs and adlfs have no PermissionError for these.
    return (
        isinstance(error, PermissionError)
        or _status(error) in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        or str(error).startswith("Forbidden")
    )


def _names_no_other_cause(error: Exception) -> bool:
    """Tell whether a refusal is for a lack of permission: of an expired key, or an archived object, S3 says so."""
    response = getattr(error.__cause__, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, Mapping) else None
    return _status(error) != HTTPStatus.UNAUTHORIZED and code in {None, "AccessDenied", "403"}


def _status(error: Exception) -> Any:
    return getattr(error, "status_code", None) or getattr(error, "code", None)


def _no_storage(root: str) -> Any:
    raise ValueError(f"only local files are read here, and {redacted(root)} is not: hand in a `storage`")


LOCAL = Storage(_no_storage)
"""Local files only."""


def _airflow_path(root: str) -> Any:
    # Costs a good part of a second to import, which a DAG file should not pay.
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415

    return ObjectStoragePath(root)


def _airflow_file_system(path: Any) -> Any:
    from airflow.sdk.io import get_fs  # noqa: PLC0415

    return get_fs(path.protocol, path.conn_id)


_AIRFLOW = Storage(_airflow_path, reopen=_airflow_file_system)


def object_storage() -> Storage:
    """Return Airflow's object storage: any URI of ``ObjectStoragePath``, with a connection's id before an @, or a path."""
    return _AIRFLOW


def write_text(uri: str, text: str) -> None:
    """Write a file to Airflow's object storage, for tasks that write files beside the transcripts."""
    object_storage().write_text(uri, text)


# For the whole process: however many Storage objects there are, one storage is one place that can hang.
_threads: dict[str, ThreadPoolExecutor] = {}
_threads_lock = threading.Lock()


def _threads_of(root: str) -> ThreadPoolExecutor:
    with _threads_lock:
        if root not in _threads:
            _threads[root] = ThreadPoolExecutor(THREADS, thread_name_prefix="laplas-storage")
        return _threads[root]


async def off_loop(function: Callable[..., T], *args: Any) -> T:
    """Run what blocks, and does not use a storage, in one of the event loop's own threads."""
    return await _off_loop(None, function, *args)


async def _off_loop(threads: ThreadPoolExecutor | None, function: Callable[..., T], *args: Any) -> T:
    # Not asyncio.to_thread: a storage that looks its connection up needs asgiref's way back to the loop.
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    value: T = await sync_to_async(function, thread_sensitive=False, executor=threads)(*args)
    return value
