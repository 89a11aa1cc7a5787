"""Whatever a reply holds, it is a typed error, or every output can be made of it."""

import json

import msgspec
import pytest
from hypothesis import example, given

from airflow_provider_laplas.api.responses import Response
from airflow_provider_laplas.captions.making import write_formats
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.results import inline, load_reply, load_transcript, write_reply
from airflow_provider_laplas.storage import LOCAL
from airflow_provider_laplas.task.generation import summarise
from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.transcript.quality import check
from airflow_provider_laplas.transcript.usage import transcript_usage
from tests.unit.api.answers import FETCH, JSON_TYPE, SUBMIT
from tests.unit.hostile import BODIES, nested


def completed(result):
    return json.dumps({"status": "completed", "result": result}).encode()


def read(body):
    """The generation and the transcript of a reply; None where it is a typed error."""
    try:
        generation = FETCH.read(Response(200, JSON_TYPE, body))
        return generation, generation.transcript()
    except LaplasError as error:
        str(error).encode()
        return None


def xcom(value):
    """What of a value arrives in another task: Airflow's processes send messages of these bytes, and keep JSON."""
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(value))
    text = json.dumps(sent, allow_nan=False, ensure_ascii=False)
    # As a JSON column of PostgreSQL.
    assert "\\u0000" not in text.replace("\\\\", "")
    return json.loads(text.encode())


@given(BODIES)
@example(completed({"text": "half \ud83d a pair"}))
@example(completed({"text": "a", "usage": {"n": 10**400, "\ud83d": "\0"}}))
@example(completed({"text": "a", "usage": nested(90)}))
@example(completed({"results": {"utterances": [{"channel": 1e300, "transcript": "a", "start": -1e300}]}}))
@example(completed({"text": "a", "words": [{"text": "a", "start": float("inf"), "end": 1}]}))
@example(b'{"status": "completed", "result": {"text": "a", "audio_duration": 1e999}}')
@example(b'{"status": "completed", "result": {"text": "a"}, "deep": ' + b"[" * 900 + b"]" * 900 + b"}")
def test_a_reply_is_an_error_or_everything_can_be_written_of_it(tmp_path_factory, body):
    found = read(body)
    if found is None:
        return
    generation, transcript = found
    stored = f"{tmp_path_factory.getbasetemp()}/reply.json"
    write_reply(stored, generation.reply, LOCAL)
    assert load_reply(stored) == generation.reply
    assert load_transcript(stored) == transcript
    packed = inline(generation.reply)
    assert packed is None or load_transcript(xcom(packed)) == transcript
    again = Transcript.from_dict(json.loads(json.dumps(transcript.to_dict(), allow_nan=False)))
    assert again == transcript
    transcript.to_txt().encode()
    str(check(transcript)).encode()
    assert xcom(transcript.to_dict(raw=False))["text"] == transcript.text
    assert xcom(summarise("g", transcript, stored, {}))["text"] == transcript.text
    xcom(transcript_usage(transcript, 0.5))
    try:
        texts, _ = write_formats(transcript, ["srt", "vtt", "txt"])
    except LaplasArgumentError:
        return
    for text in texts.values():
        text.encode()


@given(BODIES)
def test_a_submissions_reply_is_an_id_that_can_be_sent_or_an_error(body):
    try:
        generation_id = SUBMIT.read(Response(201, JSON_TYPE, body))
    except LaplasError as error:
        str(error).encode()
    else:
        assert xcom(generation_id) == generation_id


@pytest.mark.parametrize("status", ["pon\ud83ddering", "comp\0leted", "\ud83d"])
def test_a_status_word_is_valid_text_and_none_becomes_a_known_one(status):
    generation = FETCH.read(Response(200, JSON_TYPE, json.dumps({"status": status}).encode()))
    assert generation.status == status.replace("\ud83d", "\ufffd").replace("\0", "\ufffd")
    assert not generation.known


@pytest.mark.parametrize("error", ["bad \ud83d\0", ["bad \ud83d\0"], {"\ud83d\0": ["bad"]}])
def test_an_error_message_is_valid_text(error):
    body = {"status": "error", "error": {"message": error}}
    failed = FETCH.read(Response(200, JSON_TYPE, json.dumps(body).encode()))
    assert "bad" in failed.reason
    assert xcom(failed.reason) == failed.reason
    body = {"message": error, "statusCode": 400, "requestId": "r\ud83d\0"}
    with pytest.raises(LaplasError) as caught:
        FETCH.read(Response(400, JSON_TYPE, json.dumps(body).encode()))
    for text in (str(caught.value), caught.value.request_id, caught.value.detail):
        assert xcom(text) == text
        assert "\0" not in text


def test_what_no_output_can_hold_is_missing_and_the_rest_is_read():
    words = [
        {"word": "a\ud83d", "start": -0.5, "end": 1e300, "confidence": 1e300, "speaker": "B\0"},
        {"word": "b", "start": True, "end": "2", "confidence": "0.5", "speaker": 10**400},
        {"word": "c", "start": 1, "end": 2.5, "confidence": 1, "speaker": 0},
    ]
    alternative = {"transcript": "a\ud83d b c", "confidence": float("nan"), "words": words}
    result = {
        "metadata": {"duration": float("inf")},
        "results": {"channels": [{"alternatives": [alternative]}], "utterances": [{"channel": 1e300}]},
    }
    _, transcript = read(completed(result))
    assert (transcript.text, transcript.duration, transcript.confidence) == ("a\ufffd b c", None, None)
    assert [(w.text, w.start, w.end, w.confidence, w.speaker) for w in transcript.words] == [
        ("a\ufffd", None, None, None, "B\ufffd"),
        ("b", None, None, None, None),
        ("c", 1.0, 2.5, 1.0, "0"),
    ]
    assert transcript.segments[0].channel == 0


def test_the_raw_reply_keeps_what_came():
    generation, transcript = read(completed({"text": "half \ud83d a pair\0"}))
    assert transcript.raw is generation.reply
    assert transcript.raw["result"]["text"] == "half \ud83d a pair\0"


def test_a_number_that_json_does_not_have_costs_no_transcript():
    _, transcript = read(
        b'{"status": "completed", "result": {"text": "said", "confidence": NaN, "x": -1e999}}'
    )
    assert (transcript.text, transcript.confidence) == ("said", None)
    assert transcript.raw["result"] == {"text": "said", "confidence": None, "x": None}
