"""One real Airflow and one real local server for all tests of this folder; they run after all others."""

import json
import re
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_stack.file_server import FileServer
from airflow_stack.local_server import LocalServer
from airflow_stack.rest import TaskState
from airflow_stack.stack import AirflowStack
from tests.paths import ROOT
from tests.patience import PATIENCE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and let the fast suites speak first."""
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.airflow)
    items[:] = [item for item in items if item not in ours] + ours


# Of the package, and not of the session: an idle Airflow takes a sixth of a core from the tests that follow.
@pytest.fixture(scope="package")
def server(tmp_path_factory) -> Iterator[LocalServer]:
    with LocalServer(tmp_path_factory.mktemp("local")) as running:
        yield running


@pytest.fixture(scope="package")
def recording_url(jfk_mp3) -> Iterator[str]:
    with FileServer(jfk_mp3) as files:
        yield files.url


@pytest.fixture(scope="package")
def database(tmp_path_factory) -> Path:
    """Return the file of the pipeline's database."""
    return tmp_path_factory.mktemp("database") / "transcripts.db"


@pytest.fixture(scope="package")
def lineage_file(tmp_path_factory) -> Path:
    """Return the file to which OpenLineage's events are appended."""
    return tmp_path_factory.mktemp("lineage") / "events.jsonl"


class StatsD(threading.Thread):
    """Takes Airflow's metrics and adds them up; all the time, as what nobody takes is dropped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.sums = Counter[str]()

    def run(self) -> None:
        while packet := self._socket.recv(65536):
            for line in packet.decode().splitlines():
                name, value, kind = re.match(r"airflow\.([^:]+):([-\d.e]+)\|(\w+)", line).groups()
                # Of a duration, how often it was sent.
                self.sums[name] += 1 if kind == "ms" else float(value)
        self._socket.close()

    def end(self) -> None:
        """Send it an empty packet, and wait."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", ("127.0.0.1", self.port))
        self.join()


@pytest.fixture(scope="package")
def statsd() -> Iterator[StatsD]:
    taking = StatsD()
    taking.start()
    yield taking
    taking.end()


@pytest.fixture(scope="package")
def stack(server, database, lineage_file, statsd, tmp_path_factory) -> Iterator[AirflowStack]:
    """Run the project's own DAGs and those of this folder."""
    dags = tmp_path_factory.mktemp("dags")
    for file in [*ROOT.glob("dags/*.py"), *HERE.glob("dags/*.py")]:
        shutil.copy(file, dags)
    environment = {
        "AIRFLOW_CONN_LAPLAS_DEFAULT": server.connection,
        "AIRFLOW_CONN_TRANSCRIPTS_DB": json.dumps({"conn_type": "sqlite", "host": str(database)}),
    }
    lineage = {"type": "file", "log_file_path": str(lineage_file), "append": True}
    config = {
        "metrics": {"statsd_on": True, "statsd_host": "127.0.0.1", "statsd_port": statsd.port},
        "openlineage": {"transport": json.dumps(lineage)},
    }
    with AirflowStack(dags, environment=environment, config=config) as running:
        server.await_ready()
        yield running


@pytest.fixture
def run_dag(stack) -> Callable[..., str]:
    """Return a function that runs a DAG to success and returns the run's id."""

    def run(dag_id: str, conf: dict[str, Any]) -> str:
        def fail_at_once(tasks: list[TaskState]) -> None:
            for task in tasks:
                if task.state == "up_for_retry":
                    pytest.fail(f"{task}\n{stack.task_log(dag_id, run_id, task.task_id, task.map_index)}")

        run_id = stack.trigger(dag_id, conf)
        stack.await_success(dag_id, run_id, PATIENCE, progress=fail_at_once)
        return run_id

    return run
