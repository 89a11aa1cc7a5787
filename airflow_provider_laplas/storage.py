"""Read and write whole files in object storage. Blocking; writes are atomic."""

import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import redact

log = logging.getLogger(__name__)

T = TypeVar("T")

WRITE_ATTEMPTS = 5
"""The least number of attempts to write, with growing pauses: about eight seconds in total."""

LONGEST_WRITE_PAUSE = 30.0
"""The longest pause between two attempts to write, in seconds."""


class Storage:
    """
    Access to files by URI.

    Use Airflow's object storage (:func:`object_storage`), :data:`LOCAL`, or ``Storage(UPath)``.

    :param path: makes a path object from a URI. It needs ``open``, ``stat``, ``replace``, ``rglob`` and, for
        :meth:`modified_at`, ``fs``, as in universal_pathlib
    """

    def __init__(self, path: Callable[[str], Any]) -> None:
        self.path = path

    def write_text(self, uri: str, text: str) -> None:
        """Write a file under a temporary name and move it into place. Creates missing local folders."""
        path = self.path(uri)
        if is_local(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path(f"{uri}.{uuid.uuid4().hex}.part")
        # Not write_bytes: if the storage's connection cannot be looked up, that continues without credentials.
        with temporary.open("wb") as file:
            file.write(text.encode())
        temporary.replace(path)

    def read_text(self, uri: str) -> str:
        """
        Read a file.

        :raises FileNotFoundError: if it does not exist
        """
        with self.path(uri).open("rb") as file:
            content: bytes = file.read()
        return content.decode()

    def delete(self, uri: str) -> None:
        """Delete a file, if it exists."""
        self.path(uri).unlink(missing_ok=True)

    def exists(self, uri: str) -> bool:
        """Return whether a file exists."""
        return bool(self.path(uri).exists())

    def modified_at(self, uri: str) -> float:
        """
        Return when a file was written, in epoch seconds of the storage's clock.

        :raises FileNotFoundError: if it does not exist
        """
        path = self.path(uri)
        written: float = path.fs.modified(path.path).timestamp()
        return written

    def list_files(self, folder: str, suffix: str) -> list[str]:
        """Return the paths, relative to the folder, of all files below it with the suffix."""
        root = self.path(folder)
        prefix = root.path.rstrip("/") + "/"
        return [path.path.removeprefix(prefix) for path in root.rglob(f"*{suffix}")]


def is_local(path: Any) -> bool:
    """Return whether a path is on this machine, where folders have to exist before their files."""
    return getattr(path, "protocol", "") in {"", "file", "local"}


def _local_path(uri: str) -> Path:
    if "://" in uri:
        raise ValueError("only local files can be read by default: pass a `storage`")
    return Path(uri)


LOCAL = Storage(_local_path)
"""Local files only."""


def object_storage() -> Storage:
    """Return Airflow's object storage: any ``ObjectStoragePath`` URI, such as ``s3://conn_id@bucket``, or a path."""
    # Imported here to keep DAG parsing fast: it takes a good part of a second.
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415

    return Storage(ObjectStoragePath)


def write_text(uri: str, text: str) -> None:
    """Write a file to Airflow's object storage, for tasks that write files beside the transcripts."""
    object_storage().write_text(uri, text)


def persistently(write: Callable[..., T], *args: Any, until: float = 0.0) -> T:
    """
    Call a function that writes, retrying if it fails, because what it writes is paid for. Blocking.

    A :class:`~airflow_provider_laplas.errors.LaplasArgumentError` is not retried.

    :param until: epoch seconds until which it is retried at least
    :raises Exception: the last error
    """
    value: T = Retrying(**_repeated(until))(write, *args)
    return value


async def apersistently(write: Callable[..., Awaitable[T]], *args: Any, until: float = 0.0) -> T:
    """Async version of :func:`persistently`."""
    value: T = await AsyncRetrying(**_repeated(until))(write, *args)
    return value


async def off_loop(function: Callable[..., T], *args: Any) -> T:
    """Run a blocking function in a thread."""
    # Not asyncio.to_thread: a storage that looks up its Airflow connection needs asgiref to get back to the loop.
    from asgiref.sync import sync_to_async  # noqa: PLC0415

    value: T = await sync_to_async(function, thread_sensitive=False)(*args)
    return value


def _repeated(until: float) -> dict[str, Any]:
    return {
        "retry": retry_if_exception(_may_pass),
        "stop": stop_after_attempt(WRITE_ATTEMPTS) & stop_after_delay(until - time.time()),
        "wait": wait_exponential(multiplier=0.5, max=LONGEST_WRITE_PAUSE) + wait_random(0, 0.5),
        "before_sleep": _say,
        "reraise": True,
    }


def _may_pass(error: BaseException) -> bool:
    # Airflow's timeouts, cancellations and signals are not Exceptions: they end the task without a retry.
    return isinstance(error, Exception) and not isinstance(error, LaplasArgumentError)


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    log.warning("Writing failed; trying again in %.1f s: %s", pause, redact(repr(error)))
