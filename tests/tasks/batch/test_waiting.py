"""A wait that something ends or disturbs: a time-out, a broken trigger, a storage that is away, a kill."""

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import task

from airflow_provider_laplas import persistence
from airflow_provider_laplas.airflow_compat import TaskDeferralError
from airflow_provider_laplas.batch import timing, wait
from airflow_provider_laplas.errors import LaplasBatchError, LaplasStorageError
from airflow_provider_laplas.manifest import FileRecord, FileState, output_name
from airflow_provider_laplas.storage import Storage
from tests.fake_api import answer_healthily, reply
from tests.tasks.batch.conftest import URLS, batch, begin_as, states_of

TIMED_OUT = ("__fail__", {"error": "Trigger timeout"})
"""The method and the arguments with which Airflow resumes a task whose trigger took too long."""


def test_a_wait_outlasts_a_storage_that_does_not_take_the_manifest(api, dag, run_dag, out, monkeypatch):
    failed = []
    write = Storage.write_text

    def fail_once(storage, uri, text):
        if "submitted" in text and not failed:
            failed.append(uri)
            raise OSError("the storage is away")
        write(storage, uri, text)

    async def answer_without_storage(api, request):
        monkeypatch.setattr(Storage, "write_text", fail_once)
        await answer_healthily(api, request)

    monkeypatch.setattr(timing, "SAVE_EVERY", 0.1)
    monkeypatch.setattr(persistence, "WRITE_ATTEMPTS", 1)
    api.script("GET", answer_without_storage)
    batch(out, audio=URLS[:3])
    assert run_dag(dag).xcom("batch")["completed"] == 3
    assert failed


def test_replies_that_could_not_be_written_as_long_as_the_api_keeps_them_are_written_by_the_resumed_task(
    api, dag, run_dag, out, monkeypatch
):
    failed = []
    write = Storage.write_text

    def fail_for_each(storage, uri, text):
        if "/.manifest/" not in uri and len(failed) < 3:
            failed.append(uri)
            raise LaplasStorageError("the storage is full")
        write(storage, uri, text)

    monkeypatch.setattr(wait, "RETENTION", 0.0)
    monkeypatch.setattr(persistence, "WRITE_ATTEMPTS", 1)
    monkeypatch.setattr(Storage, "write_text", fail_for_each)
    batch(out, audio=URLS[:3])
    api.script("GET", answer_healthily, answer_healthily, answer_healthily, reply(404))
    assert run_dag(dag).xcom("batch")["completed"] == 3
    assert api.count("POST") == len(failed) == len(list(out.glob("*.mp3*.json"))) == 3


def context_of(dag):
    ti = SimpleNamespace(
        dag_id=dag.dag_id, run_id="r", task_id="batch", map_index=-1, max_tries=0, xcom_push=lambda **_: None
    )
    return {"ti": ti, "outlet_events": {}}


def interrupt(dag, out, generation_id, *, deadline):
    """Hand over a batch of three files, of which one is submitted, as a triggerer's death leaves it."""
    owner = {"dag_id": dag.dag_id, "run_id": "r", "task_id": "batch", "map_index": -1}
    records = [FileRecord(url, "f", output_name(url, None)) for url in URLS[:3]]
    state = begin_as(owner, out, records)
    state.transition(
        *state.next_pending(1), FileState.SUBMITTED, generation_id=generation_id, deadline=deadline
    )
    state.hand_over()


@pytest.mark.parametrize("make", ["operator", "decorator"])
def test_after_the_triggers_time_out_what_is_done_is_taken_and_the_rest_submitted(api, dag, out, make):
    operator = (
        batch(out, audio=URLS[:3], deferrable=False)
        if make == "operator"
        else task.transcribe(task_id="batch", results_path=str(out), deferrable=False, poke_interval=0.1)(
            lambda: URLS[:3]
        )().operator
    )
    generation_id = api.create()
    api.complete(generation_id)
    interrupt(dag, out, generation_id, deadline=time.time() - 1)
    summary = operator.resume_execution(*TIMED_OUT, context_of(dag))
    assert (summary["completed"], api.count("POST")) == (3, 2)


def test_an_execution_timeout_that_ends_the_wait_says_so_and_submits_nothing(api, dag, out):
    operator = batch(out, audio=URLS[:3], execution_timeout=timedelta(seconds=1))
    interrupt(dag, out, api.create(), deadline=time.time() + 600)
    with pytest.raises(LaplasBatchError, match="execution_timeout"):
        operator.resume_execution(*TIMED_OUT, context_of(dag))
    assert not api.requests


@pytest.mark.parametrize("make", ["operator", "decorator"])
def test_a_trigger_that_broke_is_airflows_own_error(api, dag, out, make):
    operator = batch(out, audio=URLS[:3])
    if make == "decorator":
        operator = task.transcribe(task_id="other", results_path=str(out))(lambda: URLS[:3])().operator
    with pytest.raises(TaskDeferralError):
        operator.resume_execution("__fail__", {"error": "Trigger failure", "traceback": []}, context_of(dag))


def resume_timed_out(operator, dag, out, api):
    interrupt(dag, out, api.create(), deadline=time.time() + 600)
    return operator.resume_execution(*TIMED_OUT, context_of(dag))


@pytest.mark.parametrize(
    "work",
    [lambda operator, dag, out, api: operator.execute(context_of(dag)), resume_timed_out],
    ids=["first", "after the trigger's time-out"],
)
def test_a_task_that_is_killed_while_its_batch_is_at_work_submits_no_more_and_says_what_goes_on(
    api, dag, out, caplog, work
):
    # One at a time: with room for more, the rest would be submitted before anything is waited for.
    operator = batch(out, audio=URLS[:3], deferrable=False, max_in_flight=1)
    said = []

    def kill():
        caplog.clear()
        operator.on_kill()
        said.append(caplog.text)

    async def kill_meanwhile(api, request):
        kill()
        await answer_healthily(api, request)

    kill()
    api.script("GET", kill_meanwhile)
    with pytest.raises(LaplasBatchError, match="was killed"):
        work(operator, dag, out, api)
    assert sorted(states_of(out)) == ["completed", "pending", "pending"]
    kill()
    before, meanwhile, after = said
    assert "goes on and is billed" in meanwhile
    assert f"{out}/manifest.json" in meanwhile
    assert not before + after
