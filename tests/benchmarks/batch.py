"""A thousand files in one task, against three mapped tasks for each file, in a real Airflow."""

from tests.benchmarks.common import Comparison, running_api
from tests.benchmarks.stack import idle_rate, run_seconds, running_stack

FILES = 1_000
MAPPED = 20
JOB_SECONDS = 5.0
BUDGET = 200.0


def compare_batch(files: int = FILES, mapped: int = MAPPED, budget: float = BUDGET) -> Comparison:
    """Wall time and CPU time of all of Airflow, what it takes idle left out."""
    result = Comparison(f"Files through Airflow (LocalExecutor, API jobs of {JOB_SECONDS:g} s)")
    forms = {"batch": files, "mapped": mapped}
    with (
        running_api(shortest=JOB_SECONDS, longest=JOB_SECONDS) as server,
        running_stack(server, budget, BENCH_FILES=str(files), BENCH_MAPPED=str(mapped)) as stack,
    ):
        run_seconds(stack, "warm_up", 120)
        idle = idle_rate(stack)
        for dag_id, count in forms.items():
            _, wall, used = run_seconds(stack, dag_id, 600)
            net = used - idle * wall
            result.rows.append(
                {
                    "form": "TranscribeBatchOperator"
                    if dag_id == "batch"
                    else "HttpOperator, HttpSensor, HttpOperator",
                    "files": count,
                    "wall s": wall,
                    "CPU s": net,
                    "CPU s/file": net / count,
                    "idle CPU left out": idle * wall,
                }
            )
    mine, theirs = result.rows
    result.aim("wall, 1,000 files", "<= 60 s", mine["wall s"], met=mine["wall s"] <= 60)
    result.aim("CPU, 1,000 files", "<= 50 s", mine["CPU s"], met=mine["CPU s"] <= 50)
    ratio = theirs["CPU s/file"] / mine["CPU s/file"]
    result.aim("CPU per file, mapped / batch", ">= 50", ratio, met=ratio >= 50)
    result.notes.append(f"Our connection's max_requests_per_second: {budget:g}.")
    return result
