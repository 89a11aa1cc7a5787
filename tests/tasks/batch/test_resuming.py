"""A Clear, and a trigger that gave up: what is paid for is taken up again, though its audio is gone."""

from pathlib import Path

import pytest

from airflow_provider_laplas.manifest import FileState
from tests.fake_api import answer_healthily, error_body, reply
from tests.tasks.batch.conftest import URLS, batch, manifest_of, rewrite


def test_a_finished_output_counts_though_the_manifest_missed_it(api, dag, run_and_clear, out):
    batch(out, audio=URLS[:2])
    run_and_clear()
    manifest = manifest_of(out)
    manifest.entries[0].state = FileState.SUBMITTED
    rewrite(manifest)
    api.generations.clear()
    assert run_and_clear().xcom("batch")["completed"] == 2
    assert api.count("POST") == 2


def test_what_was_submitted_is_taken_up_though_its_audio_has_left_the_folder(
    api, dag, run_and_clear, recordings, out
):
    api.script("POST", *[answer_healthily] * 2, reply(403))
    batch(out, audio=str(recordings))
    run_and_clear()
    submitted = [entry.source for entry in manifest_of(out).having(FileState.SUBMITTED)]
    assert len(submitted) == 2
    for path in recordings.rglob("*.*"):
        if path.as_uri() in submitted or str(path) in submitted:
            path.unlink()
    assert run_and_clear().xcom("batch")["completed"] == 3
    assert api.count("POST") == 4


def test_an_emptied_folder_is_no_reason_to_forget_what_was_submitted(
    api, dag, run_and_clear, recordings, out
):
    api.script("POST", answer_healthily, answer_healthily, reply(403))
    batch(out, audio=str(recordings))
    run_and_clear()
    for path in recordings.rglob("*.*"):
        path.unlink()
    assert run_and_clear().xcom("batch")["counts"] == {"completed": 2}
    assert api.count("POST") == 3


def test_a_submitted_file_of_a_list_that_cannot_be_read_any_more_is_waited_for(
    api, dag, run_and_clear, recordings, out
):
    paths = [str(recordings / "a.mp3"), str(recordings / "talks" / "a.mp3")]
    api.script("POST", answer_healthily, reply(403))
    batch(out, audio=paths)
    run_and_clear()
    (entry,) = manifest_of(out).having(FileState.SUBMITTED)
    Path(entry.source).write_bytes(b"")
    assert run_and_clear().xcom("batch")["counts"] == {"completed": 2}
    assert api.count("POST") == 3


@pytest.mark.parametrize("emptied", [False, True])
def test_a_finished_file_that_left_the_folder_is_still_published_and_told(
    api, dag, run_and_clear, recordings, out, emptied
):
    api.script("POST", answer_healthily, answer_healthily, reply(400, error_body(400, "not audio")))
    operator = batch(out, audio=str(recordings))
    run_and_clear()
    operator.formats = ["txt"]
    for entry in manifest_of(out).having(FileState.COMPLETED, *([FileState.FAILED] if emptied else [])):
        (recordings / entry.output.removesuffix(".json")).unlink()
    summary = run_and_clear().xcom("batch")
    assert summary["completed"] == (2 if emptied else 3)
    assert len(list(out.rglob("*.txt"))) == summary["completed"]
