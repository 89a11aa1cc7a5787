"""How long after a short job's end its task ends, deferred at once, after a stay in the worker, and never."""

import statistics

from tests.benchmarks.common import Comparison, running_api
from tests.benchmarks.stack import busy_slots, moment, run_seconds, running_stack

JOB_SECONDS = 2.0
ROUNDS = 3
BUDGET = 50.0
WAYS = {
    "default": "as it comes (defer_after=10)",
    "deferred": "defer_after=0",
    "in_place": "deferrable=False",
}


def compare_latency(rounds: int = ROUNDS) -> Comparison:
    """All ways in turn, after one run of each that is not counted."""
    result = Comparison(
        f"One TranscribeOperator, on a job of {JOB_SECONDS:g} s",
        "How long after the API has completed the job the task has succeeded, and for how long it held a worker slot, in "
        f"a real Airflow (LocalExecutor, SQLite), with durable=False and max_requests_per_second {BUDGET:g}, the default. "
        f"Medians of {rounds} runs of each way in turn.",
    )
    late: dict[str, list[float]] = {way: [] for way in WAYS}
    slots: dict[str, list[float]] = {way: [] for way in WAYS}
    walls: dict[str, list[float]] = {way: [] for way in WAYS}
    with (
        running_api(shortest=JOB_SECONDS, longest=JOB_SECONDS) as server,
        running_stack(server, BUDGET) as stack,
    ):
        for counted in (False, *[True] * rounds):
            for dag_id, seconds in late.items():
                with busy_slots(stack) as busy:
                    run_id, wall, _ = run_seconds(stack, dag_id, 120)
                task = stack._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/transcribe")
                done = max(server.ask("/stats")["jobs"].values())
                if counted:
                    seconds.append(moment(task["end_date"]) - done)
                    slots[dag_id].append(busy[0])
                    walls[dag_id].append(wall)
    for dag_id, seconds in late.items():
        result.rows.append(
            {
                "waiting": WAYS[dag_id],
                "from completed to success, s": statistics.median(seconds),
                "at worst, s": max(seconds),
                "worker slot held, s": statistics.median(slots[dag_id]),
                "DAG run, s": statistics.median(walls[dag_id]),
            }
        )
    late_as_it_comes = result.rows[0]["from completed to success, s"]
    result.aim("as it comes, completed to success", "<= 2 s", late_as_it_comes, met=late_as_it_comes <= 2)
    return result
