"""Transcripts in SQLite and PostgreSQL: the same content in both, and with both drivers of the latter."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.sql import TranscriptRow, create_tables, load
from airflow_provider_laplas.transcript import Segment, Transcript, Word
from tests.fake_api import transcript_reply
from tests.sql.conftest import NOON, content, found, row, table


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


def test_what_no_database_can_hold_is_replaced_in_a_text(hook):
    load(hook, [row("a.json", "nul \0 and half \ud800 a pair")])
    assert table(hook, "laplas_segments", "text") == [("nul \ufffd and half \ufffd a pair",)]
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


def test_a_segment_above_every_limit_can_be_loaded(hook):
    text = " ".join(f"w{n}" for n in range(300_000))
    load(hook, [row("a.json", "x" * 10_000, text, words=())])
    assert found(hook, "w17 w18") == [text]


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
