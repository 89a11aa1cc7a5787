"""The three shapes of reply, in one model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.errors import LaplasMalformedReplyError
from airflow_provider_laplas.transcript import Transcript
from tests.fake_api import transcript_reply

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
