"""The ingestion pipeline's DAGs over a SQLite and a PostgreSQL connection: nothing in them differs but the connection."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from airflow_provider_laplas import sql
from airflow_provider_laplas.errors import LaplasArgumentError
from tests.airflow_names import BaseHook
from tests.fake_api import error_body, reply, transcript_reply

PIPELINE = Path(__file__).parents[2] / "dags" / "ingest_recordings.py"
TABLES = ("laplas_transcripts", "laplas_segments", "laplas_words")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path, monkeypatch):
    connection = {"conn_type": "sqlite", "host": str(tmp_path / "transcripts.db")}
    if request.param == "postgresql":
        connection = request.getfixturevalue("new_schema")()
    monkeypatch.setenv("AIRFLOW_CONN_TRANSCRIPTS_DB", json.dumps(connection))
    return lambda: BaseHook.get_hook("transcripts_db")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    inbox, transcripts = tmp_path / "inbox", tmp_path / "transcripts"
    (inbox / "talks").mkdir(parents=True)
    for n in range(3):
        record(inbox / "talks" / f"{n}.mp3", b"audio")
    monkeypatch.setenv("AIRFLOW_VAR_LAPLAS_INBOX", inbox.as_uri())
    monkeypatch.setenv("AIRFLOW_VAR_LAPLAS_TRANSCRIPTS", transcripts.as_uri())
    return inbox, transcripts


@pytest.fixture
def pipeline():
    """The two DAGs of the file, parsed anew."""
    spec = importlib.util.spec_from_file_location("ingest_recordings_under_test", PIPELINE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ingest, report = module.ingest_recordings(), module.report_transcripts()
    for one in (*ingest.tasks, *report.tasks):
        one.retries = 0
    return ingest, report


def record(path, content):
    """Write a file that has settled long ago."""
    path.write_bytes(content)
    os.utime(path, (0, 0))


def contents(hook):
    return {name: sorted(map(tuple, hook.get_records(f"SELECT * FROM {name}"))) for name in TABLES}


def test_new_recordings_are_loaded_and_searchable_and_a_second_run_changes_nothing(
    api, folders, database, pipeline, run_dag
):
    ingest, _ = pipeline
    assert run_dag(ingest).xcom("load") == {"transcripts": 3, "segments": 3, "words": 21}
    before = contents(database())
    assert len(sql.search(database(), "what your country")) == 3
    run = run_dag(ingest)
    assert run.state_of("load") == "skipped"
    assert contents(database()) == before
    assert api.count("POST") == 3


def test_a_recording_that_was_replaced_replaces_its_rows(api, folders, database, pipeline, run_dag):
    ingest, _ = pipeline
    run_dag(ingest)
    api.default_reply = transcript_reply("something else")
    record(folders[0] / "talks" / "0.mp3", b"other audio")
    assert run_dag(ingest).xcom("load") == {"transcripts": 1, "segments": 1, "words": 2}
    assert len(sql.search(database(), "something else")) == 1
    assert len(sql.search(database(), "your country")) == 2


def test_what_a_failed_load_left_out_is_loaded_by_the_next_run(
    api, folders, database, pipeline, run_dag, monkeypatch
):
    ingest, _ = pipeline
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_TRANSCRIPTS_DB", json.dumps({"conn_type": "sqlite", "host": "/no/where"}))
        assert run_dag(ingest).state_of("load") == "failed"
    assert run_dag(ingest).xcom("load")["transcripts"] == 3
    assert api.count("POST") == 3


def test_the_report_counts_everything_and_names_what_failed_and_quotes_nobody(
    api, folders, database, pipeline, run_dag
):
    ingest, report = pipeline
    api.script("POST", reply(400, error_body(400, "not audio")))
    run_dag(ingest)
    assert run_dag(report).xcom("report") == [(folders[1] / "report.html").as_uri()]
    page = (folders[1] / "report.html").read_text()
    assert "not audio" in page
    assert "ask not" not in page


def test_a_database_that_is_neither_is_refused_by_name(monkeypatch, tmp_path):
    class MySQL:
        conn_name_attr = "mysql_conn_id"
        dialect_name = "mysql"

    with pytest.raises(LaplasArgumentError, match="mysql_conn_id"):
        sql.generations(MySQL())
