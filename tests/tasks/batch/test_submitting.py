"""What is submitted, and what becomes of a file that the API does not take, or may have taken."""

import asyncio
import logging
from datetime import timedelta

from airflow_provider_laplas.errors import LaplasCreditsError
from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.results import load_transcript
from tests.fake_api import TEXT, answer_healthily, error_body, reply, reset_after_body, stop_reading
from tests.tasks.batch.conftest import BOTH, URLS, batch, manifest_of, states_of
from tests.wire.conftest import connect


@BOTH
def test_every_file_is_submitted_once_and_its_transcript_written(api, dag, run_dag, out, deferrable):
    batch(out, audio=URLS, deferrable=deferrable)
    summary = run_dag(dag).xcom("batch")
    assert summary == {
        "files": 7,
        "completed": 7,
        "new": 7,
        "new_failed": 0,
        "failed": 0,
        "counts": {"completed": 7},
        "audio_seconds": 7 * 3.5,
        "manifest": f"{out}/manifest.json",
        "results_path": str(out),
    }
    assert api.count("POST") == 7
    assert [load_transcript(f"{out}/{entry.output}").text for entry in manifest_of(out).entries] == [TEXT] * 7


@BOTH
def test_the_worker_submits_the_next_files_when_half_of_the_room_is_free(api, dag, run_dag, out, deferrable):
    most = []
    create = api.create

    def counting():
        most.append(sum(looks <= api.polls_until_done for looks in api.generations.values()))
        return create()

    api.create = counting
    batch(out, audio=URLS, max_in_flight=2, deferrable=deferrable)
    assert run_dag(dag).xcom("batch")["completed"] == 7
    assert max(most) <= 1


def test_where_nothing_that_was_submitted_was_taken_the_next_files_are_submitted(api, dag, run_dag, out):
    api.script("POST", reset_after_body(), reset_after_body())
    batch(out, audio=URLS, max_in_flight=2, max_failed=2)
    assert run_dag(dag).xcom("batch")["counts"] == {"ambiguous": 2, "completed": 5}


@BOTH
def test_a_server_that_stops_reading_an_upload_does_not_stop_a_batch(
    api, dag, run_dag, out, tmp_path, monkeypatch, deferrable
):
    connect(monkeypatch, api, timeout=1, min_upload_bytes_per_second=1e8)
    for name in ("a.mp3", "b.mp3"):
        (tmp_path / "inbox" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "inbox" / name).write_bytes(name.encode() * 4_000_000)
    api.script("POST", stop_reading(1_000_000))
    batch(out, audio=str(tmp_path / "inbox"), deferrable=deferrable)
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 2}
    assert api.count("POST") == 3
    assert len(api.generations) == 2


def test_a_broken_file_is_reported_and_does_not_stop_the_others(api, dag, run_dag, out):
    api.script("POST", reply(400, error_body(400, "not audio")))
    batch(out, audio=URLS, max_failed=1)
    summary = run_dag(dag).xcom("batch")
    assert (summary["completed"], summary["failed"]) == (6, 1)
    (failed,) = manifest_of(out).having(FileState.FAILED)
    assert "not audio" in failed.error


def test_a_generation_that_fails_is_the_files_failure(api, dag, run_dag, out):
    api.script("GET", reply(200, {"status": "failed", "error": "silence"}))
    batch(out, audio=URLS[:1], max_failed=1)
    assert run_dag(dag).xcom("batch")["counts"] == {"failed": 1}
    assert "silence" in manifest_of(out).entries[0].error


def test_an_ambiguous_submission_is_left_to_the_user_and_a_clear_submits_it(api, dag, run_and_clear, out):
    api.script("POST", reset_after_body())
    batch(out, audio=URLS[:3])
    (error,) = run_and_clear().errors
    assert "ambiguous" in str(error)
    assert run_and_clear().xcom("batch")["completed"] == 3
    assert api.count("POST") == 4


def test_an_ambiguous_submission_is_repeated_where_the_user_says_so(api, dag, run_dag, out):
    api.script("POST", reset_after_body())
    batch(out, audio=URLS[:1], on_ambiguous="resubmit")
    assert run_dag(dag).xcom("batch")["completed"] == 1
    assert api.count("POST") == 2


def test_what_stops_all_files_keeps_what_was_submitted_and_a_clear_attaches_to_it(
    api, dag, run_and_clear, out
):
    api.script("POST", *[reply(201, {"generation_id": api.create()}) for _ in range(3)], reply(403))
    batch(out, audio=URLS)
    (error,) = run_and_clear().errors
    assert isinstance(error, LaplasCreditsError)
    before = api.count("POST")
    kept = sum(state == "submitted" for state in states_of(out))
    assert kept >= 3
    assert run_and_clear().xcom("batch")["completed"] == 7
    assert api.count("POST") == before + 7 - kept


def test_a_time_out_amid_a_group_leaves_the_ids_that_are_known(api, dag, run_dag, out):
    async def never(api, request):
        await asyncio.sleep(3600)

    api.script("POST", answer_healthily, answer_healthily, answer_healthily, never)
    batch(out, audio=URLS[:4], execution_timeout=timedelta(seconds=5))
    assert run_dag(dag).state == "failed"
    noted = manifest_of(out)
    assert noted.counts() == {"submitted": 3, "intent": 1}
    assert {entry.generation_id for entry in noted.having(FileState.SUBMITTED)} == set(api.generations)


@BOTH
def test_the_log_says_how_far_the_batch_is_and_names_no_generation(
    api, dag, run_dag, out, caplog, deferrable
):
    batch(out, audio=URLS, deferrable=deferrable)
    with caplog.at_level(logging.INFO):
        run_dag(dag)
    assert "7 of 7 files done" in caplog.text
    said = [
        record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_laplas")
    ]
    assert not [line for line in said for generation_id in api.generations if generation_id in line]
