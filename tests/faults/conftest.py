"""A real Airflow that is broken on purpose, and the figures that come of it."""

import json
import os
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_stack.local_server import LocalServer
from airflow_stack.stack import AirflowStack
from tests.corpus import CASES, Case, EchoAPI
from tests.fake_api import FakeAPI
from tests.faults.common import IMPATIENT, Outcome

HERE = Path(__file__).parent
CANARY = "canary7f3a"
KEY, USER, PASSWORD, SIGNATURE = PRIVATE = tuple(
    f"{what}-{CANARY}" for what in ("key", "user", "password", "signature")
)
CANARY_URL = f"https://{USER}:{PASSWORD}@example.com/talk.mp3?X-Amz-Signature={SIGNATURE}"

# Which server a run talks to is named by its connection; there are as many as any test needs.
APIS = 46
CANARY_APIS = 20

# So many of the corpus' recordings have a task of their own: one for each way to answer a POST.
SINGLE_CASES = 17


class Figures(Counter):
    """What the suite counts; printed at its end, and written where LAPLAS_FIGURES says."""

    def __setitem__(self, name, count):
        if name not in NAMES:
            raise KeyError(name)
        super().__setitem__(name, count)

    def tally_local(self, texts):
        """Count a fault of the project's own server, whose transcript is of a real recording."""
        self["faults made"] += 1
        self["submissions that the API received"] += 1
        self["transcripts that arrived"] += sum(bool(text) for text in texts)
        self["transcripts lost"] += sum(not text for text in texts)

    def tally(self, api, *, faults=1, work=1, owed=None, texts=()):
        """
        Count what a test did to ``work`` recordings, and what came of it, before anything is asserted.

        ``owed`` is how many transcripts have to come of it: all, but where a submission was left ambiguous.
        """
        self["faults made"] += faults
        outcome = Outcome.of(api, owed=work if owed is None else owed, texts=texts)
        self["submissions that the API received"] += outcome.submissions
        self["submissions paid twice"] += outcome.paid_twice
        self["transcripts that arrived"] += outcome.transcripts
        self["transcripts lost"] += outcome.lost


NAMES = (
    "faults made",
    "submissions that the API received",
    "submissions paid twice",
    "submissions left ambiguous, and said to be",
    "transcripts that arrived",
    "transcripts lost",
    "tasks run with secrets and speech to leak",
    "secrets and speech found",
)
FIGURES = Figures()


@pytest.fixture(scope="session")
def figures():
    return FIGURES


def pytest_sessionfinish(session):
    """Where the tests ran in several processes, hand on what this one counted."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = dict(FIGURES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Add what one of the processes counted."""
    FIGURES.update(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter):
    if not FIGURES:
        return
    terminalreporter.section("figures")
    for name in NAMES:
        terminalreporter.write_line(f"{name}: {FIGURES[name]}")
    if path := os.environ.get("LAPLAS_FIGURES"):
        Path(path).write_text(json.dumps({name: FIGURES[name] for name in NAMES}))


@pytest.fixture(scope="session")
def apis():
    with ExitStack() as servers:
        yield [servers.enter_context(FakeAPI(key=KEY)) for _ in range(APIS)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def local_server(tmp_path_factory):
    """The project's own server, with the real model."""
    with LocalServer(tmp_path_factory.mktemp("local")) as running:
        yield running


@pytest.fixture(scope="session")
def echo_api():
    """A server that repeats all that it is sent."""
    with EchoAPI() as running:
        yield running


@pytest.fixture(scope="session")
def stack(apis, echo_api, folder, local_server, tmp_path_factory):
    dags = tmp_path_factory.mktemp("dags")
    for file in HERE.glob("dags/*.py"):
        shutil.copy(file, dags)
    environment = {
        "FAULTS_FOLDER": str(folder),
        "FAULTS_CANARY_URL": CANARY_URL,
        "FAULTS_CASES": str(CASES),
        "FAULTS_SINGLE_CASES": str(SINGLE_CASES),
        "AIRFLOW_CONN_LAPLAS_LOCAL": local_server.connection,
        "AIRFLOW_CONN_LAPLAS_CORPUS": echo_api.proxied,
    }
    cases = [{"url": c.url, "options": c.options, "secrets": c.secrets} for c in map(Case, range(CASES))]
    (folder / "corpus.json").write_text(json.dumps(cases))
    for n, api in enumerate(apis):
        # Long enough for a reply that is held until Airflow has noticed a lost worker.
        environment[f"AIRFLOW_CONN_LAPLAS_{n}"] = api.connection(timeout=90, connect_timeout=3)
    config = {"core": {"parallelism": 6}, **IMPATIENT}
    with AirflowStack(dags, environment=environment, config=config) as running:
        running.cli("pools", "set", "one_slot", "1", "for the fault suite")
        yield running


@pytest.fixture(scope="session")
def canary_apis(apis):
    """Servers for the ways to fail, with their numbers."""
    return list(enumerate(apis))[:CANARY_APIS]


@pytest.fixture(scope="session")
def free_apis(apis):
    """Servers that no test has used yet, with their numbers."""
    return iter(list(enumerate(apis))[CANARY_APIS:])


@pytest.fixture
def use_api(free_apis):
    def use():
        number, api = next(free_apis)
        return f"laplas_{number}", api

    return use


@pytest.fixture
def state_of(stack):
    def state(dag_id, run_id, task_id="transcribe"):
        return next((t.state for t in stack.task_states(dag_id, run_id) if t.task_id == task_id), None)

    return state
