"""Whole files in object storage, read and written; blocking. A file is there whole or not at all."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
