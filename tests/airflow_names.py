"""What the tests take from Airflow that lies elsewhere in older versions."""

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
    from airflow.models.dagbag import DagBag, sync_bag_to_db

__all__ = ["AirflowTaskTimeout", "BaseHook", "DagBag", "sync_bag_to_db"]
