"""Tasks run by ``dag.test()`` against a scripted API: the logic of the operators, not yet a real Airflow."""

import functools
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import clear_task_instances
from airflow.sdk import DAG
from airflow.sdk.definitions.dag import _run_task
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState

from airflow_provider_laplas import triggers
from airflow_provider_laplas.task import generation
from tests.airflow_names import DagBag, sync_bag_to_db
from tests.fake_api import FakeAPI


@functools.cache
def create_metadata_database():
    """Make an empty Airflow database in the tests' own home; once, as more than one suite has this fixture."""
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True, env=os.environ
    )


@pytest.fixture(scope="session")
def metadata_database():
    create_metadata_database()


@pytest.fixture
def triggers_look_at_once(monkeypatch):
    """``dag.test()`` runs triggers inline, where there is no race to keep away from."""
    # Less than nothing, as up to two seconds are added where many tasks could look together.
    monkeypatch.setattr(triggers, "FIRST_POLL", -2.0)
    monkeypatch.setattr(generation, "FIRST_POLL", 0.0)


@pytest.fixture(autouse=True)
def for_every_test_here(metadata_database, triggers_look_at_once):
    """Also for those that run an operator without its DAG."""


@pytest.fixture
def api(monkeypatch):
    with FakeAPI() as fake:
        monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", fake.connection())
        yield fake


@dataclass
class Finished:
    """What a DAG run left behind."""

    run: DagRun
    state: str
    tasks: dict[tuple[str, int], Any]
    errors: list[BaseException]

    def state_of(self, task_id: str, map_index: int = -1) -> str:
        return str(self.tasks[task_id, map_index].state)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        ti = self.tasks[task_id, map_index]
        return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)


class Runner:
    """Runs a DAG in this process, triggers inline, and returns what it left behind."""

    def __init__(self) -> None:
        self._folder = Path(os.environ["AIRFLOW_HOME"]) / "dags"
        self._folder.mkdir(exist_ok=True)
        DagBundlesManager().sync_bundles_to_db()
        self._run: DagRun | None = None

    def __call__(self, dag: DAG, **how: Any) -> Finished:
        errors = self._collect_errors(dag)
        bag = DagBag(dag_folder=self._folder)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        self._run = dag.test(**how)
        return self._finished(self._run, errors)

    def clear(self, dag: DAG, cleared: DagRun | None = None) -> Finished:
        """Clear every task of a run, by default the last, as a user does, and run it to its end again."""
        self._run = cleared or self._run
        errors = self._collect_errors(dag)
        with create_session() as session:
            run = session.get(DagRun, self._run.id)
            run.dag = self._run.dag
            instances = run.get_task_instances(session=session)
            for ti in instances:
                ti.clear_next_method_args()
            clear_task_instances(instances, session)
            run.state = DagRunState.RUNNING
            session.commit()
            while run.state == DagRunState.RUNNING:
                ready, _ = run.update_state(session=session)
                for ti in ready:
                    ti.try_number += ti.state != TaskInstanceState.UP_FOR_RESCHEDULE
                    ti.state = TaskInstanceState.SCHEDULED
                session.commit()
                for ti in ready:
                    _run_task(ti=ti, task=dag.task_dict[ti.task_id], run_triggerer=True)
                session.expire_all()
            return self._finished(run, errors)

    @staticmethod
    def _collect_errors(dag: DAG) -> list[BaseException]:
        errors = []
        for item in dag.task_dict.values():
            if not isinstance(item, MappedOperator):
                item.on_failure_callback = [lambda context: errors.append(context["exception"])]
        return errors

    @staticmethod
    def _finished(run: DagRun, errors: list[BaseException]) -> Finished:
        instances = {(ti.task_id, ti.map_index): ti for ti in run.get_task_instances()}
        return Finished(run, str(run.state), instances, errors)


@pytest.fixture
def run_dag(metadata_database, triggers_look_at_once):
    return Runner()


@pytest.fixture
def dag(request):
    """An empty DAG, named after the test."""
    name = re.sub(r"\W+", "_", request.node.name)
    with DAG(name[:200], schedule=None) as dag:
        yield dag
