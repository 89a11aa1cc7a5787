"""A cluster that is broken on purpose, and a table of what came of each fault, also written where LAPLAS_FIGURES says."""

import json
import os
import shutil
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from airflow_stack.deployments import Cluster
from airflow_stack.rest import AirflowRestError
from airflow_stack.stack import AirflowStack
from tests.benchmarks.common import table
from tests.fake_api import FakeAPI
from tests.faults.common import IMPATIENT, BatchRun, Outcome
from tests.patience import PATIENCE

HERE = Path(__file__).parent
FULL = bool(os.environ.get("CLUSTER_FULL"))
# One wait costs a second or two of the machine: to start its task, and to resume it.
WAITS = 100 if FULL else 24
FEW = 20
FILES = 300
APIS = 60

full = pytest.mark.skipif(not FULL, reason="in the full form only: make test-cluster FULL=1")

HEADINGS = ("fault", "POSTs", "paid twice", "transcripts", "lost", "ambiguous", "seconds")
ROWS: list[tuple[str, ...]] = []


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    terminalreporter.section("what came of each fault")
    terminalreporter.write_line(table(list(HEADINGS), [list(row) for row in ROWS]))
    if path := os.environ.get("LAPLAS_FIGURES"):
        Path(path).write_text(json.dumps([HEADINGS, *ROWS]))


class Work:
    """
    A run under a fault, with a server of its own.

    :ivar transcripts: how many recordings it has
    :ivar began: the moment of the fault, from which the seconds are counted
    """

    def __init__(self, stack, dag_id, run_id, api, transcripts):
        self.stack, self.dag_id, self.run_id, self.api = stack, dag_id, run_id, api
        self.transcripts = transcripts
        self.began = time.monotonic()

    def states(self):
        return [task.state for task in self.stack.task_states(self.dag_id, self.run_id)]

    def log(self):
        return self.stack.task_log(self.dag_id, self.run_id, "transcribe")

    def is_deferred(self):
        states = self.states()
        return set(states) == {"deferred"} and len(states) in {1, self.transcripts}

    def tries(self):
        """The highest try of its tasks, and how many needed more than one."""
        numbers = [task.try_number for task in self.stack.task_states(self.dag_id, self.run_id)]
        return max(numbers), sum(number > 1 for number in numbers)

    def texts(self):
        """The transcripts that arrived."""
        states = self.stack.task_states(self.dag_id, self.run_id)
        return [self.text(task.map_index) for task in states if task.state == "success"]

    def text(self, map_index):
        try:
            return self.stack.xcom(self.dag_id, self.run_id, "transcribe", key="text", map_index=map_index)
        except AirflowRestError as error:
            # A task that a user has marked.
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def ambiguous(self):
        return int("failed" in self.states() and "LaplasAmbiguousSubmitError" in self.log())

    def finish(self):
        """Wait for its end, and return the state."""
        state = self.stack.wait(self.dag_id, self.run_id, PATIENCE)
        self.seconds = time.monotonic() - self.began
        return state

    def succeed(self):
        assert self.finish() == "success", self.stack.failure_report(self.dag_id, self.run_id)

    def tally(self, fault, *, owed=None):
        """
        Write a row of the table, and check what holds whatever happens.

        Nothing is paid twice; and what was not left ambiguous arrives.
        """
        ambiguous = self.ambiguous()
        owed = self.transcripts - ambiguous if owed is None else owed
        outcome = Outcome.of(self.api, owed=owed, texts=self.texts())
        cells = outcome.submissions, outcome.paid_twice, outcome.transcripts, outcome.lost, ambiguous
        ROWS.append((fault, *map(str, cells), f"{self.seconds:.0f}"))
        assert (outcome.paid_twice, outcome.lost) == (0, 0), ROWS[-1]
        return outcome


class BatchWork(Work):
    """A batch."""

    def __init__(self, stack, dag_id, run_id, api, transcripts, results):
        super().__init__(stack, dag_id, run_id, api, transcripts)
        self.batch = BatchRun(dag_id, run_id, api, results)

    def texts(self):
        return self.batch.texts()

    def ambiguous(self):
        return self.batch.counts().get("ambiguous", 0)


@pytest.fixture(scope="session")
def apis():
    with ExitStack() as servers:
        yield [servers.enter_context(FakeAPI()) for _ in range(APIS)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="session")
def stack(apis, tmp_path_factory):
    dags = tmp_path_factory.mktemp("dags")
    for file in HERE.glob("dags/*.py"):
        shutil.copy(file, dags)
    environment = {
        "CLUSTER_WAITS": str(WAITS),
        "CLUSTER_FEW_WAITS": str(FEW),
        "CLUSTER_FILES": str(FILES),
    }
    for n, api in enumerate(apis):
        # Long enough for an answer that is held until Airflow has noticed a lost worker.
        environment[f"AIRFLOW_CONN_LAPLAS_{n}"] = api.connection(timeout=120, connect_timeout=3)
    config = IMPATIENT | {
        "scheduler": IMPATIENT["scheduler"]
        | {
            # Else five and ten minutes pass before Airflow misses what a lost worker or scheduler had in its hands.
            "orphaned_tasks_check_interval": 20,
            "task_queued_timeout": 40,
            "task_queued_timeout_check_interval": 10,
            "scheduler_health_check_threshold": 15,
        }
    }
    with AirflowStack(dags, deployment=Cluster(), environment=environment, config=config) as running:
        yield running


@pytest.fixture(scope="session")
def free_apis(apis):
    return iter(list(enumerate(apis)))


@pytest.fixture
def start(stack, free_apis, folder):
    """Start a run on a cluster of which nothing is missing; ``prepare`` tells its server what to do to it."""
    stack.await_healthy()

    def run(dag_id, *, prepare=lambda api: None, **conf):
        number, api = next(free_apis)
        prepare(api)
        results = folder / f"{dag_id}-{number}"
        if dag_id == "batch":
            conf["results_path"] = str(results)
        run_id = stack.trigger(dag_id, {"conn_id": f"laplas_{number}", **conf}, run_id=f"run-{number}")
        if dag_id == "batch":
            return BatchWork(stack, dag_id, run_id, api, FILES, results)
        return Work(stack, dag_id, run_id, api, {"waits": WAITS, "few_waits": FEW}.get(dag_id, 1))

    return run


def hold(api):
    """Have no generation be done."""
    api.polls_until_done = 100_000


def release(*works):
    """Have all be done from now on."""
    for work in works:
        work.api.polls_until_done = 0


def begin(*works):
    """Take this for the moment of the fault."""
    for work in works:
        work.began = time.monotonic()
