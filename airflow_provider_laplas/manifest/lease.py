"""
The lease that decides who may submit the files of a batch.

Several tries of a task can run at once: Airflow may retry a task whose process is alive but has lost its supervisor,
and a trigger can outlive the Clear of its task. So a writer takes the batch's lease before it submits. Each holder has
its own journal, which nobody else writes, in the folder ``.manifest`` beside the manifest:

1. A writer writes its intents to its own journal, then reads the lease, and submits only if it still holds it.
2. A writer that takes the lease writes it first, then reads all journals.

So the next holder sees every intent that was acted on. A writer that has lost its lease still writes the ids of its
running submissions to its own journal, where the next holder finds them.
"""

import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage


def take_lease(manifest: str, owner: Mapping[str, Any], storage: Storage) -> str:
    """
    Take the batch's lease from its current holder, and return the new token. Blocking.

    Read the journals only after this. Taking the lease does not update the manifest's ``written_at``, so another task
    can still take over an abandoned manifest.

    :param manifest: the manifest's URI
    :param owner: the ids of the task that takes it, for messages
    """
    last = max([_holder(manifest, storage).get("claim", ""), *map(_token_of, journals(manifest, storage))])
    token = f"{int(last.partition('-')[0] or 0) + 1:06}-{uuid.uuid4().hex}"
    text = json.dumps({"claim": token, **owner, "claimed_at": time.time()})
    persistently(storage.write_text, f"{_folder(manifest)}/claim", text)
    return token


def check_lease(manifest: str, token: str, storage: Storage) -> None:
    """
    Check that the lease is still held. Blocking.

    :raises LaplasArgumentError: if another task or try has taken it
    """
    holder = _holder(manifest, storage)
    if holder.get("claim", token) != token:
        since = datetime.fromtimestamp(holder["claimed_at"], UTC)
        task = "/".join(str(holder.get(name)) for name in ("dag_id", "run_id", "task_id"))
        raise LaplasArgumentError(
            f"`results_path`: another try of this task, or another task, is at work on the batch in "
            f"{redacted(manifest)}: {task}, since {since:%Y-%m-%d %H:%M:%S} UTC. This try submits nothing more.",
            argument="results_path",
        )


def journal_uri(manifest: str, token: str) -> str:
    """Return the URI of a lease holder's journal."""
    return f"{_folder(manifest)}/{token}.json"


def journals(manifest: str, storage: Storage) -> list[str]:
    """Return all journals, the newest lease's first. Blocking."""
    folder = _folder(manifest)
    names = (name for name in storage.list_files(folder) if name.endswith(".json"))
    return [f"{folder}/{name}" for name in sorted(names, reverse=True)]


def _holder(manifest: str, storage: Storage) -> dict[str, Any]:
    try:
        holder: dict[str, Any] = json.loads(storage.read_text(f"{_folder(manifest)}/claim"))
    except FileNotFoundError:
        return {}
    return holder


def _token_of(journal: str) -> str:
    return journal.rpartition("/")[2].removesuffix(".json")


def _folder(manifest: str) -> str:
    return f"{manifest.rpartition('/')[0]}/.manifest"
