"""Whole files in object storage, read and written; blocking. A file is there whole or not at all."""

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
"""How often a writing is tried at least, with growing pauses: some eight seconds in all."""

LONGEST_WRITE_PAUSE = 30.0
"""The longest pause, in seconds, between two tries to write."""


class Storage:
    """
    Files by their URIs.

    Whoever needs files is handed one: Airflow's (:func:`object_storage`), :data:`LOCAL`, or ``Storage(UPath)``.

    :param path: makes a path object of a URI: one with ``open``, ``stat``, ``replace``, ``rglob`` and, for the time of
        a file, ``fs``, as universal_pathlib's have them
    """

    def __init__(self, path: Callable[[str], Any]) -> None:
        self.path = path

    def write_text(self, uri: str, text: str) -> None:
        """Write a file under a temporary name and move it into place; missing local folders are made."""
        path = self.path(uri)
        if is_local(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path(f"{uri}.{uuid.uuid4().hex}.part")
        # Not write_bytes: where the storage's connection cannot be looked up, that goes on without credentials.
        with temporary.open("wb") as file:
            file.write(text.encode())
        temporary.replace(path)

    def read_text(self, uri: str) -> str:
        """
        Read a file.

        :raises FileNotFoundError: where there is none
        """
        with self.path(uri).open("rb") as file:
            content: bytes = file.read()
        return content.decode()

    def delete(self, uri: str) -> None:
        """Delete a file, if it is there."""
        self.path(uri).unlink(missing_ok=True)

    def exists(self, uri: str) -> bool:
        """Tell whether there is a file."""
        return bool(self.path(uri).exists())

    def modified_at(self, uri: str) -> float:
        """
        Return when a file was written, in epoch seconds of the storage's clock.

        :raises FileNotFoundError: where there is none
        """
        path = self.path(uri)
        written: float = path.fs.modified(path.path).timestamp()
        return written

    def list_files(self, folder: str, suffix: str) -> list[str]:
        """Return the paths, below the folder, of all files in it and its folders that end so."""
        root = self.path(folder)
        prefix = root.path.rstrip("/") + "/"
        return [path.path.removeprefix(prefix) for path in root.rglob(f"*{suffix}")]


def is_local(path: Any) -> bool:
    """Tell whether a storage's path lies on this machine, where folders have to be there before their files."""
    return getattr(path, "protocol", "") in {"", "file", "local"}


def _local_path(uri: str) -> Path:
    if "://" in uri:
        raise ValueError("only local files are read here: hand in a `storage`")
    return Path(uri)


LOCAL = Storage(_local_path)
"""Local files only."""


def object_storage() -> Storage:
    """Return Airflow's object storage: any URI of ``ObjectStoragePath``, with a connection's id before an @, or a path."""
    # Costs a good part of a second to import, which a DAG file should not pay.
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415

    return Storage(ObjectStoragePath)


def write_text(uri: str, text: str) -> None:
    """Write a file into Airflow's object storage, for tasks that write beside the transcripts."""
    object_storage().write_text(uri, text)


def persistently(write: Callable[..., T], *args: Any, until: float = 0.0) -> T:
    """
    Call what writes, again where it fails: what it notes is paid for. Blocking.

    An argument that is wrong is not repeated.

    :param until: epoch seconds up to which it is repeated at least
    :raises Exception: the last failure
    """
    value: T = Retrying(**_repeated(until))(write, *args)
    return value


async def apersistently(write: Callable[..., Awaitable[T]], *args: Any, until: float = 0.0) -> T:
    """Do what :func:`persistently` does, on the event loop."""
    value: T = await AsyncRetrying(**_repeated(until))(write, *args)
    return value


async def off_loop(function: Callable[..., T], *args: Any) -> T:
    """Run what blocks in a thread, from which Airflow's own look-ups still find back to the event loop."""
    # Not asyncio.to_thread: a storage that looks its connection up needs asgiref's way back to the loop.
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
    # A time-out of Airflow, a cancellation and a signal are no Exception: they end the task, and the writing with it.
    return isinstance(error, Exception) and not isinstance(error, LaplasArgumentError)


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    log.warning("What was to be written could not be; trying again in %.1f s: %s", pause, redact(repr(error)))
