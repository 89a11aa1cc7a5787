"""
Who may submit the files of a batch: several tries of its task can be at work at once.

Airflow starts a retry while the try before it may still be at work, having lost its supervisor only; and a trigger can
outlive its task's Clear. So whoever is to submit takes the batch's lease first. Each holder has a journal of its own,
which nobody else writes, in the folder ``.manifest`` beside the manifest:

1. A writer writes its intents into its own journal, then reads the lease, and submits only if that is its own.
2. Who takes the lease writes it, and then reads all journals.

So an intent is either seen by the next holder, or not acted upon. What a writer learns after it has lost its lease (the
ids of submissions that were under way) it still notes in its own journal, where the next one finds it.
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
    Take the batch's lease from whoever has it, and return its token. Blocking.

    Journals are to be read after this, and not before. Taking it does not count as writing: a manifest that was
    abandoned may still be taken over by another task.

    :param manifest: the manifest's URI
    :param owner: the ids of the task that takes it, for people
    """
    last = max([_holder(manifest, storage).get("claim", ""), *map(_token_of, journals(manifest, storage))])
    token = f"{int(last.partition('-')[0] or 0) + 1:06}-{uuid.uuid4().hex}"
    text = json.dumps({"claim": token, **owner, "claimed_at": time.time()})
    persistently(storage.write_text, f"{_folder(manifest)}/claim", text)
    return token


def check_lease(manifest: str, token: str, storage: Storage) -> None:
    """
    Return where the lease is still held. Blocking.

    :raises LaplasArgumentError: where somebody else has taken it since
    """
    holder = _holder(manifest, storage)
    if holder.get("claim", token) != token:
        since = datetime.fromtimestamp(holder["claimed_at"], UTC)
        task = "/".join(str(holder.get(name)) for name in ("dag_id", "run_id", "task_id"))
        raise LaplasArgumentError(
            f"`results_path`: another try of this task, or another task, is at work on the batch in "
            f"{redacted(manifest)}: {task}, since {since:%Y-%m-%d %H:%M:%S} UTC. It is left to that one: nothing "
            "more is submitted here.",
            argument="results_path",
        )


def journal_uri(manifest: str, token: str) -> str:
    """Return where the holder of a lease writes."""
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
