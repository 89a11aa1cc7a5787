"""An object storage that counts what is asked of it, and what that costs: its own cost is known, so it can be left out."""

import hashlib
import os
import re
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from fsspec import AbstractFileSystem

from airflow_provider_laplas.storage import Storage

ROOT = "bench://bucket"
INBOX, OUT = f"{ROOT}/inbox", f"{ROOT}/out"
AUDIO = b"ID3" + bytes(197)
AUDIO_MD5 = hashlib.md5(AUDIO, usedforsecurity=False).hexdigest()
NAMES_A_LISTING = 1000
"""Names in the answer to one request for a listing, as S3, Google Cloud Storage and Azure (5,000) have it."""

CHANGED = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = {"GET": 0.02, "PUT": 0.04, "HEAD": 0.02, "DELETE": 0.02, "LIST": 0.1}
"""How long a request takes, about as long as with S3 in the same region."""


class Bucket(AbstractFileSystem):
    """
    So many recordings in a folder, which exist by their names alone, and what is written, on a disk.

    :param folder: where that is
    :param recordings: how many there are
    :param speed: how many times as fast as a real one it answers
    """

    protocol = "bench"
    cachable = False

    def __init__(self, folder: Path, recordings: int, speed: float) -> None:
        super().__init__()
        self.folder, self.recordings, self.speed = folder, recordings, speed
        self.requests: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.own_cpu = 0.0
        self._lock = Lock()

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Read an object."""
        with self._request("GET", path):
            return AUDIO if "/inbox/" in path else self._local(path).read_bytes()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write an object."""
        with self._request("PUT", path, len(value)):
            target = self._local(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb" if mode == "create" else "wb") as file:
                file.write(value)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Say what is known of an object."""
        with self._request("HEAD", path):
            found = self._local(path).stat()
            return _info(path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def rm_file(self, path: str) -> None:
        """Delete an object."""
        with self._request("DELETE", path):
            self._local(path).unlink()

    def find(self, path: str, **_: Any) -> dict[str, dict[str, Any]]:  # type: ignore[override]
        """List the objects below a folder."""
        with self._request("LIST", path):
            found = {each["name"]: each for each in self._below(path.rstrip("/"))}
        more = max(0, -(-len(found) // NAMES_A_LISTING) - 1)
        self.requests[f"LIST {_kind(path)}"] += more
        time.sleep(more * SECONDS["LIST"] / self.speed)
        return found

    def _below(self, folder: str) -> Iterator[dict[str, Any]]:
        if folder.endswith("/inbox"):
            for number in range(self.recordings):
                name = f"{folder}/2026-01/call-{number:08}.mp3"
                yield _info(name, len(AUDIO), CHANGED)
            return
        root = str(self._local(folder))
        for parent, _, names in os.walk(root):
            for name in names:
                found = Path(parent, name).stat()
                changed = datetime.fromtimestamp(found.st_mtime, UTC)
                yield _info(f"{folder}{parent[len(root) :]}/{name}", found.st_size, changed)

    def _local(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    @contextmanager
    def _request(self, operation: str, path: str, size: int = 0) -> Iterator[None]:
        # Before its answer, as is the time on the way.
        time.sleep(SECONDS[operation] / self.speed)
        began, kind = time.thread_time(), _kind(path)
        try:
            yield
        finally:
            with self._lock:
                self.requests[f"{operation} {kind}"] += 1
                self.written[kind] += size
                self.own_cpu += time.thread_time() - began


@dataclass(frozen=True)
class _Path:
    """What a storage's root looks like."""

    fs: Bucket
    path: str


def storage_of(bucket: Bucket) -> Storage:
    """Return the storage that has a bucket for everything that is no path."""
    return Storage(lambda root: _Path(bucket, root.partition("://")[2]))


def _info(name: str, size: int, changed: datetime) -> dict[str, Any]:
    """Return what s3fs says of an object, of which there is one for each."""
    return {
        "Key": name,
        "LastModified": changed,
        "ETag": f'"{AUDIO_MD5 if "/inbox/" in name else f"{zlib.crc32(name.encode()):032x}"}"',
        "Size": size,
        "StorageClass": "STANDARD",
        "type": "file",
        "size": size,
        "name": name,
    }


def _kind(path: str) -> str:
    """Tell what an object, or a folder, is for."""
    place, _, below = path.partition("/.manifest")
    if below:
        return "checkpoint" if below.endswith("-checkpoint.json") else re.split("[/.]", below)[1]
    if "/inbox" in place:
        return "audio"
    return "manifest" if place.endswith("/manifest.json") else "transcripts"
