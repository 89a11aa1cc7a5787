"""Whole files in object storage, read and written; blocking. A file is there whole or not at all."""

import uuid
from typing import Any


def write_text(uri: str, text: str) -> None:
    """
    Write a file under a temporary name and move it into place.

    :param uri: any URI of Airflow's ``ObjectStoragePath``, or a local path; missing local folders are made
    """
    path = storage_path(uri)
    if path.protocol in {"", "file", "local"}:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = storage_path(f"{uri}.{uuid.uuid4().hex}.part")
    # Not write_bytes: where the storage's connection cannot be looked up, that goes on without credentials.
    with temporary.open("wb") as file:
        file.write(text.encode())
    temporary.replace(path)


def read_text(uri: str) -> str:
    """
    Read a file.

    :raises FileNotFoundError: where there is none
    """
    with storage_path(uri).open("rb") as file:
        content: bytes = file.read()
    return content.decode()


def delete(uri: str) -> None:
    """Delete a file, if it is there."""
    storage_path(uri).unlink(missing_ok=True)


def exists(uri: str) -> bool:
    """Tell whether there is a file."""
    return bool(storage_path(uri).exists())


def modified_at(uri: str) -> float:
    """
    Return when a file was written, in epoch seconds of the storage's clock.

    :raises FileNotFoundError: where there is none
    """
    path = storage_path(uri)
    written: float = path.fs.modified(path.path).timestamp()
    return written


def list_files(folder: str, suffix: str) -> list[str]:
    """Return the paths, below the folder, of all files in it and its folders that end so."""
    root = storage_path(folder)
    prefix = root.path.rstrip("/") + "/"
    return [path.path.removeprefix(prefix) for path in root.rglob(f"*{suffix}")]


def storage_path(uri: str) -> Any:
    """Return Airflow's path object; the connection's id may stand before an @ in the URI."""
    # Costs a good part of a second to import, which a DAG file should not pay.
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415

    return ObjectStoragePath(uri)
