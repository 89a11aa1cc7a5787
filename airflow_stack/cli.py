"""Airflow's command line."""

import subprocess
import sys
from collections.abc import Mapping

from airflow_stack.processes import PATIENCE, tail


def run_airflow(environment: Mapping[str, str], *arguments: str) -> str:
    """
    Run an ``airflow`` command to its end, and return what it printed to its standard output.

    :param environment: all of its environment, with AIRFLOW_HOME
    :raises RuntimeError: when it fails, with the end of what it printed
    :raises subprocess.TimeoutExpired: when it has not ended after ``PATIENCE``
    """
    run = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env=dict(environment),
        cwd=environment["AIRFLOW_HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if run.returncode:
        shown = tail(run.stdout + run.stderr)
        raise RuntimeError(f"airflow {' '.join(arguments)} ended with status {run.returncode}:\n{shown}")
    return run.stdout
