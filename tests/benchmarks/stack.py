"""A real Airflow to measure: its CPU time, and its busy worker slots."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psutil

from airflow_stack.processes import session_members
from airflow_stack.stack import AirflowStack
from tests.benchmarks.common import Server

DAGS = Path(__file__).parent / "dags"
PARALLELISM = 4
FILES = 1_000
MAPPED = 20
IDLE_SECONDS = 15.0
SAMPLE_SECONDS = 0.1


@contextmanager
def running_stack(
    server: Server, budget: float, *, files: int = FILES, mapped: int = MAPPED
) -> Iterator[AirflowStack]:
    """
    Run an Airflow that knows the API.

    :param budget: requests a second, of our connection
    :param files: those of the batch
    :param mapped: those that have mapped tasks
    """
    with tempfile.TemporaryDirectory() as folder:
        dags = Path(folder) / "dags"
        shutil.copytree(DAGS, dags)
        environment = server.connections(server.connection(max_requests_per_second=budget)) | {
            "BENCH_FILES": str(files),
            "BENCH_MAPPED": str(mapped),
            "BENCH_FOLDER": folder,
        }
        config = {"core": {"parallelism": PARALLELISM}}
        with AirflowStack(dags, environment=environment, config=config) as stack:
            yield stack


def cpu_seconds(stack: AirflowStack) -> float:
    """Return the CPU seconds of everything that the stack has started, ended children included."""
    total = 0.0
    for name in stack.names:
        for pid in session_members(stack.process(name).pid):
            with suppress(psutil.NoSuchProcess):
                times = psutil.Process(pid).cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def idle_rate(stack: AirflowStack, seconds: float = IDLE_SECONDS) -> float:
    """Return the CPU seconds a second of an Airflow that has nothing to do."""
    before = cpu_seconds(stack)
    time.sleep(seconds)
    return (cpu_seconds(stack) - before) / seconds


def run_seconds(stack: AirflowStack, dag_id: str, timeout: float, conf: dict | None = None):
    """Run a DAG and return its id, the seconds it took by Airflow's clock, and the CPU seconds."""
    before = cpu_seconds(stack)
    run_id = stack.trigger(dag_id, conf)
    stack.await_success(dag_id, run_id, timeout)
    used = cpu_seconds(stack) - before
    run = stack._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
    return run_id, moment(run["end_date"]) - moment(run["queued_at"] or run["start_date"]), used


def moment(text: str) -> float:
    """Return epoch seconds."""
    return datetime.fromisoformat(text).timestamp()


@contextmanager
def busy_slots(stack: AirflowStack) -> Iterator[list[float]]:
    """Sum up, in a list of one, the seconds for which workers were busy, one for each worker."""
    busy, ended = [0.0], threading.Event()
    scheduler = stack.process("scheduler").pid

    def watch() -> None:
        last = time.monotonic()
        while not ended.wait(SAMPLE_SECONDS):
            now = time.monotonic()
            busy[0] += (now - last) * count_busy(scheduler)
            last = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield busy
    finally:
        ended.set()
        watcher.join()


def count_busy(scheduler: int) -> int:
    """Return how many of LocalExecutor's workers, which name their task in their title, have one."""
    titles = set()
    for process in psutil.Process(scheduler).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            title = " ".join(process.cmdline()).strip()
            if title.startswith("airflow worker -- LocalExecutor") and "<idle>" not in title:
                titles.add(title)
    # A set: the worker's own child, which runs the task, can still carry the worker's title.
    return len(titles)
