"""What audio can be: a folder, a glob, a list; and a file that is not there, or not the same, when its turn comes."""

import os

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.results import load_transcript
from tests.fake_api import transcript_reply
from tests.tasks.batch.conftest import batch, manifest_of


def test_a_folder_keeps_its_paths_and_leaves_out_what_is_no_audio(api, dag, run_dag, recordings, out):
    (recordings / "._a.mp3").write_bytes(b"of a Mac")
    batch(out, audio=f"file://{recordings}")
    run_dag(dag)
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.json") if ".manifest" not in p.parts) == [
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


def test_a_local_folder_that_does_not_exist_is_refused(api, dag, run_dag, tmp_path, out):
    batch(out, audio=str(tmp_path / "nothing"))
    (error,) = run_dag(dag).errors
    assert error.argument == "audio"


def test_a_folder_without_recordings_and_an_empty_list_are_skipped(api, dag, run_dag, tmp_path, out):
    batch(out, task_id="folder", audio=str(tmp_path))
    batch(out, task_id="list", audio=[])
    finished = run_dag(dag)
    assert [finished.state_of(task) for task in ("folder", "list")] == ["skipped", "skipped"]
    assert not out.exists()


@pytest.mark.parametrize("min_age", ["{{ params.age }}", 60])
def test_a_file_that_was_changed_just_now_is_left_for_a_later_run(
    api, dag, run_dag, recordings, out, min_age
):
    dag.params = {"age": 60}
    os.utime(recordings / "a.mp3", (0, 0))
    batch(out, audio=str(recordings), min_age=min_age)
    assert run_dag(dag).xcom("batch")["files"] == 1


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


def test_a_file_that_is_gone_when_its_turn_comes_is_its_own_failure(api, dag, run_dag, recordings, out):
    create = api.create

    def creating():
        (recordings / "talks" / "b.wav").unlink(missing_ok=True)
        return create()

    api.create = creating
    batch(out, audio=str(recordings), max_in_flight=1, max_failed=1)
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 2, "failed": 1}
    (failed,) = manifest_of(out).having(FileState.FAILED)
    assert "does not exist here" in failed.error


def test_the_same_content_is_transcribed_once_where_asked_for(api, dag, run_dag, recordings, out):
    batch(out, audio=str(recordings), deduplicate=True)
    summary = run_dag(dag).xcom("batch")
    assert (summary["completed"], summary["counts"]) == (3, {"completed": 2, "duplicate": 1})
    assert api.count("POST") == 2
    assert load_transcript(f"{out}/talks/b.wav.json").raw == transcript_reply()


def test_a_signature_is_in_no_manifest(api, dag, run_dag, out):
    batch(out, audio=["https://user:canary@example.com/a.mp3?X-Amz-Signature=canary"])
    run_dag(dag)
    assert api.requests[0].json["url"].endswith("canary")
    assert "canary" not in (out / "manifest.json").read_text()


def test_an_item_that_is_given_twice_is_transcribed_once(api, dag, run_dag, out):
    url = "https://example.com/a.mp3"
    batch(out, audio=[url, "https://example.com/b.mp3", url, f"{url}?X-Amz-Signature=1", f"{url}?token=1"])
    assert run_dag(dag).xcom("batch")["files"] == 3
    assert [entry.output[:6] for entry in manifest_of(out).entries] == ["a.mp3-", "b.mp3-", "a.mp3-"]
    assert api.count("POST") == 3


def test_items_whose_names_look_alike_have_an_output_each(api, dag, run_dag, tmp_path, out):
    names = [
        "Interview #1.mp3",
        "Interview #2.mp3",
        "interview #1.mp3",
        "a\tb.mp3",
        "ab.mp3",
        f"{'long' * 60}.mp3",
    ]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    batch(out, audio=[f"{tmp_path}/{name}" for name in names])
    for _ in range(2):
        assert run_dag(dag).xcom("batch")["completed"] == len(names)
    assert api.count("POST") == len(names)
    assert len(list(out.glob("*.json"))) == len(names) + 1


def test_names_that_lead_elsewhere_or_are_the_batchs_own_stay_in_the_folder(api, dag, run_dag, tmp_path, out):
    folder = tmp_path / "in"
    names = [".manifest/x.mp3", "manifest", "a.mp3", "a.mp3.json/b.mp3", "~/x.mp3", "..mp3", "A.mp3"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    batch(out, audio=str(folder), formats=["srt"])
    batch(out, task_id="glob", audio=f"{folder}/*")
    for _ in range(2):
        finished = run_dag(dag)
        assert finished.state == "success"
    assert api.count("POST") == len(names)
