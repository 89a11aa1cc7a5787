"""Many files in one task: what is submitted, what is not, and what the manifest says of it."""

import asyncio
import json
import logging
import os
import time
import wave
from datetime import timedelta
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError
from airflow_provider_laplas.batch_loops import take_stored
from airflow_provider_laplas.claim import claim

from airflow_provider_laplas import batch_loops
from airflow_provider_laplas.api.poller import Wait
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasBatchError, LaplasCreditsError
from airflow_provider_laplas.manifest import FileState, Manifest, output_names
from airflow_provider_laplas.operators import TranscribeBatchOperator
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.storage import object_storage, write_text
from tests.fake_api import (
    WORDS,
    answer_healthily,
    error_body,
    reply,
    reset_after_body,
    transcript_reply,
)

TEXT = " ".join(WORDS)
URLS = [f"https://example.com/{n}.mp3" for n in range(7)]

OTHER = {"dag_id": "d", "run_id": "r", "task_id": "other", "map_index": -1}

BOTH = pytest.mark.parametrize("deferrable", [True, False], ids=["deferrable", "in place"])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def run_and_clear(dag, run_dag):
    actions = chain([run_dag], repeat(run_dag.clear))
    return lambda: next(actions)(dag)


@pytest.fixture
def recordings(tmp_path):
    """Three files in two folders, one of which is no audio by its name."""
    folder = tmp_path / "inbox"
    for name, content in {
        "a.mp3": b"one",
        "talks/a.mp3": b"two",
        "talks/b.wav": b"one",
        "notes.txt": b"x",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def batch(out, **kwargs):
    return TranscribeBatchOperator(
        **({"task_id": "batch", "results_path": str(out), "poke_interval": 1} | kwargs)
    )


def manifest_of(out):
    return Manifest.load(f"{out}/manifest.json")


def manifest_to_change(out):
    _, manifest = Manifest.take_over(f"{out}/manifest.json", OTHER)
    return manifest


def rewrite(out, **changes):
    for path in (out / "manifest.json", *(out / ".manifest").glob("*.json")):
        write_text(str(path), json.dumps(json.loads(path.read_text()) | changes))


def states_of(out):
    return [str(entry.state) for entry in manifest_of(out).entries]


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
        most.append(sum(looks <= api.looks_until_done for looks in api.generations.values()))
        return create()

    api.create = counting
    batch(out, audio=URLS, max_in_flight=2, deferrable=deferrable)
    assert run_dag(dag).xcom("batch")["completed"] == 7
    assert max(most) <= 1


def test_a_folder_keeps_its_paths_and_leaves_out_what_is_no_audio(api, dag, run_dag, recordings, out):
    batch(out, audio=f"file://{recordings}")
    run_dag(dag)
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.json") if p.parent.name != ".manifest") == [
        "a.mp3.json",
        "manifest.json",
        "talks/a.mp3.json",
        "talks/b.wav.json",
    ]


@pytest.mark.parametrize("glob", ["*.wav", "?.wav"])
def test_a_glob_takes_what_it_matches(api, dag, run_dag, recordings, out, glob):
    batch(out, audio=f"{recordings}/talks/{glob}")
    assert run_dag(dag).xcom("batch")["files"] == 1


@pytest.mark.parametrize("glob", ["s3://b/*/a.mp3", "s3://b/**", "s3://b/inbox?/*.mp3"])
def test_a_glob_that_would_find_nothing_is_refused_when_the_dag_is_parsed(dag, out, glob):
    with pytest.raises(LaplasArgumentError, match="in its last part only") as caught:
        batch(out, audio=glob)
    assert caught.value.argument == "audio"


def test_one_file_in_place_of_a_folder_is_refused_and_not_skipped(api, dag, run_dag, recordings, out):
    batch(out, audio=f"{recordings}/a.mp3")
    (error,) = run_dag(dag).errors
    assert "a list of one" in str(error)


def test_a_second_run_over_the_same_folder_submits_only_what_is_new(api, dag, run_dag, recordings, out):
    batch(out, audio=str(recordings))
    run_dag(dag)
    (recordings / "new.mp3").write_bytes(b"new")
    assert run_dag(dag).xcom("batch")["completed"] == 4
    assert api.count("POST") == 4


def test_a_broken_file_is_reported_and_does_not_stop_the_others(api, dag, run_dag, out):
    api.script("POST", reply(400, error_body(400, "not audio")))
    batch(out, audio=URLS, max_failed=1)
    summary = run_dag(dag).xcom("batch")
    assert (summary["completed"], summary["failed"]) == (6, 1)
    (failed,) = manifest_of(out).having(FileState.FAILED)
    assert "not audio" in failed.error


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


def test_a_file_that_failed_is_not_paid_for_again_by_every_later_run(api, dag, run_dag, out):
    api.script("POST", reply(400, error_body(400, "not audio")))
    batch(out, audio=URLS, max_failed=1)
    run_dag(dag)
    assert run_dag(dag).xcom("batch")["failed"] == 1
    assert api.count("POST") == 7


def test_what_failed_in_an_earlier_run_does_not_fail_the_later_ones(api, dag, run_dag, recordings, out):
    api.script("POST", reply(400, error_body(400, "not audio")))
    batch(out, audio=str(recordings))
    assert run_dag(dag).state == "failed"
    run_dag(dag)
    (recordings / "new.mp3").write_bytes(b"new")
    summary = run_dag(dag).xcom("batch")
    assert (summary["completed"], summary["failed"]) == (3, 1)


def test_a_file_that_cannot_be_read_fails_the_run_that_finds_it_and_no_later_one(
    api, dag, run_dag, recordings, out
):
    (recordings / "empty.mp3").touch()
    batch(out, audio=str(recordings))
    (error,) = run_dag(dag).errors
    assert "is empty" in str(error)
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 3, "failed": 1}


def test_a_file_that_is_changed_while_it_waits_for_its_turn_is_known_by_what_was_submitted(
    api, dag, run_dag, recordings, out
):
    create = api.create

    def creating():
        if not api.generations:
            (recordings / "talks" / "b.wav").write_bytes(b"longer than it was")
        return create()

    api.create = creating
    batch(out, audio=str(recordings), max_in_flight=1)
    run_dag(dag)
    assert run_dag(dag).xcom("batch")["new"] == 0
    assert api.count("POST") == 3


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
    assert api.count("POST") == 3
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
    assert kept == 6
    assert run_and_clear().xcom("batch")["completed"] == 7
    assert api.count("POST") == before + 1


def test_a_finished_output_counts_though_the_manifest_missed_it(api, dag, run_and_clear, out):
    batch(out, audio=URLS[:2])
    run_and_clear()
    manifest = manifest_to_change(out)
    manifest.entries[0].state = FileState.SUBMITTED
    manifest.save()
    api.generations.clear()
    assert run_and_clear().xcom("batch")["completed"] == 2
    assert api.count("POST") == 2


def test_an_intent_without_an_id_is_ambiguous(api, dag, run_dag, out):
    batch(out, audio=URLS[:2], max_failed=1)
    run_dag(dag)
    manifest = manifest_to_change(out)
    manifest.entries[0].move(FileState.INTENT, generation_id=None)
    (out / manifest.entries[0].output).unlink()
    manifest.save()
    rewrite(out, written_at=0.0)
    assert run_dag(dag).xcom("batch")["counts"] == {"ambiguous": 1, "completed": 1}
    assert api.count("POST") == 2
    assert "usage page" in manifest_of(out).entries[0].error


def test_an_output_of_an_earlier_submission_is_not_taken_for_the_new_one(api, out):
    uri = f"{out}/a.json"
    write_text(uri, json.dumps(transcript_reply("an old one")))
    entry = FileRecord(
        "a", "f", "a.json", FileState.SUBMITTED, "g", replaces=object_storage().modified_at(uri)
    )
    manifest = Manifest(f"{out}/manifest.json", {}, 0, [entry])
    take_stored(manifest)
    assert entry.state is FileState.SUBMITTED
    write_text(uri, json.dumps(transcript_reply("the new one")))
    take_stored(manifest)
    assert (entry.state, entry.audio_seconds) == (FileState.COMPLETED, 1.5)


def test_other_options_are_other_work_though_an_output_lies_there(api, dag, run_dag, out):
    operator = batch(out, audio=URLS[:2])
    run_dag(dag)
    operator.typed_options = {"language": "de"}
    api.default_reply = transcript_reply("auf Deutsch")
    assert run_dag(dag).xcom("batch")["new"] == 2
    assert {load_transcript(f"{out}/{e.output}").text for e in manifest_of(out).entries} == {"auf Deutsch"}
    assert api.count("POST") == 4


def test_ids_are_noted_while_others_of_their_group_are_still_being_submitted(
    api, dag, run_dag, out, monkeypatch
):
    noted = []

    async def answer_when_noted(api, request):
        async with asyncio.timeout(20):
            while not noted:
                await asyncio.sleep(0.01)
                noted.extend(entry.generation_id for entry in manifest_of(out).having(FileState.SUBMITTED))
        await answer_healthily(api, request)

    monkeypatch.setattr(batch_loops, "SAVE_EVERY", 0.05)
    api.script("POST", answer_when_noted)
    batch(out, audio=URLS[:3])
    assert run_dag(dag).xcom("batch")["completed"] == 3
    assert noted
    assert all(noted)


def test_what_finished_is_noted_though_nothing_else_finishes(api, dag, run_dag, out, monkeypatch):
    noted = []

    async def answer_when_noted(api, request):
        async with asyncio.timeout(20):
            while not noted:
                await asyncio.sleep(0.01)
                noted.extend(manifest_of(out).having(FileState.COMPLETED))
        await answer_healthily(api, request)

    # Longer than it takes until the first file is done, so that it is not noted right then.
    monkeypatch.setattr(batch_loops, "SAVE_EVERY", 2.0)
    api.looks_until_done = 0
    api.script("GET", answer_when_noted)
    batch(out, audio=URLS[:2])
    assert run_dag(dag).xcom("batch")["completed"] == 2
    assert len(noted) == 1


def test_a_batch_that_another_task_has_taken_over_is_left_to_it(api, dag, run_dag, out):
    batch(out, audio=URLS[:4], max_in_flight=2)

    async def take_over(api, request):
        rewrite(out, owner={"dag_id": "other", "run_id": "r", "task_id": "t", "map_index": -1})
        await answer_healthily(api, request)

    api.script("GET", take_over)
    triggers_manifest = Manifest.save

    def save(self):
        # The trigger of the first task is on another machine, and killed by now.
        if not (out / "manifest.json").exists() or manifest_of(out).owner == self.owner:
            triggers_manifest(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manifest, "save", save)
        (error,) = run_dag(dag).errors
    assert error.argument == "results_path"
    assert "other/r/t" in str(error)
    assert api.count("POST") == 2


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_try_that_is_still_at_work_when_another_has_claimed_its_batch_writes_and_submits_no_more(
    api, dag, run_dag, out, monkeypatch, method
):
    found = []

    async def claim_it(api, request):
        claim(f"{out}/manifest.json", OTHER)
        found.append(manifest_of(out))
        await answer_healthily(api, request)

    monkeypatch.setattr(batch_loops, "GROUP", 2)
    api.script(method, claim_it)
    batch(out, audio=URLS, max_in_flight=2 if method == "GET" else 7)
    (error,) = run_dag(dag).errors
    assert error.argument == "results_path"
    assert "another try" in str(error)
    assert api.count("POST") == 2
    assert manifest_of(out) == found[0]


def test_of_two_tries_that_begin_at_once_the_first_gives_way(out):
    uri = f"{out}/manifest.json"
    first, second = (Manifest(uri, {"try": n}, 0, claim=claim(uri, OTHER)) for n in (1, 2))
    second.save()
    with pytest.raises(LaplasArgumentError, match=": d/r/other, since"):
        first.save()
    assert manifest_of(out).owner == second.owner


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_writer_whose_claim_is_lost_while_it_writes_learns_it_and_the_next_one_reads_what_it_wrote(
    out, monkeypatch, moment
):
    uri = f"{out}/manifest.json"
    manifest = Manifest(
        uri, OTHER, 0, [FileRecord("a", "f", "a.json", FileState.INTENT)], claim=claim(uri, OTHER)
    )

    def write_meanwhile(where, text):
        if moment == "before":
            claim(uri, OTHER)
        write_text(where, text)
        if moment == "after":
            claim(uri, OTHER)

    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_laplas.manifest.write_text", write_meanwhile)
        with pytest.raises(LaplasArgumentError, match=": d/r/other, since"):
            manifest.save()
    _, found = Manifest.take_over(uri, OTHER)
    assert [entry.state for entry in found.entries] == [FileState.INTENT]


def test_what_a_writer_notes_after_its_claim_was_lost_takes_nothing_back_and_its_ids_are_found(out):
    uri = f"{out}/manifest.json"
    files = ("a.json", "b.json", "c.json")
    token = claim(uri, OTHER)
    first = Manifest(uri, OTHER, 0, [FileRecord(name, "f", name) for name in files], claim=token)
    first.entries[0].move(FileState.INTENT)
    first.save()
    _, second = Manifest.take_over(uri, OTHER)
    second.entries[0].move(FileState.AMBIGUOUS)
    second.entries[1].move(FileState.SUBMITTED, generation_id="g-b")
    second.save()
    first.entries[0].move(FileState.SUBMITTED, generation_id="g-a")
    with pytest.raises(LaplasArgumentError):
        first.save()
    assert manifest_of(out).entries[1].generation_id == "g-b"
    assert Manifest.resumed(uri, second.claim).entries[1].generation_id == "g-b"
    _, third = Manifest.take_over(uri, OTHER)
    assert [(entry.state, entry.generation_id) for entry in third.entries] == [
        (FileState.SUBMITTED, "g-a"),
        (FileState.SUBMITTED, "g-b"),
        (FileState.PENDING, None),
    ]
    with pytest.raises(LaplasArgumentError, match="at work"):
        Manifest.resumed(uri, second.claim)


def test_who_claims_a_batch_leaves_the_notes_of_one_that_has_claimed_it_since(out, monkeypatch):
    uri = f"{out}/manifest.json"
    Manifest(uri, OTHER, 0, [FileRecord("a", "f", "a.json")], claim=claim(uri, OTHER)).save()
    later = []

    def overtaken(uri, owner):
        token = claim(uri, owner)
        with monkeypatch.context() as patch:
            patch.setattr("airflow_provider_laplas.manifest.claim", claim)
            later.append(Manifest.take_over(uri, owner)[1])
        later[0].entries[0].move(FileState.SUBMITTED, generation_id="g")
        later[0].save()
        return token

    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_laplas.manifest.claim", overtaken)
        _, first = Manifest.take_over(uri, OTHER)
    with pytest.raises(LaplasArgumentError):
        first.save()
    assert Manifest.resumed(uri, later[0].claim) == later[0]
    assert Manifest.take_over(uri, OTHER)[1].entries == later[0].entries


@pytest.fixture
def claimed_late(out, monkeypatch):
    """Have somebody else write the manifest between the look at it and the claim."""

    def use(write):
        def claim_late(uri, owner):
            with monkeypatch.context() as patch:
                patch.setattr("airflow_provider_laplas.manifest.claim", claim)
                write(uri)
            return claim(uri, owner)

        monkeypatch.setattr("airflow_provider_laplas.manifest.claim", claim_late)

    return use


def test_what_the_writer_before_wrote_until_its_batch_was_claimed_is_not_submitted_again(
    api, dag, run_dag, out, claimed_late
):
    batch(out, audio=URLS[:2], max_failed=2)
    api.script("POST", *[reply(403)] * 2)
    run_dag(dag)

    def begin_all(uri):
        earlier = manifest_to_change(out)
        for entry in earlier.entries:
            entry.move(FileState.INTENT)
        earlier.save()
        rewrite(out, written_at=0.0)

    claimed_late(begin_all)
    rewrite(out, written_at=0.0)
    submitted = api.count("POST")
    assert run_dag(dag).xcom("batch")["counts"] == {"ambiguous": 2}
    assert api.count("POST") == submitted


def test_of_two_tasks_that_begin_in_one_folder_at_once_the_later_one_submits_nothing(
    api, dag, run_dag, out, claimed_late
):
    def begin(uri):
        Manifest(uri, OTHER, 0, [FileRecord(URLS[0], "f", "a.json")], claim=claim(uri, OTHER)).save()

    claimed_late(begin)
    batch(out, audio=URLS[:2])
    (error,) = run_dag(dag).errors
    assert "d/r/other is at work in this folder" in str(error)
    assert api.count("POST") == 0


def test_a_clear_of_a_run_with_another_list_takes_what_it_has_transcribed(api, dag, run_dag, out):
    operator = batch(out, audio=URLS[:3])
    first = run_dag(dag)
    operator.audio = operator._audio = URLS[3:6]
    second = run_dag(dag)
    assert second.xcom("batch")["files"] == 3
    operator.audio = operator._audio = URLS[:3]
    assert run_dag.clear(dag, first.run).xcom("batch")["completed"] == 3
    assert api.count("POST") == 6


def test_a_recording_that_was_moved_away_and_back_is_not_transcribed_again(
    api, dag, run_dag, recordings, out
):
    batch(out, audio=str(recordings))
    run_dag(dag)
    away = (recordings / "a.mp3").rename(recordings.parent / "a.mp3")
    assert run_dag(dag).xcom("batch")["files"] == 2
    away.rename(recordings / "a.mp3")
    assert run_dag(dag).xcom("batch")["files"] == 3
    assert api.count("POST") == 3


def test_where_nothing_that_was_submitted_was_taken_the_next_files_are_submitted(api, dag, run_dag, out):
    api.script("POST", reset_after_body(), reset_after_body())
    batch(out, audio=URLS, max_in_flight=2, max_failed=2)
    assert run_dag(dag).xcom("batch")["counts"] == {"ambiguous": 2, "completed": 5}


def test_a_time_out_amid_a_group_leaves_the_ids_that_are_known(api, dag, run_dag, out):
    async def never(api, request):
        await asyncio.sleep(3600)

    api.script("POST", answer_healthily, answer_healthily, answer_healthily, never)
    batch(out, audio=URLS[:4], execution_timeout=timedelta(seconds=5))
    assert run_dag(dag).state == "failed"
    noted = manifest_of(out)
    assert noted.counts() == {"submitted": 3, "intent": 1}
    assert {entry.generation_id for entry in noted.having(FileState.SUBMITTED)} == set(api.generations)


def test_a_wait_outlasts_a_storage_that_does_not_take_the_manifest(api, dag, run_dag, out, monkeypatch):
    failed = []

    def write(where, text):
        if "submitted" in text and len(failed) < 2:
            failed.append(where)
            raise OSError("the storage is away")
        write_text(where, text)

    async def answer_without_storage(api, request):
        monkeypatch.setattr("airflow_provider_laplas.manifest.write_text", write)
        await answer_healthily(api, request)

    monkeypatch.setattr(batch_loops, "SAVE_EVERY", 0.1)
    monkeypatch.setattr("airflow_provider_laplas.claim.WRITE_ATTEMPTS", 1)
    api.script("GET", answer_without_storage)
    batch(out, audio=URLS[:3])
    assert run_dag(dag).xcom("batch")["completed"] == 3
    assert failed


def test_a_file_that_is_gone_when_its_turn_comes_is_its_own_failure(api, dag, run_dag, recordings, out):
    create = api.create

    def creating():
        (recordings / "talks" / "b.wav").unlink(missing_ok=True)
        return create()

    api.create = creating
    batch(out, audio=str(recordings), max_in_flight=1, max_failed=1)
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 2, "failed": 1}
    (failed,) = manifest_of(out).having(FileState.FAILED)
    assert "no longer" in failed.error


def test_the_same_content_is_transcribed_once_where_asked_for(api, dag, run_dag, recordings, out):
    batch(out, audio=str(recordings), deduplicate=True)
    summary = run_dag(dag).xcom("batch")
    assert (summary["completed"], summary["counts"]) == (3, {"completed": 2, "duplicate": 1})
    assert api.count("POST") == 2
    assert load_transcript(f"{out}/talks/b.wav.json").raw == transcript_reply()


def test_ids_are_in_the_log_where_the_manifest_cannot_be_written_and_nothing_under_way_is_cut_off(
    api, dag, run_dag, out, monkeypatch, caplog
):
    written = []

    def fail_after_the_intents(where, text):
        written.append(where)
        # The first writing of the manifest is begin's, the second the intents'.
        if written.count(f"{out}/manifest.json") > 2:
            raise OSError("the storage is away")
        write_text(where, text)

    async def answer_late(api, request):
        await asyncio.sleep(0.5)
        await answer_healthily(api, request)

    monkeypatch.setattr(batch_loops, "SAVE_EVERY", 0.05)
    monkeypatch.setattr("airflow_provider_laplas.claim.WRITE_ATTEMPTS", 1)
    batch(out, audio=URLS[:4])
    api.script("POST", *[answer_late] * 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_laplas.manifest.write_text", fail_after_the_intents)
        (error,) = run_dag(dag).errors
    assert isinstance(error, OSError)
    assert all(generation_id in caplog.text for generation_id in api.generations)


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


def test_ambiguous_submissions_stop_a_batch_like_other_failures(api, dag, run_dag, out, monkeypatch):
    monkeypatch.setattr(batch_loops, "GROUP", 2)
    api.script("POST", *[reset_after_body()] * 7)
    batch(out, audio=URLS)
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasBatchError)
    assert api.count("POST") == 2


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


def test_one_reply_without_a_transcript_that_was_stored_holds_nobody_back(api, out):
    entries = [FileRecord(name, "f", f"{name}.json", FileState.SUBMITTED, name) for name in ("a", "b")]
    write_text(f"{out}/a.json", json.dumps({"status": "completed", "result": {"unheard": 1}}))
    write_text(f"{out}/b.json", json.dumps(transcript_reply()))
    take_stored(Manifest(f"{out}/manifest.json", {}, 0, entries))
    assert [entry.audio_seconds for entry in entries] == [None, 3.5]


def test_a_clear_of_a_run_that_is_not_the_folders_last_submits_its_failures_again(api, dag, run_dag, out):
    api.script("POST", reply(400, error_body(400, "not audio")))
    batch(out, audio=URLS[:2], max_failed=1)
    first = run_dag(dag)
    run_dag(dag)
    assert run_dag.clear(dag, first.run).xcom("batch")["counts"] == {"completed": 2}
    assert api.count("POST") == 3


def context_of(dag, **more):
    ti = SimpleNamespace(
        dag_id=dag.dag_id, run_id="r", task_id="batch", map_index=-1, max_tries=0, xcom_push=lambda **_: None
    )
    return {"ti": ti, "outlet_events": {}, **more}


def interrupted(dag, out, *, deadline):
    """A manifest of three files, of which one is submitted and done, as a triggerer's death leaves it."""
    owner = {"dag_id": dag.dag_id, "run_id": "r", "task_id": "batch", "map_index": -1}
    names = output_names(URLS[:3], None)
    entries = [FileRecord(url, "f", name) for url, name in zip(URLS[:3], names, strict=True)]
    Manifest(f"{out}/manifest.json", owner, 0, entries).save()
    return lambda generation_id: (
        entries[0].move(FileState.SUBMITTED, generation_id=generation_id, deadline=deadline),
        Manifest(f"{out}/manifest.json", owner, 0, entries).save(),
    )


@pytest.mark.parametrize("make", ["operator", "decorator"])
def test_after_the_triggers_time_out_what_is_done_is_taken_and_the_rest_submitted(api, dag, out, make):
    operator = (
        batch(out, audio=URLS[:3], deferrable=False)
        if make == "operator"
        else task.transcribe(task_id="batch", results_path=str(out), deferrable=False, poke_interval=1)(
            lambda: URLS[:3]
        )().operator
    )
    submit = interrupted(dag, out, deadline=time.time() - 1)
    generation_id = api.create()
    api.complete(generation_id)
    submit(generation_id)
    summary = operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context_of(dag))
    assert (summary["completed"], api.count("POST")) == (3, 2)


def test_an_execution_timeout_that_ends_the_wait_says_so_and_submits_nothing(api, dag, out):
    operator = batch(out, audio=URLS[:3], execution_timeout=timedelta(seconds=1))
    interrupted(dag, out, deadline=time.time() + 600)(api.create())
    with pytest.raises(LaplasBatchError, match="execution_timeout"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context_of(dag))
    assert not api.requests


@pytest.mark.parametrize("make", ["operator", "decorator"])
def test_a_trigger_that_broke_is_airflows_own_error(api, dag, out, make):
    operator = batch(out, audio=URLS[:3])
    if make == "decorator":
        operator = task.transcribe(task_id="other", results_path=str(out))(lambda: URLS[:3])().operator
    with pytest.raises(TaskDeferralError):
        operator.resume_execution("__fail__", {"error": "Trigger failure", "traceback": []}, context_of(dag))


def test_a_time_out_of_airflow_that_comes_up_in_a_wait_ends_the_task(api, dag, out, monkeypatch):
    def time_out(wait, outcome):
        raise AirflowTaskTimeout

    monkeypatch.setattr(Wait, "observe", time_out)
    operator = batch(out, audio=URLS[:2], deferrable=False)
    with pytest.raises(AirflowTaskTimeout):
        operator.begin_batch(context_of(dag))
    assert states_of(out) == ["submitted"] * 2


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


def test_a_429_to_a_submission_slows_all_of_them_down_and_ends_none(api, dag, run_dag, out, caplog):
    api.script("POST", *[reply(429, headers=[("Retry-After", "0")])] * 3)
    batch(out, audio=URLS)
    assert run_dag(dag).xcom("batch")["completed"] == 7
    assert "fewer requests" in caplog.text


def test_two_tasks_do_not_write_into_one_folder(api, dag, run_dag, out):
    manifest = Manifest(f"{out}/manifest.json", {"dag_id": "other", "run_id": "r", "task_id": "t"}, 0)
    manifest.entries = []
    batch(out, audio=URLS[:1])

    manifest.entries.append(FileRecord("x", "f", "x.json", state=FileState.SUBMITTED, generation_id="g"))
    manifest.save()
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasArgumentError)
    assert "other/r/t" in str(error)
    assert api.count("POST") == 0


def test_more_files_than_allowed_are_refused_before_anything_is_submitted(api, dag, run_dag, out):
    operator = batch(out, audio=URLS, max_files=6)
    (error,) = run_dag(dag).errors
    assert error.argument == "max_files"
    assert not api.requests
    operator.audio = operator._audio = URLS[:6]
    run_dag(dag)
    operator.audio = operator._audio = URLS
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


def test_a_signature_is_in_no_manifest(api, dag, run_dag, out):
    batch(out, audio=["https://user:canary@example.com/a.mp3?X-Amz-Signature=canary"])
    run_dag(dag)
    assert api.requests[0].json["url"].endswith("canary")
    assert "canary" not in (out / "manifest.json").read_text()


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


def test_a_folder_without_recordings_and_an_empty_list_are_skipped(api, dag, run_dag, tmp_path, out):
    batch(out, task_id="folder", audio=str(tmp_path))
    batch(out, task_id="list", audio=[])
    finished = run_dag(dag)
    assert [finished.state_of(task) for task in ("folder", "list")] == ["skipped", "skipped"]
    assert not out.exists()


def test_a_local_folder_that_does_not_exist_is_refused(api, dag, run_dag, tmp_path, out):
    batch(out, audio=str(tmp_path / "nothing"))
    (error,) = run_dag(dag).errors
    assert error.argument == "audio"


@pytest.mark.parametrize("min_age", ["{{ params.age }}", 60])
def test_a_file_that_was_changed_just_now_is_left_for_a_later_run(
    api, dag, run_dag, recordings, out, min_age
):
    dag.params = {"age": 60}
    os.utime(recordings / "a.mp3", (0, 0))
    batch(out, audio=str(recordings), min_age=min_age)
    assert run_dag(dag).xcom("batch")["files"] == 1
