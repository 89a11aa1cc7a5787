"""Uploads over the connection's ``max_upload_bytes``: refused before anything is sent or noted."""

import pytest

from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.operators import TranscribeOperator
from tests.tasks.batch.conftest import batch, manifest_of

LIMIT = 65_536


@pytest.fixture
def inbox(api, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", api.connection(max_upload_bytes=LIMIT))
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "large.mp3").write_bytes(bytes(LIMIT + 1))
    (folder / "small.mp3").write_bytes(bytes(LIMIT))
    return folder


def test_a_large_upload_fails_and_a_clear_submits_what_is_there_then(api, dag, run_dag, inbox):
    TranscribeOperator(task_id="t", audio=str(inbox / "large.mp3"), poke_interval=0.1, retries=0)
    finished = run_dag(dag)
    assert finished.state == "failed"
    (error,) = finished.errors
    assert "65,537 bytes" in str(error)
    assert "media={}" in str(error)
    # Nothing is in doubt: a Clear does not take it for a submission without an answer.
    assert run_dag.clear(dag).state == "failed"
    assert not api.requests
    (inbox / "large.mp3").write_bytes(bytes(LIMIT))
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == 1


def test_in_a_batch_a_large_file_fails_alone(api, dag, run_dag, inbox, out):
    batch(out, audio=str(inbox), max_failed=1)
    assert run_dag(dag).state == "success"
    states = {file.output: file.state for file in manifest_of(out).entries}
    assert states == {"large.mp3.json": FileState.FAILED, "small.mp3.json": FileState.COMPLETED}
    assert api.count("POST") == 1
