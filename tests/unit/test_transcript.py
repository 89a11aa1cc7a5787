"""The three shapes of reply, in one model, and its views."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.captions import make_captions
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasMalformedReplyError
from airflow_provider_laplas.transcript import (
    Paragraph,
    Segment,
    Transcript,
    Word,
    join_words,
    tokens,
)
from tests.fake_api import transcript_reply

REPLIES = Path(__file__).parent / "replies"
SAMPLES = sorted(path.stem for path in REPLIES.glob("*.json"))

ASSEMBLY = {
    "status": "completed",
    "result": {
        "id": "x",
        "language_code": "en_us",
        "text": "Hello there.",
        "words": [
            {"text": "Hello", "start": 250, "end": 650, "confidence": 0.97, "speaker": "A"},
            {"text": "there.", "start": 700, "end": 1250, "confidence": 0.95, "speaker": "A"},
        ],
        "utterances": [
            {"text": "Hello there.", "start": 250, "end": 1250, "confidence": 0.96, "speaker": "A"}
        ],
        "audio_duration": 2,
        "confidence": 0.96,
    },
}
OPENAI = {
    "status": "completed",
    "output": {"text": "Hello there.", "usage": {"type": "tokens", "total_tokens": 12}},
}


def test_the_deepgram_shape_is_read_with_times_in_seconds():
    transcript = Transcript.from_reply(transcript_reply("Ask not"))
    assert transcript.text == "Ask not"
    assert (transcript.duration, transcript.confidence, transcript.model) == (1.0, 0.9, "whisper-medium")
    assert [(w.text, w.start, w.end, w.confidence) for w in transcript.words] == [
        ("Ask", 0.0, 0.4, 0.9),
        ("not", 0.5, 0.9, 0.9),
    ]


def test_the_assemblyai_shape_is_read_with_times_in_milliseconds():
    transcript = Transcript.from_reply(ASSEMBLY)
    assert (transcript.text, transcript.language, transcript.duration) == ("Hello there.", "en_us", 2.0)
    assert [(w.text, w.start, w.end, w.speaker) for w in transcript.words] == [
        ("Hello", 0.25, 0.65, "A"),
        ("there.", 0.7, 1.25, "A"),
    ]
    assert transcript.segments[0].end == 1.25


def test_the_openai_shape_is_read_without_times():
    transcript = Transcript.from_reply(OPENAI)
    assert (transcript.text, transcript.words, transcript.duration) == ("Hello there.", (), None)
    assert transcript.usage == {"type": "tokens", "total_tokens": 12}


def test_one_channel_object_reads_like_a_list_of_one():
    reply = transcript_reply()
    results = reply["result"]["results"]
    results["channels"] = results["channels"][0]
    assert Transcript.from_reply(reply).text == Transcript.from_reply(transcript_reply()).text


def test_channels_are_joined_by_newlines_and_confidence_counts_those_with_speech():
    reply = transcript_reply("left")
    reply["result"]["results"]["channels"] += [
        {"alternatives": [{"transcript": "", "confidence": 0.0, "words": []}]},
        {"alternatives": [{"transcript": "right", "confidence": 0.7, "words": [{"word": "right"}]}]},
    ]
    transcript = Transcript.from_reply(reply)
    assert transcript.text == "left\nright"
    assert transcript.channels == 3
    assert transcript.confidence == pytest.approx(0.8)
    assert [word.channel for word in transcript.words] == [0, 2]


@pytest.mark.parametrize("results", [None, {}, {"channels": []}, {"channels": [{"alternatives": []}]}])
def test_silence_is_an_empty_transcript(results):
    transcript = Transcript.from_reply(
        {"status": "completed", "result": {"metadata": {}, "results": results}}
    )
    assert (transcript.text, transcript.words, transcript.confidence) == ("", (), None)


def test_utterances_come_before_the_sentences_of_paragraphs():
    reply = transcript_reply()
    alternative = reply["result"]["results"]["channels"][0]["alternatives"][0]
    sentence = {"text": "Ask not.", "start": 0.0, "end": 1.0}
    alternative["paragraphs"] = {"paragraphs": [{"sentences": [sentence], "speaker": 1}]}
    assert [(s.text, s.speaker) for s in Transcript.from_reply(reply).segments] == [("Ask not.", "1")]
    reply["result"]["results"]["utterances"] = [{"transcript": "Ask", "start": 0, "end": 1, "speaker": 0}]
    assert [(s.text, s.speaker) for s in Transcript.from_reply(reply).segments] == [("Ask", "0")]


@pytest.mark.parametrize("reply", [{}, {"result": {}}, {"result": {"text": None}}, {"output": {"words": []}}])
def test_a_reply_without_a_place_for_text_is_malformed(reply):
    with pytest.raises(LaplasMalformedReplyError):
        Transcript.from_reply(reply)


def test_the_raw_reply_is_kept_untouched():
    reply = transcript_reply(customer="field")
    assert Transcript.from_reply(reply).raw is reply


@given(st.text(alphabet="QXZ", min_size=6))
def test_no_repr_shows_what_was_said(secret):
    transcript = Transcript.from_reply(transcript_reply(secret))
    assert secret not in repr(transcript) + repr(transcript.words) + repr(transcript.segments)


def sample(name: str) -> Transcript:
    return Transcript.from_reply(json.loads((REPLIES / f"{name}.json").read_text()))


def views(transcript: Transcript) -> dict:
    """Everything that is read from a reply or made of it, as JSON values."""
    try:
        vtt = make_captions(transcript).to_vtt().splitlines()
    except LaplasArgumentError:
        vtt = None
    return {
        **transcript.to_dict(raw=False),
        "views": {
            "speakers": list(transcript.speakers),
            "sentences": [[s.text, s.start, s.end] for s in transcript.sentences],
            "paragraphs": [[p.text, p.start, p.end, p.speaker, p.channel] for p in transcript.paragraphs],
            "by_speaker": [
                [voice, [[turn.text, turn.start, turn.end] for turn in turns]]
                for voice, turns in transcript.by_speaker().items()
            ],
            "search": [[m.text, m.start, m.end, m.channel] for m in transcript.search("good MORNING")],
            "txt": transcript.to_txt(),
            "vtt": vtt,
        },
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stored_reply_reads_as_it_is_written_down(name):
    expected = json.loads((REPLIES / "expected" / f"{name}.json").read_text())
    assert json.loads(json.dumps(views(sample(name)))) == expected


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stored_reply_comes_back_from_its_dict(name):
    transcript = sample(name)
    stored = json.loads(json.dumps(transcript.to_dict()))
    assert Transcript.from_dict(stored) == transcript


def test_the_samples_cover_every_shape_and_silence_in_each():
    assert {name.split("_")[0] for name in SAMPLES} == {"assemblyai", "deepgram", "japanese", "openai"}
    for shape in ("assemblyai", "deepgram", "openai"):
        assert sample(f"{shape}_empty_speech").text == ""


NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
FIELDS = {
    "text": st.text(),
    "start": NUMBERS,
    "end": NUMBERS,
    "confidence": NUMBERS,
    "speaker": st.one_of(st.none(), st.text(max_size=3)),
    "channel": st.integers(0, 3),
}
SEGMENTS = st.builds(Segment, **FIELDS)
PARAGRAPHS = st.builds(
    Paragraph,
    sentences=st.lists(SEGMENTS, min_size=1, max_size=2).map(tuple),
    speaker=FIELDS["speaker"],
    channel=FIELDS["channel"],
)
JSON = st.dictionaries(st.text(), st.one_of(st.none(), st.booleans(), st.integers(), st.text()), max_size=3)
TRANSCRIPTS = st.builds(
    Transcript,
    text=st.text(),
    raw=JSON,
    language=st.one_of(st.none(), st.text(max_size=5)),
    duration=NUMBERS,
    confidence=NUMBERS,
    words=st.lists(st.builds(Word, **FIELDS), max_size=6).map(tuple),
    segments=st.lists(SEGMENTS, max_size=3).map(tuple),
    channels=st.integers(1, 4),
    model=st.one_of(st.none(), st.text(max_size=5)),
    usage=st.one_of(st.none(), JSON),
    given_paragraphs=st.lists(PARAGRAPHS, max_size=2).map(tuple),
)


@given(TRANSCRIPTS)
def test_any_transcript_comes_back_from_its_dict_through_json(transcript):
    assert Transcript.from_dict(json.loads(json.dumps(transcript.to_dict()))) == transcript


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


def test_a_dict_without_the_raw_reply_reads_back_without_it():
    transcript = sample("deepgram_full")
    assert Transcript.from_dict(transcript.to_dict(raw=False)).raw == {}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"format": "laplas-transcript"},
        {"format": "laplas-transcript", "version": 2, "text": ""},
        {"format": "laplas-transcript", "version": 1},
        {"format": "laplas-transcript", "version": 1, "text": "", "words": [{"text": 5}]},
        {"format": "laplas-transcript", "version": 1, "text": "", "duration": "long"},
        {"format": "laplas-transcript", "version": 1, "text": "", "channels": True},
    ],
)
def test_what_is_no_stored_transcript_is_refused(data):
    with pytest.raises(LaplasArgumentError) as caught:
        Transcript.from_dict(data)
    assert caught.value.argument == "data"


def test_keys_of_a_later_release_are_left_alone():
    data = {**sample("openai_plain").to_dict(), "mood": "good"}
    assert Transcript.from_dict(data) == sample("openai_plain")


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


def test_words_are_joined_as_their_script_asks():
    assert join_words(["Good", "", "morning."]) == "Good morning."
    assert join_words(["今日", "は", "Airflow", "です"]) == "今日はAirflowです"
    assert join_words(["สวัสดี", "ครับ", "Bob"]) == "สวัสดีครับ Bob"
    assert join_words(["오늘은", "날씨가"]) == "오늘은 날씨가"


def test_importing_the_core_brings_neither_airflow_nor_a_subtitle_library():
    code = (
        "import sys, airflow_provider_laplas.captions, airflow_provider_laplas.quality;"
        "sys.exit(any(m.partition('.')[0] in {'airflow', 'webvtt', 'requests', 'aiohttp'} for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_paragraph_without_sentences_is_none():
    reply = transcript_reply()
    alternative = reply["result"]["results"]["channels"][0]["alternatives"][0]
    alternative["paragraphs"] = {"paragraphs": [{"speaker": 1, "sentences": []}]}
    assert Transcript.from_reply(reply).given_paragraphs == ()


@pytest.mark.parametrize("channel", ["left", "0", "99999999999", 3, None])
def test_a_channel_label_that_is_no_number_is_the_first_channel(channel):
    reply = {"text": "Hi", "words": [{"text": "Hi", "start": 0, "end": 1, "channel": channel}]}
    assert Transcript.from_reply(reply).words[0].channel == 0


@pytest.mark.parametrize("start", [10**400, float("inf"), float("nan"), True, "1", [1]])
def test_a_time_that_is_none_is_left_out(start):
    reply = {"text": "Hi", "words": [{"text": "Hi", "start": start, "end": 1000}]}
    assert (Transcript.from_reply(reply).words[0].start, Transcript.from_reply(reply).words[0].end) == (
        None,
        1.0,
    )


def test_a_confidence_outside_its_range_says_nothing():
    transcript = made_of(Word("Good", confidence=1e308), Word("day.", confidence=0.5))
    assert transcript.sentences[0].confidence == 0.5


def test_a_stored_number_that_json_should_not_hold_is_refused():
    stored = {**sample("openai_plain").to_dict(), "duration": float("nan")}
    with pytest.raises(LaplasArgumentError):
        Transcript.from_dict(stored)
