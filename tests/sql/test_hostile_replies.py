"""Whatever a reply holds, a transcript that is made of it can be loaded and searched."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings

from airflow_provider_laplas.api.responses import Response
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.sql import TranscriptRow, load, search
from tests.sql.conftest import table
from tests.unit.api.answers import FETCH, JSON_TYPE
from tests.unit.hostile import BODIES


def read(body):
    return FETCH.read(Response(200, JSON_TYPE, body)).transcript()


def body_of(**part):
    utterance = {"transcript": "Hello", "start": 0, "end": 1, **part}
    word = {"word": "Hello", "start": 0, "end": 1, **part}
    channel = {"alternatives": [{"transcript": "Hello", "words": [word]}], "detected_language": "e\0n"}
    results = {"channels": [channel], "utterances": [utterance]}
    return json.dumps({"status": "completed", "result": {"results": results}}).encode()


HOSTILE = [
    *({"channel": channel} for channel in (1e300, -1e300, 10**400, 2**31, -1, "1e300", True, [1])),
    *({"start": time} for time in (float("nan"), float("inf"), 1e300, -5, 10**400, "0", False, {})),
    *({"end": time} for time in (float("-inf"), -1e300, 2**63)),
    *({"confidence": value} for value in (1e300, -1, float("nan"), "0.5", 10**400)),
    *({"speaker": value} for value in ("\0", "A\ud83d", 1e300, 10**400, True, [[]])),
    *(
        {"transcript": value, "word": value}
        for value in ("nul \0 pair \ud83d", "\0", "\ud83d", "\udfff\ud800")
    ),
]


@pytest.mark.parametrize("part", HOSTILE, ids=ascii)
def test_a_reply_with_what_no_column_can_hold_is_loaded(hook, part):
    load(hook, [TranscriptRow("a.json", "a.mp3", read(body_of(**part)))])
    [(channel, start)] = table(hook, "laplas_segments", "channel, start_seconds")
    assert channel == 0
    assert start in {0, None}
    assert len(table(hook, "laplas_words")) == 1
    assert table(hook, "laplas_transcripts", "language") == [("e\ufffdn",)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(BODIES)
@example(body_of(channel=1e300, transcript="\0"))
def test_any_transcript_of_a_reply_is_loaded_whole(hook, body):
    try:
        transcript = read(body)
    except LaplasError:
        return
    load(hook, [TranscriptRow("a.json", "a.mp3", transcript)])
    assert table(hook, "laplas_transcripts", "text, words") == [(transcript.text, len(transcript.words))]
    assert table(hook, "laplas_words", "text, speaker, channel, start_seconds, confidence") == [
        (word.text, word.speaker, word.channel, word.start, word.confidence) for word in transcript.words
    ]
    segments = transcript.segments or transcript.sentences
    assert table(hook, "laplas_segments", "text") == [(segment.text,) for segment in segments]
    search(hook, "hello")
