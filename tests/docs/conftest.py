"""The documentation's DAGs are run as those of tests/tasks are."""

from tests.tasks.conftest import api, metadata_database, run_dag, triggers_look_at_once

__all__ = ["api", "metadata_database", "run_dag", "triggers_look_at_once"]
