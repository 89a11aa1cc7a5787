"""A SQLite file and a PostgreSQL server of the test's own, behind the hooks that users have."""

import json
from datetime import UTC, datetime

import pytest
from airflow.providers.postgres.hooks import postgres
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.sqlite.hooks.sqlite import SqliteHook

from airflow_provider_laplas.sql import TranscriptRow, create_tables, search
from airflow_provider_laplas.transcript import Segment, Transcript, Word

CONN_ID = "transcripts"
VARIABLE = "AIRFLOW_CONN_TRANSCRIPTS"
TABLES = ["laplas_transcripts", "laplas_segments", "laplas_words"]
WITHOUT_ID = "uri, position, start_seconds, end_seconds, speaker, channel, text, searchable"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
# Older releases of the provider know one driver only.
DRIVERS = ["psycopg3", "psycopg2"] if hasattr(postgres, "USE_PSYCOPG3") else ["psycopg2"]
DATABASES = ["sqlite", *DRIVERS]


@pytest.fixture(params=DATABASES)
def database(request):
    return request.param


@pytest.fixture
def connection(database, tmp_path, request):
    if database == "sqlite":
        return {"conn_type": "sqlite", "host": str(tmp_path / "transcripts.db")}
    return request.getfixturevalue("new_schema")()


@pytest.fixture
def empty_hook(database, connection, monkeypatch):
    """A hook to an empty database."""
    monkeypatch.setenv(VARIABLE, json.dumps(connection))
    if database == "sqlite":
        return SqliteHook(CONN_ID)
    monkeypatch.setattr(postgres, "USE_PSYCOPG3", database == "psycopg3", raising=False)
    return PostgresHook(CONN_ID)


@pytest.fixture
def hook(empty_hook):
    """A hook to a database with the tables."""
    create_tables(empty_hook)
    return empty_hook


def table(hook, name, columns="*"):
    """The rows of a table, in order."""
    key = "uri" if name == "laplas_transcripts" else "uri, position"
    return [tuple(row) for row in hook.get_records(f"SELECT {columns} FROM {name} ORDER BY {key}")]


def row(uri="file:///a.json", *segments, **fields):
    """A transcript whose segments are texts, and whose words are the segments' words."""
    of_row = {
        name: fields.pop(name)
        for name in ("source", "generation_id", "completed_at", "estimated_cost")
        if name in fields
    }
    words = [word for segment in segments for word in segment.split()]
    transcript = Transcript(
        **{
            "text": " ".join(segments),
            "raw": {},
            "words": tuple(Word(word, n / 2, n / 2 + 0.4, 0.9, "0") for n, word in enumerate(words)),
            "segments": tuple(Segment(text, float(n), n + 1.0, 0.8, "0") for n, text in enumerate(segments)),
        }
        | fields
    )
    return TranscriptRow(uri, of_row.pop("source", "https://example.com/a.mp3"), transcript, **of_row)


def content(hook):
    return [table(hook, name, WITHOUT_ID if name == "laplas_segments" else "*") for name in TABLES]


def found(hook, phrase, **arguments):
    return [hit.text for hit in search(hook, phrase, **arguments)]
