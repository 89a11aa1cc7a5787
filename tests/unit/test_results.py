"""Stored transcripts: what can be loaded, and what is said of what cannot."""

import json
from pathlib import Path

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.results import inline, load_reply, load_transcript
from airflow_provider_laplas.results.output import check_results_path, choose_folder
from airflow_provider_laplas.transcript import Transcript

REPLY = json.loads((Path(__file__).parent / "replies" / "deepgram_full.json").read_text())
SECRET = "what was said"


def test_a_reply_is_loaded_by_its_uri_and_from_what_a_task_returned(tmp_path):
    stored = tmp_path / "a.json"
    stored.write_text(json.dumps(REPLY))
    transcript = Transcript.from_reply(REPLY)
    references = (str(stored), stored.as_uri(), {"result": str(stored), "text": "Hello"}, inline(REPLY))
    assert all(load_transcript(reference) == transcript for reference in references)
    assert load_reply(str(stored)) == REPLY


@pytest.mark.parametrize("raw", [True, False])
def test_a_transcript_that_was_written_by_to_dict_is_loaded_whole(tmp_path, raw):
    transcript = Transcript.from_reply(REPLY)
    stored = tmp_path / "a.json"
    stored.write_text(json.dumps(transcript.to_dict(raw=raw)))
    loaded = load_transcript(str(stored))
    assert loaded.words == transcript.words
    assert loaded.to_dict(raw=False) == transcript.to_dict(raw=False)


def test_a_written_transcript_is_not_taken_for_a_reply():
    with pytest.raises(LaplasArgumentError, match="from_dict"):
        Transcript.from_reply(Transcript.from_reply(REPLY).to_dict())


@pytest.mark.parametrize("content", [SECRET, f'["{SECRET}"]', "[" * 100_000, ""])
@pytest.mark.parametrize("load", [load_reply, load_transcript])
def test_a_file_that_is_no_reply_is_named_and_not_quoted(tmp_path, content, load):
    stored = tmp_path / "a.json"
    stored.write_text(content)
    with pytest.raises(LaplasArgumentError, match="is not a ") as caught:
        load(str(stored))
    assert caught.value.argument == "result"
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("reference", ["missing.json", "", None, 7, {}, {"result": None}])
def test_what_leads_to_no_transcript_is_an_error_that_names_the_argument(tmp_path, reference, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaplasArgumentError) as caught:
        load_transcript(reference)
    assert caught.value.argument == "result"


@pytest.mark.parametrize(
    ("given", "expanded"),
    [
        ("~/replies", "/home/me/replies"),
        ("~", "/home/me"),
        ("/a/~/b", "/a/~/b"),
        ("s3://bucket/~/a", "s3://bucket/~/a"),
        ("~nobody-has-this-name/a", "~nobody-has-this-name/a"),
        ("{{ params.home }}/~", "{{ params.home }}/~"),
        (None, None),
    ],
)
def test_a_tilde_that_begins_a_results_folder_is_the_home_folder(monkeypatch, given, expanded):
    monkeypatch.setenv("HOME", "/home/me")
    assert check_results_path(given) == expanded
    assert choose_folder(given, None) == expanded
    assert choose_folder(None, given) == expanded
