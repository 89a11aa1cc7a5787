"""Thousands of deferred sensors on two triggerers of a cluster: ``python -m tests.benchmarks.load [WAITS …]``, minutes for each."""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from airflow_stack.deployments import Cluster
from airflow_stack.processes import await_condition, session_members
from airflow_stack.stack import AirflowStack
from tests.benchmarks.common import Comparison, Server, machine, running_api

DAG = Path(__file__).parent / "cluster_dags" / "load.py"
PART = 50
"""Sensors in one DAG file."""
STEADY_SECONDS = 60.0
MOST_SECONDS = 3600.0
RATE = 50.0
MOST_GREEN = 1000
"""More are deferred by the scheduler, and not waited for until they are green: a worker needs a second for each."""


def compare_load(counts: Sequence[int] = (1000, 5000)) -> Comparison:
    """CPU time of each triggerer and connections to PostgreSQL while all wait; then the time until all are resumed."""
    result = Comparison(
        "Thousands of sensors on two triggerers",
        "In a real Airflow with CeleryExecutor (two workers with four processes each), PostgreSQL, Redis and two triggerers, "
        f"with the default connection: max_requests_per_second {RATE:g} for each triggerer, poke_interval 10. Shared: how many "
        "waits each triggerer has, which is Airflow's choice. CPU and "
        f"requests are those of {STEADY_SECONDS:g} s in which all wait; then all generations are done at once. Stored: the trigger "
        f"has written the reply and Airflow knows. Green: a worker has resumed the task, and it has succeeded. More than {MOST_GREEN:,} are "
        "deferred by the scheduler (start_from_trigger), and their workers are not waited for, as each takes a second of a core.",
    )
    for count in counts:
        with (
            tempfile.TemporaryDirectory() as folder,
            running_api(shortest=MOST_SECONDS * 2, longest=MOST_SECONDS * 2) as server,
        ):
            result.rows.append(measure(server, Path(folder), count))
            # Before the next, which may be more than the machine can do.
            print(result, flush=True)  # noqa: T201
    return result


def measure(server: Server, folder: Path, count: int) -> dict[str, object]:
    """Return a row."""
    dags = folder / "dags"
    dags.mkdir()
    jobs = server.jobs(count, MOST_SECONDS * 2, MOST_SECONDS * 2)
    parts = [jobs[start : start + PART] for start in range(0, count, PART)]
    for number, part in enumerate(parts):
        (folder / f"jobs_{number}.json").write_text(json.dumps(part))
        shutil.copy(DAG, dags / f"load_{number}.py")
    environment = server.connections(server.connection(max_requests_per_second=RATE)) | {
        "LOAD_FOLDER": str(folder),
        "LOAD_WITHOUT_WORKERS": str(int(count > MOST_GREEN)),
    }
    config: dict[str, dict[str, object]] = {
        # Enough for all, so that one that dies is outlasted.
        "triggerer": {"capacity": count},
    }
    if count > MOST_GREEN:
        # A triggerer of Airflow 3.3.2 comes to a standstill where its process logs while it is sent the DAGs of thousands
        # of such sensors: each of the two waits for the other to read.
        config["logging"] = {"logging_level": "WARNING"}
    with AirflowStack(dags, deployment=Cluster(), environment=environment, config=config) as stack:
        cluster = stack.deployment
        for number in range(len(parts)):
            stack.trigger(f"load_{number}", timeout=600)
        await_condition(
            lambda: states(cluster).get("deferred") == count, timeout=MOST_SECONDS, what="deferred sensors"
        )
        asked = server.ask("/gets")
        await_condition(
            lambda: server.ask("/gets") >= asked + 2 * count,
            timeout=MOST_SECONDS,
            what="polls of all of them",
        )
        row = {"waits": count, **steady(stack, cluster, server)}
        print(row, file=sys.stderr, flush=True)  # noqa: T201
        return row | until_green(cluster, server, count)


def steady(stack: AirflowStack, cluster: Cluster, server: Server) -> dict[str, object]:
    """Measure while all wait."""
    shares = dict(
        cluster.postgresql.query(
            "select job.hostname, count(*) from trigger join job on job.id = trigger.triggerer_id group by 1"
        )
    )
    before = {name: cpu_seconds(stack, name) for name in cluster.triggerers}
    asked, began = server.ask("/gets"), time.monotonic()
    time.sleep(STEADY_SECONDS)
    seconds = time.monotonic() - began
    [(connections,)] = cluster.postgresql.query(
        "select count(*) from pg_stat_activity where datname = 'airflow' and pid <> pg_backend_pid()"
    )
    return {
        "shared": " + ".join(str(shares.get(name, 0)) for name in cluster.triggerers),
        "CPU of each triggerer, % of a core": " + ".join(
            f"{(cpu_seconds(stack, name) - used) / seconds:.0%}".rstrip("%") for name, used in before.items()
        ),
        "requests/s": (server.ask("/gets") - asked) / seconds,
        "connections": connections,
    }


def until_green(cluster: Cluster, server: Server, count: int) -> dict[str, object]:
    """Have all be done, and measure how long it takes until the last one is resumed and has succeeded."""
    server.ask("/finish", post=True)
    began = time.monotonic()
    await_condition(
        lambda: "deferred" not in states(cluster), timeout=MOST_SECONDS, what="stored replies", pause=1
    )
    row: dict[str, object] = {"all stored after, s": time.monotonic() - began}
    print(f"{count:,} sensors: {row}", file=sys.stderr, flush=True)  # noqa: T201
    if count > MOST_GREEN:
        return row
    await_condition(
        lambda: states(cluster).get("success") == count, timeout=MOST_SECONDS, what="green sensors", pause=1
    )
    return row | {"all green after, s": time.monotonic() - began}


def states(cluster: Cluster) -> dict[str, int]:
    """Return how many task instances are in each state."""
    return dict(
        cluster.postgresql.query("select coalesce(state, ''), count(*) from task_instance group by 1")
    )


def cpu_seconds(stack: AirflowStack, name: str) -> float:
    """Return the CPU seconds of a process, and of what it has started."""
    total = 0.0
    for pid in session_members(stack.process(name).pid):
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.load", description=__doc__)
    parser.add_argument(
        "waits", nargs="*", type=int, metavar="WAITS", help="how many sensors; by default 1000, then 5000"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    print(f"On {machine()}.", flush=True)  # noqa: T201
    comparison = compare_load(given.waits or (1000, 5000))
    if given.json:
        figures = {"machine": machine(), "comparisons": {"load": comparison.as_json()}}
        given.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
