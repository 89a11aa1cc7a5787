"""A database behind a hook: nothing of what was said is told by it, and only two kinds will do."""

import json
import subprocess
import sys

import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.sql import create_tables, figures, load, search
from tests.sql.conftest import CONN_ID, DRIVERS, NOON, found, row


def test_no_text_is_in_the_log(hook, caplog):
    with caplog.at_level("DEBUG"):
        load(hook, [row("a.json", "Confidential canary.")])
        assert found(hook, "canary")
        figures(hook)
    assert "canary" not in caplog.text.lower()


def test_no_text_is_in_an_error(empty_hook):
    with pytest.raises(Exception, match="laplas_transcripts") as raised:
        load(empty_hook, [row("a.json", "Confidential canary.")])
    assert "canary" not in str(raised.value)


def test_no_text_is_in_a_repr(hook):
    given = row("a.json", "Confidential canary.")
    load(hook, [given])
    assert "canary" not in repr(given) + repr(search(hook, "canary")) + repr(figures(hook))


@pytest.mark.parametrize("database", DRIVERS, indirect=True)
def test_a_connection_whose_rows_are_dicts_gives_the_same(hook, connection, monkeypatch, database):
    cursor = "dictcursor" if database == "psycopg3" else "realdictcursor"
    monkeypatch.setenv(
        "AIRFLOW_CONN_DICTS", json.dumps(connection | {"extra": connection["extra"] | {"cursor": cursor}})
    )
    dicts = type(hook)("dicts")
    load(dicts, [row("a.json", "One.", language="en", duration=36.0, completed_at=NOON)])
    assert search(dicts, "one") == search(hook, "one") != ()
    assert figures(dicts) == figures(hook)


def test_another_database_is_an_error_that_names_the_connection_argument(monkeypatch):
    class MySqlHook(DbApiHook):
        conn_name_attr = "mysql_conn_id"

    monkeypatch.setenv("AIRFLOW_CONN_TRANSCRIPTS", "mysql://localhost/x")
    for call in (create_tables, figures, lambda hook: load(hook, []), lambda hook: search(hook, "a")):
        with pytest.raises(LaplasArgumentError, match="SQLite or PostgreSQL, not to mysql") as raised:
            call(MySqlHook(CONN_ID))
        assert raised.value.argument == "mysql_conn_id"


def test_the_module_is_imported_without_airflow():
    code = (
        "import sys, airflow_provider_laplas.sql, airflow_provider_laplas.report; "
        "print([name for name in sys.modules if name.partition('.')[0] in ('airflow', 'sqlite3', 'psycopg')])"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"
