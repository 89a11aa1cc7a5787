"""Recordings that are over the limits of the API are submitted in parts, each of which is paid for once."""

import asyncio
import json
import shutil

import pytest

from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.results import load_transcript
from tests.fake_api import WORDS, answer_healthily, reply, reset_after_body, transcript_reply
from tests.paths import ROOT
from tests.tasks.batch.conftest import batch, manifest_of, rewrite

SPEECH = ROOT / "demo" / "recordings" / "two_cities.ogg"
"""Some 44 seconds."""

MEDIA = {"max_part_seconds": 20}
PARTS = 4


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    shutil.copy(SPEECH, folder / "talk.ogg")
    return folder


@pytest.fixture
def long(inbox, out):
    """A batch with one recording that has to be cut."""
    return batch(out, audio=str(inbox), media=MEDIA, formats=["json", "srt"], retries=0)


def only_file(out):
    (file,) = manifest_of(out).entries
    return file


def failed_reply():
    return reply(200, {"status": "error", "error": {"message": "no speech"}})


def test_a_long_recording_is_submitted_in_parts_and_becomes_one_transcript(api, dag, run_dag, long, out):
    finished = run_dag(dag)
    assert finished.state == "success"
    assert api.count("POST") == PARTS
    manifest = manifest_of(out)
    (file,) = manifest.entries
    assert (file.state, file.formats) == (FileState.COMPLETED, ["json", "srt"])
    assert [part.state for part in manifest.parts] == [FileState.COMPLETED] * PARTS
    transcript = load_transcript(f"{out}/talk.ogg.json")
    assert transcript.text.split() == list(WORDS) * PARTS
    starts = [word.start for word in transcript.words[:: len(WORDS)]]
    pieces = [part["pieces"][0] for part in json.loads((out / "talk.ogg.json").read_text())["parts"]]
    assert starts == pytest.approx([start for start, _ in pieces])
    assert (out / "talk.ogg.srt").exists()
    summary = finished.xcom("batch")
    assert (summary["files"], summary["completed"], summary["counts"]) == (1, 1, {"completed": 1})
    # What was billed is what was sent, as the API says.
    assert finished.xcom("batch", "usage")["audio_seconds"] == pytest.approx(PARTS * len(WORDS) / 2)


def test_a_later_run_and_a_clear_submit_none_of_the_parts_again(api, dag, run_dag, long):
    run_dag(dag)
    assert run_dag.clear(dag).state == "success"
    later = run_dag(dag)
    assert later.state == "success"
    assert later.xcom("batch")["new"] == 0
    assert api.count("POST") == PARTS


def test_a_transcript_that_was_deleted_is_joined_again_from_its_parts(api, dag, run_dag, long, out):
    run_dag(dag)
    (out / "talk.ogg.json").unlink()
    assert run_dag(dag).state == "success"
    assert len(load_transcript(f"{out}/talk.ogg.json").words) == PARTS * len(WORDS)
    assert api.count("POST") == PARTS


def test_a_part_that_fails_fails_the_file_and_only_it_is_submitted_again_by_a_clear(
    api, dag, run_dag, long, out
):
    api.script("GET", failed_reply())
    assert run_dag(dag).state == "failed"
    file = only_file(out)
    assert file.state is FileState.FAILED
    assert f"of {PARTS}, from 0:" in file.error
    assert [part.state for part in manifest_of(out).parts].count(FileState.COMPLETED) == PARTS - 1
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == PARTS + 1
    assert len(load_transcript(f"{out}/talk.ogg.json").words) == PARTS * len(WORDS)


def test_a_transcript_that_is_not_good_enough_is_called_by_its_file(api, dag, run_dag, inbox, out):
    quality = {"min_confidence": 0.99, "low_confidence": "fail"}
    batch(out, audio=str(inbox), media=MEDIA, quality=quality, retries=0)
    assert run_dag(dag).state == "failed"
    assert only_file(out).state is FileState.REJECTED
    assert "talk.ogg.json is finished, billed and kept" in only_file(out).error
    assert "None" not in only_file(out).error


def test_a_later_run_does_not_submit_what_failed_again(api, dag, run_dag, long, out):
    api.script("GET", failed_reply())
    run_dag(dag)
    run_dag(dag)
    assert api.count("POST") == PARTS


def test_a_part_without_an_answer_is_ambiguous_and_only_a_clear_submits_it_again(
    api, dag, run_dag, long, out
):
    api.script("POST", reset_after_body())
    assert run_dag(dag).state == "failed"
    assert [part.state for part in manifest_of(out).parts].count(FileState.AMBIGUOUS) == 1
    posts = api.count("POST")
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == posts + 1


def test_a_recording_that_changes_is_cut_and_submitted_anew(api, dag, run_dag, long, inbox, out):
    run_dag(dag)
    shutil.copy(ROOT / "demo" / "recordings" / "jfk.mp3", inbox / "talk.ogg")
    assert run_dag(dag).state == "success"
    assert api.count("POST") == PARTS + 1
    assert len(load_transcript(f"{out}/talk.ogg.json").words) == len(WORDS)


def test_short_files_beside_it_are_submitted_whole(api, dag, run_dag, long, inbox, out):
    shutil.copy(ROOT / "demo" / "recordings" / "jfk.mp3", inbox / "short.mp3")
    assert run_dag(dag).state == "success"
    assert api.count("POST") == PARTS + 1
    assert json.loads((out / "short.mp3.json").read_text()).keys() == transcript_reply().keys()


def test_a_file_that_cannot_be_used_fails_alone_and_is_not_sent(api, dag, run_dag, inbox, out):
    (inbox / "broken.mp4").write_bytes(b"no video at all" * 1000)
    batch(out, audio=str(inbox), media=MEDIA | {"extract_audio": "always"}, max_failed=1)
    assert run_dag(dag).state == "success"
    states = {file.output: file.state for file in manifest_of(out).entries}
    assert states == {"broken.mp4.json": FileState.FAILED, "talk.ogg.json": FileState.COMPLETED}
    assert api.count("POST") == PARTS


def test_parts_are_submitted_though_there_is_room_for_one_only(api, dag, run_dag, inbox, out):
    batch(out, audio=str(inbox), media=MEDIA, max_in_flight=1)
    assert run_dag(dag).state == "success"
    assert api.count("POST") == PARTS


def test_waiting_in_the_worker_does_the_same(api, dag, run_dag, inbox, out):
    batch(out, audio=str(inbox), media=MEDIA, deferrable=False)
    assert run_dag(dag).state == "success"
    assert only_file(out).state is FileState.COMPLETED


def test_without_media_a_file_is_sent_as_it_is(api, dag, run_dag, inbox, out):
    batch(out, audio=str(inbox))
    assert run_dag(dag).state == "success"
    assert api.count("POST") == 1


def test_where_all_parts_are_refused_the_file_fails_by_the_limit_of_failures(api, dag, run_dag, long, out):
    api.script("POST", *[reply(422, {"error": "no such option"})] * PARTS)
    finished = run_dag(dag)
    assert finished.state == "failed"
    file = only_file(out)
    assert file.state is FileState.FAILED
    assert f"Part 1 of {PARTS}" in file.error


def test_a_later_run_succeeds_though_an_earlier_one_has_reported_a_file_without_a_part(
    api, dag, run_dag, long, out
):
    api.script("GET", failed_reply())
    assert run_dag(dag).state == "failed"
    later = run_dag(dag)
    assert later.state == "success"
    assert (later.xcom("batch")["new_failed"], later.xcom("batch")["failed"]) == (0, 1)


def test_a_part_is_never_sent_as_the_whole_recording_when_media_is_taken_away(api, dag, run_dag, long, out):
    api.script("GET", failed_reply())
    run_dag(dag)
    long.media = None
    assert run_dag.clear(dag).state == "failed"
    assert api.count("POST") == PARTS
    assert "`media` is not set any more" in only_file(out).error
    long.media = MEDIA
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == PARTS + 1


def test_limits_that_change_do_not_cut_a_recording_anew_that_is_under_way(api, dag, run_dag, long, out):
    api.script("GET", failed_reply())
    run_dag(dag)
    long.media = {"max_part_seconds": 10}
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == PARTS + 1


def test_parts_are_kept_while_their_recording_cannot_be_read(api, dag, run_dag, inbox, out):
    batch(out, audio=[str(inbox / "talk.ogg")], media=MEDIA, retries=0)
    api.script("GET", failed_reply())
    run_dag(dag)
    (inbox / "talk.ogg").rename(inbox / "away")
    run_dag.clear(dag)
    (inbox / "away").rename(inbox / "talk.ogg")
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == PARTS + 1


def test_replies_of_parts_may_be_deleted_once_they_are_joined(api, dag, run_dag, long, out):
    run_dag(dag)
    shutil.rmtree(out / ".parts")
    later = run_dag(dag)
    assert (later.state, later.xcom("batch")["completed"]) == ("success", 1)
    assert api.count("POST") == PARTS


def test_parts_that_nobody_remembers_are_found_by_their_replies(api, dag, run_dag, long, out):
    run_dag(dag)
    manifest = manifest_of(out)
    manifest.parts = []
    rewrite(manifest)
    (out / "talk.ogg.json").unlink()
    assert run_dag(dag).state == "failed"
    assert "Clear the task" in only_file(out).error
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == PARTS


def test_parts_of_a_recording_that_changed_are_forgotten_by_a_later_run(api, dag, run_dag, long, inbox, out):
    run_dag(dag)
    shutil.copy(ROOT / "demo" / "recordings" / "jfk.mp3", inbox / "talk.ogg")
    run_dag(dag)
    run_dag(dag)
    manifest = manifest_of(out)
    assert manifest.parts == []
    assert manifest.audio_seconds() == pytest.approx(len(WORDS) / 2)


def test_parts_of_one_recording_are_submitted_at_the_same_time(api, dag, run_dag, inbox, out):
    there = []

    async def wait_for_another(api, request):
        there.append(asyncio.Event())
        for event in there[:-1]:
            event.set()
        if len(there) == 1:
            try:
                await asyncio.wait_for(there[0].wait(), 20)
            except TimeoutError:
                await reply(422)(api, request)
                return
        await answer_healthily(api, request)

    batch(out, audio=str(inbox), media=MEDIA, retries=0)
    api.script("POST", wait_for_another, wait_for_another)
    assert run_dag(dag).state == "success"


def test_figures_are_of_the_recordings_that_are_listed(api, dag, run_dag, long, inbox, out):
    run_dag(dag)
    (inbox / "talk.ogg").unlink()
    shutil.copy(ROOT / "demo" / "recordings" / "jfk.mp3", inbox / "short.mp3")
    later = run_dag(dag)
    assert (later.xcom("batch")["files"], later.xcom("batch")["counts"]) == (1, {"completed": 1})
    assert later.xcom("batch")["audio_seconds"] == pytest.approx(len(WORDS) / 2)
