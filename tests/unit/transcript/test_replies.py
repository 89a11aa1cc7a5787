"""The three shapes of reply, in one model."""

import json

import pytest

from airflow_provider_laplas.captions import make_captions
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasMalformedReplyError
from airflow_provider_laplas.transcript import Transcript
from tests.fake_api import transcript_reply
from tests.unit.transcript.samples import REPLIES, SAMPLES, sample

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


def test_the_samples_cover_every_shape_and_silence_in_each():
    assert {name.split("_")[0] for name in SAMPLES} == {"assemblyai", "deepgram", "japanese", "openai"}
    for shape in ("assemblyai", "deepgram", "openai"):
        assert sample(f"{shape}_empty_speech").text == ""


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
