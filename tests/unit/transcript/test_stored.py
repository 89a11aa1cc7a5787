"""A transcript as plain JSON values, and back."""

import json

import pytest
from hypothesis import given

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript import Transcript
from tests.unit.transcript.samples import SAMPLES, TRANSCRIPTS, sample


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stored_reply_comes_back_from_its_dict(name):
    transcript = sample(name)
    stored = json.loads(json.dumps(transcript.to_dict()))
    assert Transcript.from_dict(stored) == transcript


@given(TRANSCRIPTS)
def test_any_transcript_comes_back_from_its_dict_through_json(transcript):
    assert Transcript.from_dict(json.loads(json.dumps(transcript.to_dict()))) == transcript


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


def test_a_stored_number_that_json_should_not_hold_is_refused():
    stored = {**sample("openai_plain").to_dict(), "duration": float("nan")}
    with pytest.raises(LaplasArgumentError):
        Transcript.from_dict(stored)
