"""What a batch refuses before it submits anything, and what keeps it from submitting more."""

import wave

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasBatchError
from airflow_provider_laplas.operators import TranscribeBatchOperator
from tests.fake_api import error_body, reply, reset_after_body
from tests.tasks.batch.conftest import URLS, batch


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"audio": "https://example.com/a.mp3"}, "audio"),
        ({"audio": {"a": 1}}, "audio"),
        ({"audio": [7]}, "audio"),
        ({"audio": ["https://"]}, "audio"),
        ({"results_path": ""}, "results_path"),
        ({"results_path": None}, "results_path"),
        ({"results_path": "s3://key:secret@bucket/x"}, "results_path"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_in_flight": "many"}, "max_in_flight"),
        ({"max_failed": -1}, "max_failed"),
        ({"max_files": 0}, "max_files"),
        ({"max_audio_seconds": 0}, "max_audio_seconds"),
        ({"deduplicate": "yes"}, "deduplicate"),
        ({"max_inflight": 3}, "max_inflight"),
        ({"min_age": -1}, "min_age"),
        ({"min_age": "soon"}, "min_age"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_when_the_dag_is_parsed(arguments, name):
    with pytest.raises(LaplasArgumentError) as caught:
        TranscribeBatchOperator(**({"task_id": "t", "audio": URLS, "results_path": "/out"} | arguments))
    assert caught.value.argument == name


def test_more_files_than_allowed_are_refused_before_anything_is_submitted(api, dag, run_dag, out):
    operator = batch(out, audio=URLS, max_files=6)
    (error,) = run_dag(dag).errors
    assert error.argument == "max_files"
    assert not api.requests
    operator.audio = URLS[:6]
    run_dag(dag)
    operator.audio = URLS
    assert run_dag(dag).xcom("batch")["completed"] == 7


def test_longer_uploads_than_allowed_are_refused_before_anything_is_submitted(
    api, dag, run_dag, tmp_path, out
):
    for name in ("a.wav", "b.wav"):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(2 * 8000 * 40))
    batch(out, audio=f"{tmp_path}/*.wav", max_audio_seconds=60)
    (error,) = run_dag(dag).errors
    assert error.argument == "max_audio_seconds"
    assert "80 s" in str(error)
    assert not api.requests


def test_submitting_urls_stops_once_the_finished_audio_is_longer_than_allowed(api, dag, run_dag, out):
    batch(out, audio=URLS, max_in_flight=2, max_audio_seconds=5)
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasBatchError)
    assert "max_audio_seconds" in str(error)
    assert 2 <= api.count("POST") < 7


def test_more_failures_than_allowed_fail_the_task_with_the_first_reason_and_a_clear_submits_only_those(
    api, dag, run_and_clear, out
):
    api.script("POST", reply(400, error_body(400, "not audio")))
    batch(out, audio=URLS)
    (error,) = run_and_clear().errors
    assert isinstance(error, LaplasBatchError)
    assert "not audio" in str(error)
    assert "manifest.json" in str(error)
    assert run_and_clear().xcom("batch")["completed"] == 7
    assert api.count("POST") == 8


def test_ambiguous_submissions_stop_a_batch_like_other_failures(api, dag, run_dag, out, monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.batch.timing.CONCURRENT_SUBMISSIONS", 2)
    api.script("POST", *[reset_after_body()] * 7)
    batch(out, audio=URLS)
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasBatchError)
    assert api.count("POST") <= 2
