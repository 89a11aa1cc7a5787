"""Transcripts in SQLite and PostgreSQL: the same behaviour in both, and with both drivers of the latter."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.report import CollectionStats, DayStats, LanguageStats
from airflow_provider_laplas.sql import (
    PHRASE_LIMIT,
    SEARCHABLE_LIMIT,
    TranscriptRow,
    create_tables,
    figures,
    load,
    search,
)
from airflow_provider_laplas.sql_statements import POSTGRESQL
from airflow_provider_laplas.transcript import Segment, Transcript, Word, tokens
from tests.fake_api import transcript_reply
from tests.sql.conftest import CONN_ID, row, table

TABLES = ["laplas_transcripts", "laplas_segments", "laplas_words"]
WITHOUT_ID = "uri, position, start_seconds, end_seconds, speaker, channel, text, searchable"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def content(hook):
    return [table(hook, name, WITHOUT_ID if name == "laplas_segments" else "*") for name in TABLES]


def found(hook, phrase, **arguments):
    return [hit.text for hit in search(hook, phrase, **arguments)]


def test_a_transcript_is_in_the_tables_as_it_was_given(hook):
    transcript = Transcript(
        "Hi you.\nYes.",
        {},
        language="en",
        duration=3.5,
        confidence=0.75,
        words=(Word("Hi", 0.1, 0.4, 0.9, "1"), Word("you.", None, None, None, None), Word("Yes.", channel=1)),
        segments=(Segment("Hi you.", 0.1, 0.9, 0.8, "1"), Segment("Yes.", channel=1)),
        channels=2,
        model="whisper-medium",
    )
    given = TranscriptRow("s3://b/a.json", "s3://b/a.mp3", transcript, "g-1", NOON, 0.25)
    assert load(hook, [given]) == {"transcripts": 1, "segments": 2, "words": 3}
    assert content(hook) == [
        [
            (
                *("s3://b/a.json", "s3://b/a.mp3", "g-1", "whisper-medium", "en", 3.5, 0.75, 2, 3),
                *("2026-03-01T12:00:00.000+00:00", 0.25, "Hi you.\nYes."),
            )
        ],
        [
            ("s3://b/a.json", 0, 0.1, 0.9, "1", 0, "Hi you.", "hi you"),
            ("s3://b/a.json", 1, None, None, None, 1, "Yes.", "yes"),
        ],
        [
            ("s3://b/a.json", 0, 0.1, 0.4, 0.9, "1", 0, "Hi"),
            ("s3://b/a.json", 1, None, None, None, None, 0, "you."),
            ("s3://b/a.json", 2, None, None, None, None, 1, "Yes."),
        ],
    ]


def test_a_reply_of_the_api_is_loaded_with_its_sentences_where_it_has_no_segments(hook):
    transcript = Transcript.from_reply(transcript_reply("Ask not. Do it."))
    load(hook, [TranscriptRow("a.json", "a.mp3", transcript)])
    assert table(hook, "laplas_segments", "text, start_seconds, end_seconds") == [
        ("Ask not.", 0.0, 0.9),
        ("Do it.", 1.0, 1.9),
    ]


def test_an_empty_transcript_is_a_row_without_segments_and_words(hook):
    load(hook, [row("a.json")])
    transcripts, segments, words = content(hook)
    assert (len(transcripts), segments, words) == (1, [], [])
    assert transcripts[0][8:] == (0, None, None, "")


@pytest.mark.parametrize(
    "text",
    [
        "it's \"quoted\"; -- '); DROP TABLE laplas_words",
        "日本語の文章",
        "مرحبا بالعالم",
        "שלום עולם",
        "%s ? :a $1",
        "😀 a\tb\\",
    ],
)
def test_every_text_comes_back_as_it_was(hook, text):
    load(hook, [row(text, text, source=text, language=text, model=text, generation_id=text)])
    assert table(hook, "laplas_transcripts", "uri, source, generation_id, model, language, text") == [
        (text,) * 6
    ]
    assert table(hook, "laplas_segments", "text") == [(text,)]
    assert [word for (word,) in table(hook, "laplas_words", "text")] == text.split()


def test_what_no_database_can_hold_is_left_out_of_a_text(hook):
    load(hook, [row("a.json", "nul \0 and half \ud800 a pair")])
    assert table(hook, "laplas_segments", "text") == [("nul  and half ? a pair",)]
    assert found(hook, "nul and half a pair")


def test_loading_again_changes_nothing(hook):
    rows = [row("a.json", "One two.", "Three.", completed_at=NOON), row("b.json", "Four.")]
    load(hook, rows)
    before = content(hook)
    assert load(hook, rows) == {"transcripts": 2, "segments": 3, "words": 4}
    assert content(hook) == before
    assert found(hook, "one two") == ["One two."]


def test_a_shorter_transcript_leaves_nothing_of_the_longer_one(hook):
    load(hook, [row("a.json", "One two.", "Three four.", completed_at=NOON), row("b.json", "One.")])
    load(hook, [row("a.json", "Five.")])
    assert table(hook, "laplas_segments", "uri, text") == [("a.json", "Five."), ("b.json", "One.")]
    assert table(hook, "laplas_words", "uri, text") == [("a.json", "Five."), ("b.json", "One.")]
    assert table(hook, "laplas_transcripts", "words, completed_at, text") == [
        (1, None, "Five."),
        (1, None, "One."),
    ]
    assert (found(hook, "three"), found(hook, "five"), found(hook, "one")) == ([], ["Five."], ["One."])


def test_many_rows_are_all_there(hook):
    words = tuple(Word(f"w{n}", float(n), speaker="a" if n % 2 else None) for n in range(12_345))
    load(hook, [row("a.json", words=words)])
    assert table(hook, "laplas_words", "position, text, start_seconds, speaker") == [
        (n, f"w{n}", float(n), "a" if n % 2 else None) for n in range(12_345)
    ]


def test_tables_can_be_made_again_and_by_several_tasks_at_once(empty_hook):
    together = threading.Barrier(4)

    def make(_):
        together.wait()
        create_tables(empty_hook)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(4)))
    load(empty_hook, [row("a.json", "One.")])
    create_tables(empty_hook)
    assert found(empty_hook, "one") == ["One."]


def test_tasks_that_load_the_same_transcript_at_once_leave_one_of_theirs(hook):
    together = threading.Barrier(4)

    def load_several(number):
        together.wait()
        for _ in range(5):
            load(hook, [row("a.json", *(f"by task {number}" for _ in range(number + 1)))])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(load_several, range(4)))
    [(text,)] = table(hook, "laplas_transcripts", "text")
    segments = [segment for (segment,) in table(hook, "laplas_segments", "text")]
    words = [word for (word,) in table(hook, "laplas_words", "text")]
    assert " ".join(segments) == " ".join(words) == text
    assert len(found(hook, "by task")) == len(segments)


def test_an_error_leaves_the_old_transcript_and_those_loaded_before(hook):
    load(hook, [row("a.json", "Old.")])

    def rows():
        yield row("b.json", "Before.")
        yield row("a.json", "New.", words=(Word("New."), Word("bad", start=object())))

    with pytest.raises(Exception, match=r"adapt|binding"):
        load(hook, rows())
    assert table(hook, "laplas_segments", "uri, text") == [("a.json", "Old."), ("b.json", "Before.")]
    assert table(hook, "laplas_words", "uri, text") == [("a.json", "Old."), ("b.json", "Before.")]
    assert (found(hook, "new"), found(hook, "old")) == ([], ["Old."])


KILLED_MIDWAY = """
import os, signal, sys
from airflow.providers.postgres.hooks import postgres
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from airflow_provider_laplas.sql import load
from airflow_provider_laplas.transcript import Word
from tests.sql.conftest import row

class Words(tuple):
    def __iter__(self):
        for number, word in enumerate(super().__iter__()):
            if number == 12_000:
                os.kill(os.getpid(), signal.SIGKILL)
            yield word

kind = sys.argv[1]
postgres.USE_PSYCOPG3 = kind == "psycopg3"
hook = SqliteHook("transcripts") if kind == "sqlite" else postgres.PostgresHook("transcripts")
load(hook, [row("a.json", "New.", words=Words(Word("new") for _ in range(20_000)))])
"""


def test_a_load_that_is_killed_midway_leaves_the_old_transcript(hook, database):
    load(hook, [row("a.json", "Old one.")])
    before = content(hook)
    killed = subprocess.run([sys.executable, "-c", KILLED_MIDWAY, database], check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert content(hook) == before
    assert (found(hook, "old one"), found(hook, "new")) == (["Old one."], [])
    load(hook, [row("a.json", "New.")])
    assert found(hook, "new") == ["New."]


def test_a_hundred_thousand_words_are_loaded_in_seconds(hook):
    words = tuple(Word(f"word{n % 5000}", n * 0.4, n * 0.4 + 0.3, 0.9, str(n % 3)) for n in range(100_000))
    segments = tuple(
        Segment(" ".join(word.text for word in words[n : n + 12]), words[n].start, words[n + 3].end)
        for n in range(0, 99_990, 12)
    )
    for _ in ("new", "replaced"):
        begin = time.perf_counter()
        load(hook, [row("a.json", words=words, segments=segments)])
        took = time.perf_counter() - begin
        assert took < 30
    [(count,)] = hook.get_records("SELECT COUNT(*) FROM laplas_words")
    assert count == 100_000


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


def test_a_hit_says_where_and_when_and_who(hook):
    load(hook, [row("a.json", "One.", "Two words.", source="a.mp3")])
    [hit] = search(hook, "TWO, words!")
    assert (hit.uri, hit.source, hit.start, hit.end, hit.speaker, hit.text) == (
        *("a.json", "a.mp3", 1.0, 2.0, "0"),
        "Two words.",
    )


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("Ask not what your country can do.", "WHAT YOUR", True),
        ("Ask not what your country can do.", "your what", False),
        ("Ask not what your country can do.", "count", False),
        ("Ask not what your country can do.", "not your", False),
        ("Don't stop.", "dont", True),
        ("Don\u2019t stop.", "don't stop", True),
        ("Straße", "STRASSE", True),
        ("e-mail me@example.com", "e mail me example com", True),
        ("It is 1e5 or 3.14.", "3 14", True),
        ("今日は東京に行きます。", "東京", True),
        ("今日は東京に行きます。", "京都", False),
        ("मैं हिन्दी बोलता हूँ", "हिन्दी", True),
        ("مرحبا بالعالم", "بالعالم", True),
        ("½ cup", "½", True),
        ("naïve café", "naive", False),
        ("you AND me OR them NOT us NEAR it", "me or them not us near", True),
        ("to be or not to be", "to be", True),
    ],
)
def test_whole_words_in_sequence_are_found_whatever_their_case(hook, text, phrase, expected):
    load(hook, [row("a.json", text, "something else")])
    assert found(hook, phrase) == ([text] if expected else [])


def test_a_phrase_is_found_however_long_the_segment_is(hook):
    text = "the quick word " * 7000 + "the needle"
    load(hook, [row("a.json", text, words=())])
    assert len(text) < SEARCHABLE_LIMIT
    assert found(hook, "word the needle") == [text]


def test_a_segment_above_every_limit_can_be_loaded(hook):
    text = " ".join(f"w{n}" for n in range(300_000))
    load(hook, [row("a.json", "x" * 10_000, text, words=())])
    assert found(hook, "w17 w18") == [text]


def test_hits_of_the_newest_transcript_come_first_and_then_those_of_no_time(hook):
    load(
        hook,
        [
            row("b.json", "hit b0", "hit b1"),
            row("c.json", "hit c0", completed_at=NOON),
            row("B.json", "hit B0"),
            row("a.json", "hit a0", completed_at=NOON + 0.5),
        ],
    )
    assert found(hook, "hit") == ["hit a0", "hit c0", "hit B0", "hit b0", "hit b1"]
    assert found(hook, "hit", limit=2) == ["hit a0", "hit c0"]


@pytest.mark.parametrize(
    "phrase", ["", "  ", '"', "*", "-- ' ;", "\0", "😀", None, 5, "a" * (PHRASE_LIMIT + 1)]
)
def test_a_phrase_that_says_nothing_is_an_error_that_names_it(hook, phrase):
    with pytest.raises(LaplasArgumentError) as raised:
        search(hook, phrase)
    assert raised.value.argument == "phrase"


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "2"])
def test_a_limit_that_is_none_is_an_error_that_names_it(hook, limit):
    with pytest.raises(LaplasArgumentError) as raised:
        search(hook, "a", limit=limit)
    assert raised.value.argument == "limit"


SYNTAX = [
    '"',
    "'",
    "*",
    "^",
    "(",
    ")",
    ":",
    "-",
    "+",
    "{",
    "}",
    "%s",
    "?",
    "\\",
    "&",
    "|",
    "!",
    "<->",
    ";--",
    "\0",
]
OPERATORS = [
    "AND",
    "OR",
    "NOT",
    "NEAR(",
    "NEAR/2",
    "searchable:",
    "select",
    "drop table",
    "a",
    "b",
    "東",
    "½",
    "\u0301",
]
PHRASES = st.one_of(
    st.text(max_size=40), st.lists(st.sampled_from([*SYNTAX, *OPERATORS, " "]), max_size=12).map("".join)
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(phrase=PHRASES, before=PHRASES, after=PHRASES)
@example(phrase='a" OR "b', before="", after="")
@example(phrase="NEAR(a b)", before="b a", after="")
def test_no_phrase_is_syntax_and_each_finds_where_it_was_said(hook, phrase, before, after):
    said = f"{before} {phrase} {after}"
    load(hook, [row("a.json", said, "nothing of it"), row("b.json", before, after)])
    wanted = tokens(phrase)
    if not wanted:
        with pytest.raises(LaplasArgumentError):
            search(hook, phrase)
        return
    expected = [
        (uri, position)
        for uri, texts in (("a.json", (said, "nothing of it")), ("b.json", (before, after)))
        for position, text in enumerate(texts)
        if f" {' '.join(wanted)} " in f" {' '.join(tokens(text))} "
    ]
    assert ("a.json", 0) in expected
    assert [(hit.uri, int(hit.start)) for hit in search(hook, phrase)] == expected


def test_rows_that_are_deleted_by_hand_are_found_no_more(hook):
    load(hook, [row("a.json", "One here.", "One there."), row("b.json", "One elsewhere.")])
    hook.run("DELETE FROM laplas_segments WHERE uri = 'a.json' AND position = 0")
    assert found(hook, "one") == ["One there.", "One elsewhere."]
    # SQLite minds foreign keys only where it is told to.
    told = ["PRAGMA foreign_keys = ON"] if hook.dialect_name == "sqlite" else []
    hook.run([*told, "DELETE FROM laplas_transcripts WHERE uri = 'a.json'"])
    assert found(hook, "one") == ["One elsewhere."]
    assert {uri for name in TABLES for (uri,) in table(hook, name, "uri")} == {"b.json"}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_index_of_sqlite_is_in_step_with_its_table(hook):
    load(hook, [row("a.json", "One two.", "Three."), row("b.json", "Four.")])
    load(hook, [row("a.json", "Five.")])
    hook.run("UPDATE laplas_segments SET searchable = 'six' WHERE uri = 'a.json'")
    hook.run("VACUUM", autocommit=True)
    assert [hit.uri for hit in search(hook, "six")] == ["a.json"]
    # An error where it is not.
    hook.run(
        "INSERT INTO laplas_segments_search (laplas_segments_search, rank) VALUES ('integrity-check', 1)"
    )


def test_figures_of_nothing_are_zero(hook):
    assert figures(hook) == CollectionStats()


def test_figures_count_files_hours_words_languages_days_and_cost(hook):
    day = 86_400
    load(
        hook,
        [
            row("a.json", "one two", language="en", duration=1800, completed_at=NOON, estimated_cost=0.5),
            row("b.json", "three", language="en", duration=1800, completed_at=NOON + day / 2 - 0.001),
            row("c.json", language="de", duration=7200, completed_at=NOON + day / 2, estimated_cost=0.25),
            row("d.json", "four", duration=None),
        ],
    )
    counted = figures(hook)
    assert (counted.files, counted.hours, counted.words) == (4, 3.0, 4)
    assert (counted.cost, counted.files_with_cost) == (0.75, 2)
    assert counted.languages == (
        LanguageStats("de", 1, 2.0),
        LanguageStats("en", 2, 1.0),
        LanguageStats(None, 1, 0.0),
    )
    assert counted.days == (DayStats(date(2026, 3, 1), 2, 1.0), DayStats(date(2026, 3, 2), 1, 2.0))
    assert [file.uri for file in counted.newest] == ["c.json", "b.json", "a.json", "d.json"]
    newest = counted.newest[0]
    assert (newest.completed_at, newest.language, newest.duration) == (
        datetime(2026, 3, 2, tzinfo=UTC),
        "de",
        7200.0,
    )
    assert counted.newest[-1].completed_at is None


def test_cost_is_unknown_where_no_file_has_one(hook):
    load(hook, [row("a.json", duration=60.0)])
    assert (figures(hook).cost, figures(hook).files_with_cost) == (None, 0)


def test_the_newest_files_are_ten_at_most(hook):
    load(hook, [row(f"{n:02}.json", completed_at=NOON + n) for n in range(12)])
    assert [file.uri for file in figures(hook).newest] == [f"{n:02}.json" for n in range(11, 1, -1)]


@pytest.mark.parametrize("database", ["psycopg3", "psycopg2"], indirect=True)
def test_a_connection_whose_rows_are_dicts_gives_the_same(hook, connection, monkeypatch, database):
    cursor = "dictcursor" if database == "psycopg3" else "realdictcursor"
    monkeypatch.setenv(
        "AIRFLOW_CONN_DICTS", json.dumps(connection | {"extra": connection["extra"] | {"cursor": cursor}})
    )
    dicts = type(hook)("dicts")
    load(dicts, [row("a.json", "One.", language="en", duration=36.0, completed_at=NOON)])
    assert search(dicts, "one") == search(hook, "one") != ()
    assert figures(dicts) == figures(hook)


@pytest.mark.parametrize("database", ["psycopg3", "psycopg2"], indirect=True)
def test_postgresql_searches_through_its_index(hook):
    load(hook, [row("a.json", *(f"filler {n}" for n in range(20_000)), "the needle", words=())])
    hook.run("ANALYZE laplas_segments")
    plan = hook.get_records(
        "EXPLAIN " + POSTGRESQL.search.replace("?", hook.placeholder),
        parameters=POSTGRESQL.search_parameters("needle", 20),
    )
    assert "laplas_segments_search" in str(plan)


def test_another_database_is_an_error_that_names_the_connection_argument(monkeypatch):
    class MySqlHook(DbApiHook):
        conn_name_attr = "mysql_conn_id"

    monkeypatch.setenv("AIRFLOW_CONN_TRANSCRIPTS", "mysql://localhost/x")
    for call in (create_tables, figures, lambda hook: load(hook, []), lambda hook: search(hook, "a")):
        with pytest.raises(LaplasArgumentError, match="SQLite or PostgreSQL, not to mysql") as raised:
            call(MySqlHook(CONN_ID))
        assert raised.value.argument == "mysql_conn_id"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("uri", value) for value in ("", " ", None)),
        *(("source", value) for value in ("", None)),
        *(("completed_at", value) for value in (float("nan"), 1e15, float("inf"), "2026-03-01")),
        *(("estimated_cost", value) for value in (float("nan"), float("inf"))),
    ],
)
def test_a_row_that_cannot_be_stored_is_an_error_that_names_the_field(argument, value):
    with pytest.raises(LaplasArgumentError) as raised:
        TranscriptRow(**{"uri": "a", "source": "a", "transcript": Transcript("", {})} | {argument: value})
    assert raised.value.argument == argument


def test_the_module_is_imported_without_airflow():
    code = (
        "import sys, airflow_provider_laplas.sql, airflow_provider_laplas.report; "
        "print([name for name in sys.modules if name.partition('.')[0] in ('airflow', 'sqlite3', 'psycopg')])"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"
