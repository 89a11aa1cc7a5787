"""A thousand files in one task, against three mapped tasks for each file, in a real Airflow."""

from tests.benchmarks.common import Comparison, running_api, show
from tests.benchmarks.stack import FILES, MAPPED, PARALLELISM, idle_rate, run_seconds, running_stack

JOB_SECONDS = 5.0
BUDGET = 200.0
FORMS = {
    "batch": "TranscribeBatchOperator",
    "mapped": "HttpOperator, HttpSensor, HttpOperator",
}


def compare_batch(files: int = FILES, mapped: int = MAPPED, budget: float = BUDGET) -> Comparison:
    """Wall time and CPU time of all of Airflow, what it takes idle left out."""
    result = Comparison(
        "Many files through Airflow",
        f"In a real Airflow with LocalExecutor, SQLite and {PARALLELISM} tasks at a time, jobs of {JOB_SECONDS:g} s. The batch is one "
        f"TranscribeBatchOperator over {files:,} URLs, all of them in flight at once (max_in_flight={files}), with "
        f"max_requests_per_second {budget:g} on the connection (the default is 50). Beside it {mapped} files have three "
        "mapped tasks each: HttpOperator submits, a deferrable HttpSensor (poke_interval=5) waits, HttpOperator fetches. "
        "CPU time is that of all of Airflow's processes, without what they take in the same time when idle.",
    )
    with (
        running_api(shortest=JOB_SECONDS, longest=JOB_SECONDS) as server,
        running_stack(server, budget, files=files, mapped=mapped) as stack,
    ):
        run_seconds(stack, "warm_up", 120)
        idle = idle_rate(stack)
        for dag_id, count in {"batch": files, "mapped": mapped}.items():
            _, wall, used = run_seconds(stack, dag_id, 600)
            net = used - idle * wall
            result.rows.append(
                {
                    "transcribing with": FORMS[dag_id],
                    "files": count,
                    "seconds": wall,
                    "CPU, s": net,
                    "CPU/file, s": net / count,
                    "idle CPU left out, s": idle * wall,
                }
            )
    mine, theirs = result.rows
    result.aim(f"wall, {files:,} files", "<= 60 s", mine["seconds"], met=mine["seconds"] <= 60)
    result.aim(f"CPU, {files:,} files", "<= 50 s", mine["CPU, s"], met=mine["CPU, s"] <= 50)
    ratio = theirs["CPU/file, s"] / mine["CPU/file, s"]
    result.aim("CPU per file, mapped / batch", ">= 50", ratio, met=ratio >= 50)
    result.notes.append(f"The mapped tasks take {show(ratio)} times the batch's CPU time for each file.")
    return result
