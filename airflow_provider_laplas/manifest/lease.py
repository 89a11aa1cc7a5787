"""
Who may submit the files of a batch: several tries of its task, or several tasks, can be at work at once.

Airflow starts a retry while the try before it may still run, cut off from its supervisor; and a trigger can outlive its
task's Clear. So leases are numbered, and number n is taken by creating its file where there is none, which a storage
lets only one writer do. Whoever holds the highest number holds the batch; the files of lower ones are deleted. The holder

1. writes its intents into its own journal,
2. then looks whether the next number is taken, and submits only if it is not.

Whoever takes a lease reads all journals after that. So an intent is either seen by the next holder or not acted upon.
A writer that has lost its lease submits nothing more; what it learns of submissions under way it still writes into its
own journal, where it is found.
"""

import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.manifest.journal import READ_ATTEMPTS, meta_folder
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage

_FILE = re.compile(r"leases/(\d{6,})(?:-checkpoint)?\.json")


@dataclass(frozen=True, slots=True)
class Lease:
    """
    The right to submit the files of a batch.

    :ivar manifest: the manifest's URI
    :ivar number: the highest one is the holder's
    :ivar owner: the ids of the task that took it
    :ivar taken_at: epoch seconds
    :ivar writer: who has created its file
    """

    manifest: str
    number: int
    owner: Mapping[str, Any]
    taken_at: float
    writer: str = ""

    @property
    def task(self) -> str:
        """The owner, for people: the DAG's, the run's and the task's id."""
        return "/".join(str(self.owner.get(name)) for name in ("dag_id", "run_id", "task_id"))


def find_lease(manifest: str, storage: Storage, *, names: Iterable[str] | None = None) -> Lease | None:
    """
    Return the lease that is held, or was last; None if none was ever taken. Blocking.

    :param names: what was just listed of the folder ``.manifest``
    """
    for _ in range(READ_ATTEMPTS):
        files = _list(manifest, storage, names)
        names = None
        if not files:
            return None
        number = files[-1][0]
        try:
            content = json.loads(storage.read_text(_uri(manifest, number)))
        except FileNotFoundError:
            # Others have taken the next ones meanwhile, and deleted it.
            continue
        except ValueError:
            # On a file system without links, one that is being written, or whose writer was killed.
            return Lease(manifest, number, {}, 0.0)
        return Lease(manifest, number, content["owner"], content["taken_at"], content["writer"])
    raise LaplasStorageError(
        f"{redacted(_folder(manifest))} lists files that are not there, again and again. Check the storage."
    )


def take_lease(manifest: str, owner: Mapping[str, Any], storage: Storage, *, after: Lease | None) -> Lease:
    """
    Take the lease from whoever has it. Blocking.

    :param owner: the ids of the task that takes it
    :param after: what :func:`find_lease` returned
    :raises LaplasArgumentError: if somebody else has taken it since
    """
    before = after.number if after else 0
    lease = Lease(manifest, before + 1, dict(owner), time.time(), secrets.token_hex(8))
    text = json.dumps({"owner": lease.owner, "taken_at": lease.taken_at, "writer": lease.writer})
    taken = persistently(_create, lease, text, storage)
    # Also where it was taken: the number may have been held, lost and deleted while this task stood still.
    files = _check(lease, storage)
    if not taken:
        raise lost(find_lease(manifest, storage) or lease)
    storage.tidy([uri for number, uri in files if number < before])
    return lease


def held_lease(manifest: str, number: int, storage: Storage) -> Lease:
    """
    Return the lease with a number, if it is still held. Blocking.

    :raises LaplasArgumentError: if somebody else has taken it since, or somebody has deleted it
    """
    lease = find_lease(manifest, storage)
    if lease is None:
        raise LaplasArgumentError(
            f"`results_path`: the lease of the batch in {redacted(manifest)} was deleted. Clear the task to list the files "
            "anew.",
            argument="results_path",
        )
    if lease.number != number:
        raise lost(lease)
    return lease


def check_lease(lease: Lease, storage: Storage) -> None:
    """
    Return if the lease is still held. Blocking.

    :raises LaplasArgumentError: if somebody else has taken it since
    """
    _check(lease, storage)


def _check(lease: Lease, storage: Storage) -> list[tuple[int, str]]:
    # Listed and not asked for by its name: of the numbers that come after it, only the last two are kept.
    files = _list(lease.manifest, storage)
    if files and files[-1][0] > lease.number:
        raise lost(find_lease(lease.manifest, storage) or lease)
    if not storage.creates_exclusively(lease.manifest):
        # The same number may have been given to another since: whoever came last has it.
        other = find_lease(lease.manifest, storage)
        if other is not None and other.writer != lease.writer:
            raise lost(other)
    return files


def lost(by: Lease) -> LaplasArgumentError:
    """Return the error for a batch at which somebody else is at work."""
    since = datetime.fromtimestamp(by.taken_at, UTC)
    return LaplasArgumentError(
        f"`results_path`: another try of this task, or another task, is at work on the batch in "
        f"{redacted(by.manifest)}: {by.task}, since {since:%Y-%m-%d %H:%M:%S} UTC. It is left to that one: nothing "
        "more is submitted here.",
        argument="results_path",
    )


def _create(lease: Lease, text: str, storage: Storage) -> bool:
    uri = _uri(lease.manifest, lease.number)
    # A create whose answer was lost is repeated, and then meets its own file.
    return storage.create(uri, text) or storage.read_text(uri) == text


def _list(manifest: str, storage: Storage, names: Iterable[str] | None = None) -> list[tuple[int, str]]:
    """Return the files of all leases: their numbers and URIs, in order."""
    if names is None:
        names = (f"leases/{name}" for name in storage.list_files(_folder(manifest)))
    found = ((_FILE.fullmatch(name), name) for name in names)
    return sorted((int(match[1]), f"{meta_folder(manifest)}/{name}") for match, name in found if match)


def _uri(manifest: str, number: int) -> str:
    return f"{_folder(manifest)}/{number:06}.json"


def _folder(manifest: str) -> str:
    return f"{meta_folder(manifest)}/leases"
