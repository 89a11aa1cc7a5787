"""A real Airflow of the version that is installed, with every scenario under way."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from airflow_stack.stack import AirflowStack
from tests.fake_api import FakeAPI, hang
from tests.faults.kill import killing
from tests.paths import JFK_MP3, ROOT
from tests.patience import PATIENCE

HERE = Path(__file__).parent
FOR_EVER = 1_000_000
"""More polls than a wait makes."""

SCENARIOS = (
    "deferred_sensor",
    "rescheduled_sensor",
    "one_task_with_a_folder",
    "one_task_without_a_folder",
    "mapped",
    "decorated",
    "batch",
    "killed",
    "retried_with_a_folder",
    "retried_without_a_folder",
    "retried_with_variables",
    "broken_trigger",
    "long_wait",
    "long_batch",
)
PIPELINE = "ingest_recordings"


@pytest.fixture(scope="session")
def apis():
    """A server for each DAG."""
    with contextlib.ExitStack() as servers:
        running = {name: servers.enter_context(FakeAPI()) for name in (*SCENARIOS, PIPELINE)}
        running["killed"].script("GET", killing("task"))
        for name in ("retried_with_a_folder", "retried_without_a_folder", "retried_with_variables"):
            running[name].script("GET", hang())
        for name in ("long_wait", "long_batch"):
            running[name].polls_until_done = FOR_EVER
        # The poll after the trigger has failed finds it done.
        running["broken_trigger"].polls_until_done = 0
        yield running


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("versions")


@pytest.fixture(scope="session")
def stack(apis, folder, tmp_path_factory):
    """Airflow with the scenarios and the project's own DAGs."""
    dags = tmp_path_factory.mktemp("dags")
    for file in (*ROOT.glob("dags/*.py"), *HERE.glob("dags/*.py")):
        shutil.copy(file, dags)
    environment = {f"AIRFLOW_CONN_{name.upper()}": api.connection() for name, api in apis.items()}
    environment |= {
        "AIRFLOW_CONN_LAPLAS_DEFAULT": apis[PIPELINE].connection(),
        "AIRFLOW_CONN_TRANSCRIPTS_DB": json.dumps(
            {"conn_type": "sqlite", "host": str(folder / "transcripts.db")}
        ),
        # The triggers that fail are imported by the triggerer.
        "PYTHONPATH": str(ROOT),
    }
    home = tmp_path_factory.mktemp("airflow")
    config = {
        # On a busy machine, five seconds do not always do for a commit: the scheduler would end.
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}?timeout=60"},
        "scheduler": {"scheduler_idle_sleep_time": 0.5, "trigger_timeout_check_interval": 3},
        # A triggerer that is gone is noticed after half a minute otherwise.
        "triggerer": {"job_heartbeat_sec": 2, "triggerer_health_check_threshold": 10},
    }
    # Two of these share the machine with two suites each.
    with AirflowStack(dags, home=home, environment=environment, config=config) as running:
        yield running


@pytest.fixture(scope="session")
def runs(stack, folder):
    """The run of each scenario, all begun at once: most of the time is waiting."""
    inbox = folder / "inbox"
    inbox.mkdir()
    shutil.copy(JFK_MP3, inbox)
    params = {"results_path": folder.as_uri()}
    pipeline = {
        "inbox": inbox.as_uri(),
        "transcripts": (folder / "transcripts").as_uri(),
        "settle_seconds": 0,
    }
    begun = {name: stack.trigger(name, params) for name in SCENARIOS}
    return begun | {PIPELINE: stack.trigger(PIPELINE, pipeline)}


@pytest.fixture
def finish(stack, runs):
    """Wait for a scenario to succeed, and return its run's id."""

    def wait(name):
        stack.await_success(name, runs[name], PATIENCE)
        return runs[name]

    return wait
