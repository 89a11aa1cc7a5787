"""Tasks run by ``dag.test()`` against a scripted API: the logic of the operators, not yet a real Airflow."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator

from airflow_provider_laplas import triggers
from tests.fake_api import FakeAPI


@pytest.fixture(scope="session", autouse=True)
def metadata_database():
    """An empty Airflow database in the suite's own home."""
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True, env=os.environ
    )


@pytest.fixture(autouse=True)
def trigger_looks_at_once(monkeypatch):
    """``dag.test()`` runs triggers inline, where there is no race to keep away from."""
    monkeypatch.setattr(triggers, "FIRST_LOOK", -2.0)
    monkeypatch.setattr(
        triggers.STTCompletionTrigger.__init__,
        "__kwdefaults__",
        triggers.STTCompletionTrigger.__init__.__kwdefaults__ | {"first_look": -2.0},
    )


@pytest.fixture
def api(monkeypatch):
    with FakeAPI() as fake:
        connection = {"conn_type": "laplas", "host": fake.url, "password": fake.key}
        monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", json.dumps(connection))
        yield fake


@dataclass
class Finished:
    """What a DAG run left behind."""

    state: str
    tasks: dict[tuple[str, int], Any]
    errors: list[BaseException]

    def state_of(self, task_id: str, map_index: int = -1) -> str:
        return str(self.tasks[task_id, map_index].state)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        ti = self.tasks[task_id, map_index]
        return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)


@pytest.fixture
def run_dag():
    """Run a DAG in this process, triggers inline, and return what it left behind."""
    folder = Path(os.environ["AIRFLOW_HOME"]) / "dags"
    folder.mkdir(exist_ok=True)
    DagBundlesManager().sync_bundles_to_db()

    def run(dag, **kwargs):
        errors = []
        for item in dag.task_dict.values():
            if not isinstance(item, MappedOperator):
                item.on_failure_callback = [lambda context: errors.append(context["exception"])]
        bag = DagBag(dag_folder=folder)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        run = dag.test(**kwargs)
        instances = {(ti.task_id, ti.map_index): ti for ti in run.get_task_instances()}
        return Finished(str(run.state), instances, errors)

    return run


@pytest.fixture
def dag(request):
    """An empty DAG, named after the test."""
    name = re.sub(r"\W+", "_", request.node.name)
    with DAG(name[:200], schedule=None) as dag:
        yield dag
