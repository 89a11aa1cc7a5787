"""Several at work on one folder: an earlier try, a try of another task, a run that has taken it over."""

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest import FileRecord, FileState, Manifest
from airflow_provider_laplas.manifest.lease import take_lease
from airflow_provider_laplas.storage import Storage, object_storage
from tests.fake_api import answer_healthily, reply
from tests.tasks.batch.conftest import OTHER, URLS, batch, manifest_of, manifest_to_change, rewrite


def test_two_tasks_do_not_write_into_one_folder(api, dag, run_dag, out):
    owner = {"dag_id": "other", "run_id": "r", "task_id": "t"}
    entries = [FileRecord("x", "f", "x.json", state=FileState.SUBMITTED, generation_id="g")]
    Manifest(f"{out}/manifest.json", owner, 0, entries).save()
    batch(out, audio=URLS[:1])
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasArgumentError)
    assert "other/r/t" in str(error)
    assert api.count("POST") == 0


def test_a_batch_that_another_task_has_taken_over_is_left_to_it(api, dag, run_dag, out, monkeypatch):
    batch(out, audio=URLS[:4], max_in_flight=2)

    async def take_over(api, request):
        rewrite(out, owner={"dag_id": "other", "run_id": "r", "task_id": "t", "map_index": -1})
        await answer_healthily(api, request)

    api.script("GET", take_over)
    save_anyway = Manifest.save

    def save(self):
        # The trigger of the first task is on another machine, and killed by now.
        if not (out / "manifest.json").exists() or manifest_of(out).owner == self.owner:
            save_anyway(self)

    monkeypatch.setattr(Manifest, "save", save)
    (error,) = run_dag(dag).errors
    assert error.argument == "results_path"
    assert "other/r/t" in str(error)
    assert api.count("POST") == 2


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_try_that_is_still_at_work_when_another_has_taken_its_lease_writes_and_submits_no_more(
    api, dag, run_dag, out, monkeypatch, method
):
    found = []

    async def take_it(api, request):
        take_lease(f"{out}/manifest.json", OTHER, object_storage())
        found.append(manifest_of(out))
        await answer_healthily(api, request)

    monkeypatch.setattr("airflow_provider_laplas.batch.timing.GROUP", 2)
    api.script(method, take_it)
    batch(out, audio=URLS, max_in_flight=2 if method == "GET" else 7)
    (error,) = run_dag(dag).errors
    assert error.argument == "results_path"
    assert "another try" in str(error)
    assert api.count("POST") == 2
    assert manifest_of(out) == found[0]


@pytest.fixture
def taken_late(out, monkeypatch):
    """Have somebody else write the manifest between the look at it and the taking of the lease."""
    read_text = Storage.read_text

    def use(write):
        def read_late(storage, uri):
            if uri.endswith("/.manifest/claim"):
                monkeypatch.setattr(Storage, "read_text", read_text)
                write()
            return read_text(storage, uri)

        monkeypatch.setattr(Storage, "read_text", read_late)

    return use


def test_what_the_writer_before_wrote_until_its_lease_was_taken_is_not_submitted_again(
    api, dag, run_dag, out, taken_late
):
    batch(out, audio=URLS[:2], max_failed=2)
    api.script("POST", *[reply(403)] * 2)
    run_dag(dag)

    def begin_all():
        earlier = manifest_to_change(out)
        for entry in earlier.entries:
            entry.transition(FileState.INTENT)
        earlier.save()
        rewrite(out, written_at=0.0)

    taken_late(begin_all)
    rewrite(out, written_at=0.0)
    submitted = api.count("POST")
    assert run_dag(dag).xcom("batch")["counts"] == {"ambiguous": 2}
    assert api.count("POST") == submitted


def test_of_two_tasks_that_begin_in_one_folder_at_once_the_later_one_submits_nothing(
    api, dag, run_dag, out, taken_late
):
    def begin():
        uri, storage = f"{out}/manifest.json", object_storage()
        lease = take_lease(uri, OTHER, storage)
        Manifest(uri, OTHER, 0, [FileRecord(URLS[0], "f", "a.json")], lease_token=lease).save()

    taken_late(begin)
    batch(out, audio=URLS[:2])
    (error,) = run_dag(dag).errors
    assert "d/r/other is at work in this folder" in str(error)
    assert api.count("POST") == 0
