"""Recordings behind URLs that the worker downloads, to take their audio out or to cut them."""

import pytest

from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.operators import TranscribeOperator
from airflow_provider_laplas.results import load_transcript
from tests.fake_api import WORDS, reply
from tests.media_files import mp4, speech
from tests.origin import Origin
from tests.paths import ROOT
from tests.tasks.batch.conftest import batch, manifest_of

SPEECH = (ROOT / "demo" / "recordings" / "two_cities.ogg").read_bytes()
"""Some 44 seconds."""

FETCH = {"fetch": True, "allow_private_urls": True}
PARTS = 4
SIGNED = "X-Amz-Signature=0123456789abcdef0123456789abcdef"


@pytest.fixture
def origin():
    with Origin.running() as server:
        server.pages["/talk.ogg"] = 200, {}, SPEECH
        yield server


def failed_reply():
    return reply(200, {"status": "error", "error": {"message": "no speech"}})


def test_a_video_behind_a_url_is_submitted_as_its_audio(api, dag, run_dag, origin, tmp_path):
    origin.pages["/talk.mp4"] = 200, {}, mp4(speech())
    TranscribeOperator(task_id="t", audio=f"{origin.url}/talk.mp4?{SIGNED}", media=FETCH, poke_interval=0.1)
    assert run_dag(dag).state == "success"
    submission = api.requests[0]
    assert b'filename="talk.m4a"' in submission.body
    assert b"0123456789abcdef" not in submission.body


def test_without_fetch_the_api_is_given_the_url(api, dag, run_dag, origin):
    TranscribeOperator(task_id="t", audio=f"{origin.url}/talk.ogg", media={}, poke_interval=0.1)
    assert run_dag(dag).state == "success"
    assert origin.asked == []
    submission = api.requests[0]
    assert submission.json["url"] == f"{origin.url}/talk.ogg"


def test_a_private_address_fails_the_task_and_nothing_is_submitted(api, dag, run_dag, origin):
    TranscribeOperator(task_id="t", audio=f"{origin.url}/talk.ogg", media={"fetch": True}, retries=0)
    assert run_dag(dag).state == "failed"
    assert (origin.asked, api.count("POST")) == ([], 0)


def test_a_long_recording_behind_a_url_is_submitted_in_parts(api, dag, run_dag, origin, out):
    TranscribeOperator(
        task_id="t",
        audio=f"{origin.url}/talk.ogg",
        media=FETCH | {"max_part_seconds": 20},
        results_path=str(out),
        poke_interval=0.1,
    )
    finished = run_dag(dag)
    assert finished.state == "success"
    assert api.count("POST") == PARTS
    assert finished.xcom("t")["text"].split() == list(WORDS) * PARTS


def test_a_batch_downloads_a_recording_once_for_all_its_parts(api, dag, run_dag, origin, out):
    batch(out, audio=[f"{origin.url}/talk.ogg?{SIGNED}"], media=FETCH | {"max_part_seconds": 20})
    assert run_dag(dag).state == "success"
    assert api.count("POST") == PARTS
    assert len(origin.asked) == 1
    (file,) = manifest_of(out).entries
    assert file.state is FileState.COMPLETED
    assert len(load_transcript(f"{out}/{file.output}").words) == PARTS * len(WORDS)


def test_a_url_that_cannot_be_downloaded_fails_alone(api, dag, run_dag, origin, out):
    audio = [f"{origin.url}/talk.ogg", f"{origin.url}/missing.ogg?{SIGNED}"]
    batch(out, audio=audio, media=FETCH, max_failed=1)
    assert run_dag(dag).state == "success"
    errors = [file.error for file in manifest_of(out).entries if file.state is FileState.FAILED]
    assert len(errors) == 1
    assert "status 404" in errors[0]
    assert "0123456789abcdef" not in errors[0]
    assert api.count("POST") == 1


def test_only_the_part_that_failed_is_submitted_again(api, dag, run_dag, origin, out):
    batch(out, audio=[f"{origin.url}/talk.ogg"], media=FETCH | {"max_part_seconds": 20}, retries=0)
    api.script("GET", failed_reply())
    assert run_dag(dag).state == "failed"
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == PARTS + 1


def test_a_part_of_a_recording_that_has_changed_since_it_was_cut_is_not_sent(api, dag, run_dag, origin, out):
    batch(out, audio=[f"{origin.url}/talk.ogg"], media=FETCH | {"max_part_seconds": 20}, retries=0)
    api.script("GET", failed_reply())
    assert run_dag(dag).state == "failed"
    # Of the same size, which is all that is known of it before it is downloaded.
    origin.pages["/talk.ogg"] = 200, {}, SPEECH[:-1] + bytes([SPEECH[-1] ^ 1])
    assert run_dag.clear(dag).state == "failed"
    (error,) = [part.error for part in manifest_of(out).parts if part.state is FileState.FAILED]
    assert "changed after it was cut" in error
    assert api.count("POST") == PARTS
