"""Several at work on one folder: an earlier try, a try of another task, a run that has taken it over."""

import math
import time

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest import FileRecord, FileState, Manifest
from airflow_provider_laplas.manifest.lease import find_lease, take_lease
from airflow_provider_laplas.manifest.summary import ABANDONED_AFTER, leave, read_summary
from airflow_provider_laplas.storage import Storage, object_storage
from airflow_provider_laplas.task.record import RecordStore
from tests.fake_api import answer_healthily, reply, reset_after_body
from tests.tasks.batch.conftest import OTHER, URLS, batch, begin_as, manifest_of, states_of


def take(out, owner=OTHER):
    uri, storage = f"{out}/manifest.json", object_storage()
    return take_lease(uri, owner, storage, after=find_lease(uri, storage))


def test_two_tasks_do_not_write_into_one_folder(api, dag, run_dag, out):
    owner = {"dag_id": "other", "run_id": "r", "task_id": "t"}
    begin_as(owner, out, [FileRecord("x", "f", "x.json", state=FileState.SUBMITTED, generation_id="g")])
    batch(out, audio=URLS[:1])
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasArgumentError)
    assert "other/r/t" in str(error)
    assert api.count("POST") == 0


def test_a_folder_that_a_task_has_abandoned_is_free_and_its_work_is_taken_over(
    api, dag, run_dag, out, monkeypatch
):
    owner = {"dag_id": "other", "run_id": "r", "task_id": "t"}
    begin_as(
        owner, out, [FileRecord("x", "f", "x.json", state=FileState.SUBMITTED, generation_id=api.create())]
    )
    monkeypatch.setattr("airflow_provider_laplas.manifest.summary.ABANDONED_AFTER", 0.0)
    assert ABANDONED_AFTER > 0
    batch(out, audio=URLS[:1])
    assert run_dag(dag).xcom("batch")["completed"] == 2
    assert api.count("POST") == 1


def test_a_task_that_fails_as_it_begins_holds_nobody_else_up(api, dag, run_dag, out):
    batch(out, audio=URLS[:2], max_files=1)
    assert run_dag(dag).state == "failed"
    assert not read_summary(f"{out}/manifest.json", object_storage())["active"]


def test_a_batch_that_another_task_has_taken_over_is_left_to_it(api, dag, run_dag, out):
    batch(out, audio=URLS[:4], max_in_flight=2)
    owner = {"dag_id": "other", "run_id": "r", "task_id": "t", "map_index": -1}

    async def take_over(api, request):
        take(out, owner)
        await answer_healthily(api, request)

    api.script("GET", take_over)
    (error,) = run_dag(dag).errors
    assert error.argument == "results_path"
    assert "other/r/t" in str(error)
    assert api.count("POST") == 2


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_try_that_is_still_at_work_when_another_has_taken_its_lease_submits_no_more(
    api, dag, run_dag, out, monkeypatch, caplog, method
):
    async def take_it(api, request):
        take(out)
        await answer_healthily(api, request)

    monkeypatch.setattr("airflow_provider_laplas.batch.timing.CONCURRENT_SUBMISSIONS", 2)
    api.script(method, take_it)
    batch(out, audio=URLS, max_in_flight=2 if method == "GET" else 7)
    (error,) = run_dag(dag).errors
    assert error.argument == "results_path"
    assert "another try" in str(error)
    # Two at a time: the intents of both may have been noted together, and before the lease was taken.
    assert api.count("POST") <= 2
    # The storage is well: nobody has to look at it.
    assert "cannot be written" not in caplog.text


@pytest.fixture
def taken_late(monkeypatch):
    """Have somebody else write between the look at the lease and the taking of it."""
    create = Storage.create

    def use(write):
        def create_late(storage, uri, text):
            monkeypatch.setattr(Storage, "create", create)
            write()
            return create(storage, uri, text)

        monkeypatch.setattr(Storage, "create", create_late)

    return use


def test_of_two_tasks_that_begin_in_one_folder_at_once_one_submits(api, dag, run_dag, out, taken_late):
    taken_late(lambda: begin_as(OTHER, out, [FileRecord(URLS[0], "f", "a.json")]))
    batch(out, audio=URLS[:2])
    (error,) = run_dag(dag).errors
    assert "d/r/other" in str(error)
    assert api.count("POST") == 0
    assert states_of(out) == ["pending"]


def test_what_another_try_reports_after_a_clear_is_not_consented_to_by_it(
    api, dag, run_and_clear, out, taken_late
):
    def report_again():
        uri, storage = f"{out}/manifest.json", object_storage()
        manifest, new = Manifest.gather(uri, storage)
        manifest.fold(new, find_lease(uri, storage), storage)

    api.script("POST", reset_after_body())
    batch(out, audio=URLS[:1])
    run_and_clear()
    taken_late(report_again)
    (error,) = run_and_clear().errors
    assert "ambiguous" in str(error)
    assert api.count("POST") == 1
    assert run_and_clear().xcom("batch")["completed"] == 1
    assert api.count("POST") == 2


def test_what_is_reported_after_the_first_try_of_a_clear_has_failed_is_not_consented_to_by_it(
    api, dag, run_and_clear, out, monkeypatch
):
    monkeypatch.setattr(RecordStore, "first_began", lambda records: began)
    began = math.inf
    api.script("POST", reset_after_body())
    batch(out, audio=URLS[:1])
    run_and_clear()
    # An earlier try of this Clear began before that was reported.
    began = manifest_of(out).written_at - 1
    (error,) = run_and_clear().errors
    assert "ambiguous" in str(error)
    assert api.count("POST") == 1
    began = math.inf
    assert run_and_clear().xcom("batch")["completed"] == 1


def test_what_is_reported_as_the_first_try_of_a_clear_begins_is_not_consented_to_by_it(
    api, dag, run_and_clear, out, monkeypatch
):
    def report_again(records):
        began = first_began(records)
        uri, storage = f"{out}/manifest.json", object_storage()
        manifest, new = Manifest.gather(uri, storage)
        manifest.fold(new, find_lease(uri, storage), storage)
        return began

    api.script("POST", reset_after_body())
    batch(out, audio=URLS[:1])
    run_and_clear()
    first_began = RecordStore.first_began
    with monkeypatch.context() as patch:
        patch.setattr(RecordStore, "first_began", report_again)
        (error,) = run_and_clear().errors
    assert "ambiguous" in str(error)
    assert api.count("POST") == 1
    assert run_and_clear().xcom("batch")["completed"] == 1


@pytest.mark.parametrize("lost", ["snapshot", "time"])
def test_a_report_that_a_slow_storage_took_only_after_the_clear_is_not_consented_to(
    api, dag, run_and_clear, out, lost, monkeypatch
):
    """Its try made it long before, and was overtaken since."""
    api.script("POST", reset_after_body())
    batch(out, audio=URLS[:1])
    run_and_clear()
    (snapshot,) = (out / ".manifest/snapshots").iterdir()
    if lost == "snapshot":
        snapshot.unlink()
    else:
        snapshot.rename(snapshot.with_name(f"{snapshot.name[:6]}-{int((time.time() + 60) * 1e9):020}.z"))
    (error,) = run_and_clear().errors
    assert "ambiguous" in str(error)
    assert api.count("POST") == 1


def test_a_late_id_of_a_file_that_is_no_longer_listed_is_kept(api, dag, run_dag, out):
    operator = batch(out, audio=URLS[:1])
    api.script("POST", reply(403))
    run_dag(dag)
    output = manifest_of(out).entries[0].output
    first = begin_as(OTHER, out, [])
    (record,) = [entry for entry in manifest_of(out).entries if entry.output == output]
    first.tally.add(record)
    first.add(record)
    leave(first.lease, first.storage)
    operator.audio = URLS[1:2]
    first.transition(record, FileState.PENDING, other_ids=["late"])
    first.note()
    assert run_dag(dag).state == "success"
    assert [entry.other_ids for entry in manifest_of(out).unlisted] == [["late"]]


def test_what_a_try_that_lost_its_lease_still_notes_is_found_at_the_end(api, dag, run_dag, out):
    """Its answer comes after another try has reported the submission as ambiguous."""
    operator = batch(out, audio=URLS[:1], max_failed=2)
    api.script("POST", reply(403))
    run_dag(dag)
    operator.audio = URLS[:2]
    output = manifest_of(out).entries[0].output
    first = begin_as(OTHER, out, [])
    (record,) = [entry for entry in manifest_of(out).entries if entry.output == output]
    first.tally.add(record)
    first.add(record)
    first.transition(record, FileState.INTENT)
    first.note()

    async def answer_late(api, request):
        first.transition(record, FileState.SUBMITTED, generation_id=api.create())
        first.note()
        await answer_healthily(api, request)

    api.script("POST", answer_late)
    leave(first.lease, first.storage)
    assert run_dag(dag).xcom("batch")["counts"] == {"completed": 2}
    assert manifest_of(out).entries[0].generation_id == record.generation_id
    assert api.count("POST") == 2
