"""The commands of the local server's page, run as they stand there but for the port."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from airflow_provider_laplas.client import LaplasClient
from airflow_provider_laplas.hooks import LaplasHook
from airflow_stack.processes import await_condition
from tests.docs.pages import SHELL, commands, environment, run_commands
from tests.paths import ROOT
from tests.patience import PATIENCE

# A further block, or a further command by hand, fails here until it is run below.
START, CONNECT, SCRIPT, BY_HAND, RUN = [
    code for name, code in SHELL.items() if name.startswith("docs/local-server.md:")
]
CREATE, LOOK = BY_HAND.splitlines()
SHOWN = "http://127.0.0.1:8765"

pytestmark = pytest.mark.whisper


@pytest.fixture
def url(tmp_path):
    """The server, on a free port: that is an environment variable, as the page says."""
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(
            ["bash", "-euc", commands(START)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(tmp_path) | {"LAPLAS_LOCAL_SERVE_PORT": "0"},
            start_new_session=True,
        )
        try:
            said = process.stdout.readline()
            log.seek(0)
            listening = re.fullmatch(r"Listening on (\S+)/v1\n", said)
            assert listening, log.read()
            yield listening[1]
        finally:
            # The shell waits for the server, and both are to end.
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=PATIENCE)


@pytest.fixture
def clone(tmp_path):
    """What the commands use of the clone."""
    for name in ("dags", "demo"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_airflow_reaches_the_server_by_the_connection_that_is_shown(url, tmp_path, monkeypatch):
    _, exported = run_commands(CONNECT.replace(SHOWN, url), tmp_path)
    assert exported.keys() == {"AIRFLOW_CONN_LAPLAS_DEFAULT"}
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", exported["AIRFLOW_CONN_LAPLAS_DEFAULT"])
    reached, said = LaplasHook().test_connection()
    assert reached, said


def test_a_script_reaches_the_server_by_the_variables_that_are_shown(url, tmp_path):
    _, exported = run_commands(SCRIPT.replace(SHOWN, url), tmp_path)
    with LaplasClient(exported["LAPLAS_API_KEY"], exported["LAPLAS_URL"]) as client:
        reached, said = client.check()
    assert reached, said


def test_a_dag_runs_against_the_server(url, clone):
    printed, _ = run_commands(CONNECT.replace(SHOWN, url) + RUN, clone, seconds=120)
    assert "{'words': 22}" in printed


@pytest.mark.skipif(not shutil.which("curl"), reason="the page's own commands need curl")
def test_a_recording_is_transcribed_by_hand(url, clone):
    printed, _ = run_commands(CREATE.replace(SHOWN, url), clone)
    look = LOOK.replace(SHOWN, url).replace("GENERATION_ID", json.loads(printed)["generation_id"])
    replies = []

    def completed():
        replies.append(run_commands(look, clone)[0])
        return json.loads(replies[-1])["status"] == "completed"

    await_condition(completed, what="the transcript")
    assert "ask not what your country can do for you" in replies[-1]
