"""
Who may submit the files of a batch: several tries of its task can be at work at once.

Airflow starts a retry while the try before it may still be at work, having lost its supervisor only; and a trigger can
outlive its task's Clear. So whoever is to submit claims the batch first. Each writer has a file of its own, which nobody
else writes, in the folder ``.manifest`` beside the manifest:

1. A writer writes its intents into its own file, then reads the claim, and submits only if that is its own.
2. Who claims the batch writes the claim, and then reads the files of all writers.

So an intent is either seen by the next writer, or not acted upon. What a writer learns after it has lost its claim (the
ids of submissions that were under way) it still notes in its own file, where the next one finds it.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tenacity import Retrying, retry_if_not_exception_type, stop_after_attempt, wait_exponential

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import show_location
from airflow_provider_laplas.storage import object_storage

WRITE_ATTEMPTS = 5
"""How often a writing is tried, with growing pauses: what it notes is paid for."""


def claim(manifest: str, owner: Mapping[str, Any]) -> str:
    """
    Keep everybody else from submitting more, and return the claim. Blocking.

    The writers' files are to be read after this, and not before. It is no sign of life: what is abandoned stays so.

    :param manifest: the manifest's URI
    :param owner: the ids of the task that claims it, for people
    """
    last = max([_holder(manifest).get("claim", ""), *map(_claim_of, writers(manifest))])
    token = f"{int(last.partition('-')[0] or 0) + 1:06}-{uuid.uuid4().hex}"
    text = json.dumps({"claim": token, **owner, "claimed_at": time.time()})
    persistently(lambda: object_storage().write_text(f"{_folder(manifest)}/claim", text))
    return token


def check_claim(manifest: str, token: str) -> None:
    """
    Return where the claim still holds. Blocking.

    :raises LaplasArgumentError: where somebody else has claimed the batch since
    """
    holder = _holder(manifest)
    if holder.get("claim", token) != token:
        since = datetime.fromtimestamp(holder["claimed_at"], UTC)
        task = "/".join(str(holder.get(name)) for name in ("dag_id", "run_id", "task_id"))
        raise LaplasArgumentError(
            f"`results_path`: another try of this task, or another task, is at work on the batch in "
            f"{show_location(manifest)}: {task}, since {since:%Y-%m-%d %H:%M:%S} UTC. It is left to that one: nothing "
            "more is submitted here.",
            argument="results_path",
        )


def writer_uri(manifest: str, token: str) -> str:
    """Return where the writer with this claim writes."""
    return f"{_folder(manifest)}/{token}.json"


def writers(manifest: str) -> list[str]:
    """Return the files of all writers, the newest claim's first. Blocking."""
    folder = _folder(manifest)
    return [f"{folder}/{name}" for name in sorted(object_storage().list_files(folder, ".json"), reverse=True)]


def persistently(write: Callable[[], None]) -> None:
    """Write; repeat it for some seconds where the storage fails, and not where the batch is another's. Blocking."""
    Retrying(
        retry=retry_if_not_exception_type(LaplasArgumentError),
        stop=stop_after_attempt(WRITE_ATTEMPTS),
        wait=wait_exponential(multiplier=0.5, max=5),
        reraise=True,
    )(write)


def _holder(manifest: str) -> dict[str, Any]:
    try:
        holder: dict[str, Any] = json.loads(object_storage().read_text(f"{_folder(manifest)}/claim"))
    except FileNotFoundError:
        return {}
    return holder


def _claim_of(writer: str) -> str:
    return writer.rpartition("/")[2].removesuffix(".json")


def _folder(manifest: str) -> str:
    return f"{manifest.rpartition('/')[0]}/.manifest"
