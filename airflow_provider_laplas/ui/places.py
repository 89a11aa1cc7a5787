"""Which files a task's page may read: what the task itself has written into its own folder."""

import os
from collections.abc import Mapping
from typing import Any

from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import XCOM_KEY, Reference, TaskKey
from airflow_provider_laplas.results.output import choose_folder
from airflow_provider_laplas.storage import is_local, local_path


def own_reference(result: Any, key: TaskKey, folder: str | None) -> Reference | None:
    """
    Return where a task has stored its reply, as its return value says, if that is its own; else None.

    :param result: a URI, or the ids of an XCom
    :param folder: the task's results folder
    """
    if isinstance(result, str):
        return result if folder is not None and is_own(result, key, folder) else None
    if isinstance(result, Mapping) and result == own_xcom(key):
        return own_xcom(key)
    return None


def is_own(uri: str, key: TaskKey, folder: str) -> bool:
    """
    Tell whether a file lies in a task's results folder itself, or in the one below it that is called after the task.

    In the latter are the parts of a recording. What else lies deeper may be another task's, whose folder is in this one.
    """
    if not lies_below(uri, folder):
        return False
    below = parent(uri).removeprefix(folder.rstrip("/")).removeprefix("/")
    return not below or ("/" not in below and below.endswith(f"-{key.digest}"))


def own_xcom(key: TaskKey) -> dict[str, Any]:
    """Return the reference to the reply in a task's own XCom."""
    return {
        "xcom_key": XCOM_KEY,
        "dag_id": key.dag_id,
        "run_id": key.run_id,
        "task_id": key.task_id,
        "map_index": key.map_index,
    }


def lies_below(uri: str, folder: str) -> bool:
    """Tell whether a file lies below a folder, by its name and, on a disk, also where links lead."""
    below = uri.removeprefix(folder.rstrip("/") + "/")
    if below == uri or "\\" in below or "\0" in below:
        return False
    # An empty part is no part of a name that this package gives.
    if any(part in {"", ".", ".."} for part in below.split("/")):
        return False
    return not is_local(uri) or _leads_below(local_path(uri), local_path(folder))


def parent(uri: str) -> str:
    """Return the folder that a file lies in, without a slash at its end."""
    return uri.rpartition("/")[0]


def results_folder(fields: Mapping[str, Any], connection_folder: Any) -> str | None:
    """
    Return the folder for a task's results: its own, else its connection's, else ``[laplas] results_path``.

    :param fields: its rendered fields
    :param connection_folder: called for the connection's, if that is needed
    :raises LaplasArgumentError: if it is not a folder
    """
    given = fields.get("results_path")
    own = given if isinstance(given, str) and given != "None" else None
    return choose_folder(own, None if own else connection_folder())


def shown_place(value: Any) -> str | None:
    """Return where something is, as it may be shown; None if it is not a single place."""
    return redacted(value) if isinstance(value, str) and value and value != "None" else None


def _leads_below(path: str, folder: str) -> bool:
    real, root = os.path.realpath(path), os.path.realpath(folder)
    return real.startswith(f"{root.rstrip('/')}/")
