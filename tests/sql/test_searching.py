"""Where a phrase was said: the same hits in every database."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.sql import PHRASE_LIMIT, SEARCHABLE_LIMIT, load, search
from airflow_provider_laplas.sql.statements import POSTGRESQL
from airflow_provider_laplas.transcript import tokens
from tests.sql.conftest import DRIVERS, NOON, TABLES, found, row, table


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


@pytest.mark.parametrize("database", DRIVERS, indirect=True)
def test_postgresql_searches_through_its_index(hook):
    load(hook, [row("a.json", *(f"filler {n}" for n in range(20_000)), "the needle", words=())])
    hook.run("ANALYZE laplas_segments")
    plan = hook.get_records(
        "EXPLAIN " + POSTGRESQL.search.replace("?", hook.placeholder),
        parameters=POSTGRESQL.search_parameters("needle", 20),
    )
    assert "laplas_segments_search" in str(plan)
