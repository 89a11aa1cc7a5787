"""What goes wrong around a batch and must cost nothing twice: listings, limits, damage, files that cannot be read."""

import dataclasses
import errno
import os
import shutil
import time
from collections import Counter

import pytest

from airflow_provider_laplas import backends, persistence, triggers
from airflow_provider_laplas.batch import finish
from airflow_provider_laplas.batch.sources import Source
from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.manifest import FileRecord, FileState, Manifest
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.manifest.summary import leave
from airflow_provider_laplas.storage import Storage, object_storage
from tests.fake_api import error_body, reply
from tests.tasks.batch.conftest import OTHER, URLS, batch, begin_as, manifest_of, states_of


def filled(folder, count):
    """Make a folder with so many recordings."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:02}.mp3").write_bytes(b"%d" % number)
    return folder


def test_files_that_were_left_over_are_submitted_once_each_when_a_limit_is_raised(
    api, dag, run_dag, out, monkeypatch
):
    async def raise_the_limit(trigger):
        operator.limits = dataclasses.replace(operator.limits, max_failed=1000)
        async for event in run(trigger):
            yield event

    operator = batch(out, audio=[f"https://example.com/{n}.mp3" for n in range(40)], max_failed=0)
    run = triggers.STTBatchTrigger.run
    monkeypatch.setattr(triggers.STTBatchTrigger, "run", raise_the_limit)
    api.script("POST", reply(400, error_body(400, "not audio")))
    assert run_dag(dag).state == "success"
    assert api.count("POST") == 40


def test_a_transcript_that_is_in_the_folder_counts_though_nothing_is_known_of_it(
    api, dag, run_dag, recordings, out
):
    batch(out, audio=str(recordings))
    run_dag(dag)
    (out / "manifest.json").unlink()
    shutil.rmtree(out / ".manifest")
    assert run_dag(dag).xcom("batch")["new"] == 0
    assert api.count("POST") == 3
    (recordings / "a.mp3").write_bytes(b"changed")
    os.utime(recordings / "a.mp3", (time.time() + 60,) * 2)
    (out / "manifest.json").unlink()
    shutil.rmtree(out / ".manifest")
    run_dag(dag)
    assert api.count("POST") == 4


def test_a_file_of_somebody_else_under_an_outputs_name_is_no_transcript(api, dag, run_dag, recordings, out):
    out.mkdir()
    (out / "a.mp3.json").write_text("[]")
    batch(out, audio=str(recordings))
    run_dag(dag)
    assert api.count("POST") == 3


def test_files_that_were_away_for_so_long_that_they_are_forgotten_are_not_transcribed_again(
    api, dag, run_dag, recordings, out, tmp_path, monkeypatch
):
    monkeypatch.setattr(finish, "MOST_UNLISTED", 0)
    batch(out, audio=str(recordings))
    run_dag(dag)
    shutil.move(recordings / "talks", tmp_path / "away")
    run_dag(dag)
    assert len(manifest_of(out).entries) == 1
    shutil.move(tmp_path / "away", recordings / "talks")
    run_dag(dag)
    assert api.count("POST") == 3


def test_outputs_that_a_listing_lacks_are_asked_for_before_they_are_paid_for_again(
    api, dag, run_dag, recordings, out, monkeypatch
):
    def list_late(disk, folder, recursive):
        found = listed(disk, folder, recursive)
        return {name: info for name, info in found.items() if not name.endswith("mp3.json")}

    batch(out, audio=str(recordings))
    run_dag(dag)
    listed = backends.Disk.list
    monkeypatch.setattr(backends.Disk, "list", list_late)
    run_dag(dag)
    assert api.count("POST") == 3


def test_a_folder_of_outputs_that_cannot_be_listed_for_a_moment_fails_the_task(
    api, dag, run_dag, recordings, out, monkeypatch
):
    batch(out, audio=str(recordings))
    run_dag(dag)
    scan = os.scandir

    def fail(path):
        if str(path) == str(out / "talks"):
            raise OSError(errno.ESTALE, "Stale file handle")
        return scan(path)

    with monkeypatch.context() as patches:
        patches.setattr(os, "scandir", fail)
        (error,) = run_dag(dag).errors
    assert "could not be listed" in str(error)
    assert run_dag(dag).state == "success"
    assert api.count("POST") == 3


def test_one_file_that_cannot_be_read_holds_up_no_other_and_is_tried_again_by_a_later_run(
    api, dag, run_dag, out, tmp_path, monkeypatch
):
    inbox = filled(tmp_path / "inbox", 20)

    def fail(disk, path):
        if path.endswith("00.mp3"):
            raise OSError(errno.EIO, "Input/output error")
        return read(disk, path)

    monkeypatch.setattr(persistence, "WRITE_ATTEMPTS", 1)
    read = backends.Disk.info
    batch(out, audio=str(inbox), max_failed=5)
    with monkeypatch.context() as patches:
        patches.setattr(backends.Disk, "info", fail)
        patches.setattr(backends.Disk, "list", _listing_with(read))
        for _ in range(2):
            run_dag(dag)
            assert Counter(states_of(out)) == {"completed": 19, "failed": 1}
    run_dag(dag)
    assert set(states_of(out)) == {"completed"}
    assert api.count("POST") == 20


def _listing_with(read):
    listed = backends.Disk.list

    def list_files(disk, folder, recursive):
        with pytest.MonkeyPatch.context() as patches:
            patches.setattr(backends.Disk, "info", read)
            return listed(disk, folder, recursive)

    return list_files


def test_a_storage_of_which_no_file_can_be_read_ends_the_submissions(
    api, dag, run_dag, out, tmp_path, monkeypatch
):
    inbox = filled(tmp_path / "inbox", 40)

    def fail(disk, path):
        if "/inbox/" in path:
            raise OSError(errno.EIO, "Input/output error")
        return read(disk, path)

    monkeypatch.setattr(persistence, "WRITE_ATTEMPTS", 1)
    read = backends.Disk.info
    batch(out, audio=str(inbox), max_failed=100)
    with monkeypatch.context() as patches:
        patches.setattr(backends.Disk, "list", _listing_with(read))
        patches.setattr(backends.Disk, "info", fail)
        (error,) = run_dag(dag).errors
    assert "Input/output error" in str(error)
    assert states_of(out).count("pending") > 20
    run_dag(dag)
    assert set(states_of(out)) == {"completed"}


def test_more_files_than_allowed_do_not_leave_behind_what_is_under_way(api, dag, run_dag, out, recordings):
    generation_id = api.create()
    record = FileRecord("gone.mp3", "f-", "gone.mp3.json", FileState.SUBMITTED, generation_id=generation_id)
    record.submitted_at, record.deadline = time.time(), time.time() + 600
    leave(begin_as(OTHER, out, [record]).lease, object_storage())
    batch(out, audio=str(recordings), max_files=2)
    (error,) = run_dag(dag).errors
    assert "`max_files` is 2" in str(error)
    assert "3 pending" in str(error)
    assert (out / "gone.mp3.json").exists()
    assert api.count("POST") == 0


def test_outputs_in_the_folder_of_the_recordings_are_no_audio_for_a_glob(api, dag, run_dag, recordings):
    batch(recordings, audio=f"{recordings}/*.*", formats=["txt"])
    for _ in range(3):
        run_dag(dag)
    # One recording, and notes that match as well.
    assert api.count("POST") == 1


def test_a_link_to_a_folder_that_it_is_in_is_not_followed(api, dag, run_dag, recordings, out):
    (recordings / "talks" / "self").symlink_to("..")
    batch(out, audio=str(recordings))
    run_dag(dag)
    assert api.count("POST") == 3


def test_a_file_that_is_deleted_after_it_was_listed_fails_alone(
    api, dag, run_dag, recordings, out, monkeypatch
):
    def delete_first(source, storage):
        opened = open_source(source, storage)
        if source.audio == f"{recordings}/a.mp3":
            asked.append(opened)
            if len(asked) == 2:
                (recordings / "a.mp3").unlink()
        return opened

    asked = []
    open_source = Source.open
    monkeypatch.setattr(Source, "open", delete_first)
    batch(out, audio=str(recordings), deduplicate=True, max_failed=1)
    run_dag(dag)
    assert sorted(states_of(out)) == ["completed", "completed", "failed"]


@pytest.mark.parametrize("damaged", ["snapshots/*", "journal/*/*"])
def test_what_is_damaged_is_named_and_what_is_to_be_done_helps(api, dag, run_dag, recordings, out, damaged):
    batch(out, audio=str(recordings))
    run_dag(dag)
    if damaged.startswith("journal"):
        begin_as(OTHER, out, [FileRecord("b.mp3", "f", "b.mp3.json", FileState.FAILED)])
    (file,) = (out / ".manifest").glob(damaged)
    file.write_bytes(b'{"output": "a.mp3.json", "sta')
    with pytest.raises(LaplasStorageError, match=f"{file.name} is damaged"):
        Manifest.load(f"{out}/manifest.json")
    file.unlink()
    assert Manifest.load(f"{out}/manifest.json").counts() == {"completed": 3}


def test_a_lease_that_was_cut_off_while_it_was_written_is_nobodys(api, dag, run_dag, out):
    leases = out / ".manifest" / "leases"
    leases.mkdir(parents=True)
    (leases / "000001.json").write_bytes(b"")
    batch(out, audio=URLS[:1])
    assert run_dag(dag).xcom("batch")["completed"] == 1


def test_a_wait_begins_though_the_storage_is_away_at_its_first_call(api, dag, run_dag, out, monkeypatch):
    def fail_once(storage, folder, **kwargs):
        failed.append(folder)
        monkeypatch.setattr(Storage, "list_files", list_files)
        raise LaplasStorageError("the storage is away")

    def hand_over_to_a_storage_that_is_away(state):
        hand_over(state)
        monkeypatch.setattr(Storage, "list_files", fail_once)

    failed = []
    list_files, hand_over = Storage.list_files, BatchState.hand_over
    monkeypatch.setattr(BatchState, "hand_over", hand_over_to_a_storage_that_is_away)
    batch(out, audio=URLS[:1])
    assert run_dag(dag).xcom("batch")["completed"] == 1
    assert failed
