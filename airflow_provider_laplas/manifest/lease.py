"""
Who may submit the files of a batch: several tries of its task, or several tasks, can be at work at once.

Airflow starts a retry while the try before it may still run, cut off from its supervisor; and a trigger can outlive its
task's Clear. So leases are numbered, and number n is taken by creating its file where there is none, which a storage
lets only one writer do. Whoever holds the highest number holds the batch. The holder

1. writes its intents into its own journal,
2. then looks whether the next number is taken, and submits only if it is not.

Whoever takes a lease reads all journals after that. So an intent is either seen by the next holder or not acted upon.
A writer that has lost its lease submits nothing more; what it learns of submissions under way it still writes into its
own journal, where it is found.
"""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage


@dataclass(frozen=True, slots=True)
class Lease:
    """
    The right to submit the files of a batch.

    :ivar manifest: the manifest's URI
    :ivar number: the highest one is the holder's
    :ivar owner: the ids of the task that took it
    :ivar taken_at: epoch seconds
    """

    manifest: str
    number: int
    owner: Mapping[str, Any]
    taken_at: float

    @property
    def task(self) -> str:
        """The owner, for people: the DAG's, the run's and the task's id."""
        return "/".join(str(self.owner.get(name)) for name in ("dag_id", "run_id", "task_id"))


def find_lease(manifest: str, storage: Storage) -> Lease | None:
    """Return the lease that is held, or was last; None if none was ever taken. Blocking."""
    numbers = [
        int(stem)
        for name in storage.list_files(_folder(manifest))
        if (stem := name.partition(".")[0]).isdigit()
    ]
    return read_lease(manifest, max(numbers), storage) if numbers else None


def read_lease(manifest: str, number: int, storage: Storage) -> Lease:
    """Return the lease with a number. Blocking."""
    content = json.loads(storage.read_text(_uri(manifest, number)))
    return Lease(manifest, number, content["owner"], content["taken_at"])


def take_lease(manifest: str, owner: Mapping[str, Any], storage: Storage, *, after: Lease | None) -> Lease:
    """
    Take the lease from whoever has it. Blocking.

    :param owner: the ids of the task that takes it
    :param after: what :func:`find_lease` returned
    :raises LaplasArgumentError: if somebody else has taken it since
    """
    lease = Lease(manifest, (after.number if after else 0) + 1, dict(owner), time.time())
    text = json.dumps({"owner": lease.owner, "taken_at": lease.taken_at, "writer": secrets.token_hex(8)})
    if not persistently(_create, lease, text, storage):
        raise lost(read_lease(manifest, lease.number, storage))
    return lease


def check_lease(lease: Lease, storage: Storage) -> None:
    """
    Return if the lease is still held. Blocking.

    :raises LaplasArgumentError: if somebody else has taken it since
    """
    # Read and not asked for: of a missing file, that is one request less.
    try:
        other = read_lease(lease.manifest, lease.number + 1, storage)
    except FileNotFoundError:
        return
    raise lost(other)


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


def _uri(manifest: str, number: int) -> str:
    return f"{_folder(manifest)}/{number:06}.json"


def _folder(manifest: str) -> str:
    return f"{manifest.rpartition('/')[0]}/.manifest/leases"
