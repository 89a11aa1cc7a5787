"""The views of a transcript: sentences, paragraphs, turns, search."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript import Segment, Transcript, Word, join_words, tokens
from tests.fake_api import transcript_reply
from tests.unit.transcript.samples import TRANSCRIPTS, sample


@given(st.text(alphabet="QXZ", min_size=6))
def test_no_repr_shows_what_was_said(secret):
    transcript = Transcript.from_reply(transcript_reply(secret))
    assert secret not in repr(transcript) + repr(transcript.words) + repr(transcript.segments)


@given(TRANSCRIPTS)
def test_the_views_of_any_transcript_lose_no_word(transcript):
    for view in (transcript.sentences, transcript.turns):
        said = "".join("".join(part.text.split()) for part in view)
        source = (
            [s for p in transcript.given_paragraphs for s in p.sentences]
            or transcript.words
            or transcript.segments
        )
        if source:
            assert sorted(said) == sorted("".join("".join(part.text.split()) for part in source))
    assert sum(len(turns) for turns in transcript.by_speaker().values()) == len(transcript.turns)
    assert isinstance(transcript.to_txt(), str)


def made_of(*words: Word) -> Transcript:
    return Transcript(text=join_words(word.text for word in words), raw={}, words=words)


def test_a_title_or_an_initial_does_not_end_a_sentence():
    transcript = made_of(
        *(Word(text) for text in ["Mr.", "J.", "Smith", "met", "Dr.", "Brown.", "They", "spoke."])
    )
    assert [s.text for s in transcript.sentences] == ["Mr. J. Smith met Dr. Brown.", "They spoke."]


def test_a_paragraph_ends_at_a_pause_and_after_five_sentences():
    words = [Word("Yes.", n + (10 if n > 2 else 0), n + 0.5 + (10 if n > 2 else 0)) for n in range(10)]
    paragraphs = made_of(*words).paragraphs
    assert [len(paragraph.sentences) for paragraph in paragraphs] == [3, 5, 2]
    assert (paragraphs[0].start, paragraphs[0].end) == (0, 2.5)


def test_turns_follow_the_speakers_in_time():
    words = [Word(str(n), n, n + 0.5, 0.5, speaker="AAB"[n % 3]) for n in range(6)]
    transcript = made_of(*words)
    assert [(turn.speaker, turn.text) for turn in transcript.turns] == [
        ("A", "0 1"),
        ("B", "2"),
        ("A", "3 4"),
        ("B", "5"),
    ]
    assert {voice: len(turns) for voice, turns in transcript.by_speaker().items()} == {
        "Speaker A": 2,
        "Speaker B": 2,
    }


@pytest.mark.parametrize(
    ("phrase", "found"),
    [
        ("ask NOT", [(0.0, "Ask not,")]),
        ("not", [(1.0, "not,"), (3.0, "not?")]),
        ("don't ask", [(4.0, "Don’t ask")]),  # noqa: RUF001 - as it is written.
        ("as", []),
        ("well known", [(6.0, "well-known")]),
        ("not not not", []),
    ],
)
def test_a_search_ignores_case_and_punctuation_and_finds_whole_words(phrase, found):
    texts = ["Ask", "not,", "Why", "not?", "Don’t", "ask", "well-known"]  # noqa: RUF001 - as it is written.
    transcript = made_of(*(Word(text, float(n), n + 0.5) for n, text in enumerate(texts)))
    assert [(match.start, match.text) for match in transcript.search(phrase)] == found


def test_a_search_finds_what_overlaps_itself():
    transcript = made_of(*(Word("no", float(n), n + 0.5) for n in range(4)))
    assert [match.start for match in transcript.search("no no")] == [0.0, 1.0, 2.0]


def test_a_search_in_japanese_crosses_words_and_needs_no_spaces():
    transcript = sample("japanese")
    assert [(m.text, m.start, m.end) for m in transcript.search("に行き")] == [("に行き", 5.6, 7.1)]
    assert [m.text for m in transcript.search("天気で")] == ["天気です"]


def test_a_search_without_words_gives_the_segment():
    transcript = Transcript(
        text="x", raw={}, segments=(Segment("Good morning.", 1.0, 2.0), Segment("No.", 3.0))
    )
    assert [match.start for match in transcript.search("morning")] == [1.0]


@pytest.mark.parametrize("phrase", ["", " ", "?!"])
def test_a_search_for_nothing_is_refused(phrase):
    with pytest.raises(LaplasArgumentError) as caught:
        sample("japanese").search(phrase)
    assert caught.value.argument == "phrase"


@given(
    st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=4), min_size=1, max_size=8)
)
def test_every_word_is_found_where_it_was_said(texts):
    transcript = made_of(*(Word(text, float(n), n + 0.5) for n, text in enumerate(texts)))
    for n, text in enumerate(texts):
        if tokens(text):
            assert float(n) in {match.start for match in transcript.search(text)}


def test_punctuation_alone_is_no_part_of_a_match():
    transcript = made_of(
        Word("-", 0.0, 0.1), Word("Ask", 1.0, 1.5), Word("-", 2.0, 2.1), Word("not", 3.0, 3.5)
    )
    assert [(m.start, m.end) for m in transcript.search("ask not")] == [(1.0, 3.5)]


def test_importing_the_core_brings_neither_airflow_nor_a_subtitle_library():
    code = (
        "import sys, airflow_provider_laplas.captions, airflow_provider_laplas.transcript.quality;"
        "sys.exit(any(m.partition('.')[0] in {'airflow', 'webvtt', 'requests', 'aiohttp'} for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_confidence_outside_its_range_says_nothing():
    transcript = made_of(Word("Good", confidence=1e308), Word("day.", confidence=0.5))
    assert transcript.sentences[0].confidence == 0.5
