"""Other runs over the same folder: what is new is submitted, and what is done or failed already is neither paid for nor told again."""

import hashlib
import json
import shutil

import pytest

from airflow_provider_laplas.api.options import DEFAULT_MODEL
from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.manifest.names import legacy_output_name, output_name
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.signatures import unsigned_by_version_1
from tests.fake_api import error_body, reply, transcript_reply
from tests.tasks.batch.conftest import URLS, batch, manifest_of, rewrite


def test_a_second_run_over_the_same_folder_submits_only_what_is_new(api, dag, run_dag, recordings, out):
    batch(out, audio=str(recordings))
    run_dag(dag)
    (recordings / "new.mp3").write_bytes(b"new")
    assert run_dag(dag).xcom("batch")["completed"] == 4
    assert api.count("POST") == 4


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
    api, dag, run_dag, recordings, out, caplog
):
    (recordings / "empty.mp3").touch()
    batch(out, audio=str(recordings))
    (error,) = run_dag(dag).errors
    assert "is empty" in str(error)
    assert "1 files failed before they were submitted" in caplog.text
    caplog.clear()
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 3, "failed": 1}
    assert "before they were submitted" not in caplog.text


def test_other_options_are_other_work_though_an_output_lies_there(api, dag, run_dag, out):
    operator = batch(out, audio=URLS[:2])
    run_dag(dag)
    operator.typed_options = {"language": "de"}
    api.default_reply = transcript_reply("auf Deutsch")
    assert run_dag(dag).xcom("batch")["new"] == 2
    assert {load_transcript(f"{out}/{e.output}").text for e in manifest_of(out).entries} == {"auf Deutsch"}
    assert api.count("POST") == 4


def test_an_intent_without_an_id_is_ambiguous(api, dag, run_dag, out):
    batch(out, audio=URLS[:2], max_failed=1)
    run_dag(dag)
    manifest = manifest_of(out)
    manifest.entries[0].transition(FileState.INTENT, generation_id=None)
    (out / manifest.entries[0].output).unlink()
    rewrite(manifest)
    assert run_dag(dag).xcom("batch")["counts"] == {"ambiguous": 1, "completed": 1}
    assert api.count("POST") == 2
    assert "usage page" in manifest_of(out).entries[0].error


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


def test_a_clear_of_a_run_with_another_list_takes_what_it_has_transcribed(api, dag, run_dag, out):
    operator = batch(out, audio=URLS[:3])
    first = run_dag(dag)
    operator.audio = URLS[3:6]
    second = run_dag(dag)
    assert second.xcom("batch")["files"] == 3
    operator.audio = URLS[:3]
    assert run_dag.clear(dag, first.run).xcom("batch")["completed"] == 3
    assert api.count("POST") == 6


def test_a_clear_of_a_run_that_is_not_the_folders_last_submits_its_failures_again(api, dag, run_dag, out):
    api.script("POST", reply(400, error_body(400, "not audio")))
    batch(out, audio=URLS[:2], max_failed=1)
    first = run_dag(dag)
    run_dag(dag)
    assert run_dag.clear(dag, first.run).xcom("batch")["counts"] == {"completed": 2}
    assert api.count("POST") == 3


def as_version_1_left_it(out, sources, folder):
    """Turn a finished batch into what version 0.1 left: its names and fingerprints, in its manifest."""
    manifest = manifest_of(out)
    entries = []
    for source in sources:
        (entry,) = (e for e in manifest.entries if e.output == output_name(source, folder))
        legacy = legacy_output_name(source, folder)
        (out / entry.output).rename(out / legacy)
        request = json.dumps([unsigned_by_version_1(source), DEFAULT_MODEL, {}], sort_keys=True)
        digest = hashlib.sha256(request.encode()).hexdigest()
        version = entry.fingerprint.partition("-")[2]
        entries.append(
            {
                "source": entry.source,
                "fingerprint": f"{digest}-{version}",
                "output": legacy,
                "state": "completed",
                "generation_id": entry.generation_id,
                "audio_seconds": entry.audio_seconds,
                "announced": True,
            }
        )
    old = {"version": 1, "owner": manifest.owner, "max_tries": 0, "written_at": 1.0, "began_at": 1.0}
    (out / "manifest.json").write_text(json.dumps({**old, "unlisted": [], "entries": entries}))
    shutil.rmtree(out / ".manifest")


NAMES = ["Talk [1].mp3", "a #1.mp3", "a #2.mp3", "plain.mp3", "what?.mp3"]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_version_1_has_transcribed_of_a_folder_is_not_paid_for_again(
    api, dag, run_dag, tmp_path, out, scheme
):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    batch(out, audio=f"{scheme}{folder}")
    run_dag(dag)
    place = f"{scheme}{folder}"
    as_version_1_left_it(out, [f"{place}/{name}" for name in NAMES], place)
    for _ in range(2):
        summary = run_dag(dag).xcom("batch")
        assert (summary["completed"], summary["new"]) == (len(NAMES), 0)
    assert api.count("POST") == len(NAMES)
    assert sorted(path.name for path in out.glob("*.mp3.json")) == [f"{name}.json" for name in NAMES]


def test_what_version_1_has_transcribed_of_a_list_is_not_paid_for_again(api, dag, run_dag, tmp_path, out):
    (tmp_path / "a #1.mp3").write_bytes(b"one")
    urls = [
        "https://a.com/a.mp3?q=a%20b/c&flag",
        "https://a.com/a.mp3?X-Amz-Signature=1",
        f"{tmp_path}/a #1.mp3",
    ]
    batch(out, audio=urls)
    run_dag(dag)
    as_version_1_left_it(out, urls, None)
    assert run_dag(dag).xcom("batch")["new"] == 0
    assert api.count("POST") == len(urls)
