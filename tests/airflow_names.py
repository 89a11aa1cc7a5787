"""What the tests take from Airflow that lies elsewhere in older versions, or is not there."""

from importlib.metadata import version
from typing import Any

from airflow.sdk import Connection

try:
    from airflow.sdk import BaseHook
except ImportError:  # Airflow 3.0
    from airflow.hooks.base import BaseHook
try:
    from airflow.sdk.exceptions import AirflowTaskTimeout
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.exceptions import AirflowTaskTimeout
try:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
except ImportError:  # Airflow 3.0, 3.1 and 3.2
    from airflow.models.dagbag import DagBag

    try:
        from airflow.models.dagbag import sync_bag_to_db
    except ImportError:  # Airflow 3.0

        def sync_bag_to_db(dagbag: Any, bundle_name: str, bundle_version: str | None) -> None:
            dagbag.sync_to_db(bundle_name, bundle_version)


try:
    from airflow.sdk import NEVER_EXPIRE
except ImportError:  # Airflow 3.0, 3.1 and 3.2, which have no state store
    NEVER_EXPIRE = None

LOOKS_UP_ON_THE_LOOP = hasattr(Connection, "aextra_dejson")
"""Whether a connection is looked up on an event loop; before Airflow 3.3.2 a thread does it."""

HAS_STATE_STORE = NEVER_EXPIRE is not None
"""Whether a task has a state store, which survives its retries and a Clear."""

VERSION = tuple(int(part) for part in version("apache-airflow").split(".")[:2])

__all__ = [
    "HAS_STATE_STORE",
    "LOOKS_UP_ON_THE_LOOP",
    "NEVER_EXPIRE",
    "VERSION",
    "AirflowTaskTimeout",
    "BaseHook",
    "DagBag",
    "sync_bag_to_db",
]
