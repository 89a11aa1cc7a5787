"""The cluster as people start it: ``make up EXECUTOR=celery``."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from airflow_stack.processes import await_condition
from airflow_stack.rest import AirflowRest
from tests.demo_processes import end_left_running, left_running
from tests.paths import ROOT
from tests.patience import PATIENCE


@pytest.fixture
def temporary():
    """A folder that PostgreSQL's user may enter, with a name that is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="up-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def running(temporary, tmp_path):
    """The demo, whose processes are known by its folder."""
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "up", "--executor", "celery"],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, output
    finally:
        process.kill()
        process.wait()
        end_left_running(temporary)


def test_it_runs_a_dag_with_the_printed_command_and_ctrl_c_ends_everything(running, temporary):
    process, output = running
    await_condition(
        lambda: "Ctrl-C ends it" in output.read_text() or process.poll() is not None,
        what="a cluster that is up",
    )
    said = output.read_text()
    assert "worker-2" in said
    command = next(line for line in said.splitlines() if "transcribe_url" in line)
    subprocess.run(command, shell=True, check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
    airflow = AirflowRest(re.search(r"Airflow: +(\S+)", said)[1])
    [(run_id, _)] = airflow.runs("transcribe_url")
    airflow.await_success("transcribe_url", run_id, 120)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    await_condition(lambda: not left_running(temporary), what="the end of all processes")
    # Transcripts are kept; and what Celery's processes have had for themselves stays where they are killed.
    left = [path.name for path in temporary.iterdir()]
    assert [name for name in left if not name.startswith(("laplas-transcripts-", "pymp-"))] == []
