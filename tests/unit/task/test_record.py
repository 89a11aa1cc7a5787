"""What a try notes for the tries after it, in the task's state store."""

import dataclasses
import json
import re
from types import SimpleNamespace

import pytest

from airflow_provider_laplas.api.resume import Occasion
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.task.record import STORE_KEY, GenerationRecord, RecordStore
from tests.airflow_names import NEVER_EXPIRE

INTENT = GenerationRecord("work", max_tries=2, deadline=1000.0)
SUBMITTED = dataclasses.replace(INTENT, generation_id="g-1", submitted_at=900.0)
TASK = TaskKey("d", "r", "t")
STORED = dataclasses.replace(SUBMITTED, result="file:///g-1.json")


class Store(dict):
    """Airflow's state store, in memory; the first writes may fail, and all that is asked of it is counted."""

    failures = 0
    reads = 0
    writes = 0

    def get(self, key):
        self.reads += 1
        return super().get(key)

    def set(self, key, value, *, retention):
        assert retention is NEVER_EXPIRE
        self.writes += 1
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the API server is restarting")
        self[key] = value

    def delete(self, key):
        self.pop(key, None)


def store_over(memory, max_tries=2):
    if NEVER_EXPIRE is None:
        pytest.skip("This Airflow has no state store.")
    return RecordStore({"ti": SimpleNamespace(max_tries=max_tries), "task_state_store": memory}, TASK, None)


def test_a_record_is_read_as_it_was_written():
    memory = Store()
    store_over(memory).save(STORED)
    assert store_over(memory).load() == STORED


def test_a_record_is_written_even_if_the_store_fails_for_a_moment():
    memory = Store()
    memory.failures = 2
    store_over(memory).save(SUBMITTED)
    assert store_over(memory).load() == SUBMITTED


@pytest.mark.parametrize("noted", [None, SUBMITTED])
def test_the_store_is_read_once_however_often_it_is_asked(noted):
    memory = Store({STORE_KEY: json.dumps(dataclasses.asdict(noted))} if noted else {})
    records = store_over(memory)
    assert [records.load() for _ in range(3)] == [noted] * 3
    records.save(STORED)
    assert records.load() == STORED
    assert memory.reads == 1


def test_a_record_is_not_written_again_while_it_is_the_same():
    memory = Store()
    first, second = store_over(memory), store_over(memory)
    for records in (first, first, second):
        records.save(dataclasses.replace(SUBMITTED))
    assert memory.writes == 1
    second.save(STORED)
    assert memory.writes == 2


@pytest.mark.parametrize(
    "value", ["", "{", "[]", json.dumps({"fingerprint": "x"}), json.dumps({"new": 1}), {"a": 1}, None]
)
def test_what_cannot_be_read_is_no_record_but_any_work_may_have_been_submitted(value):
    records = store_over(Store() if value is None else Store({STORE_KEY: value}))
    assert records.load() is None
    found = records.find("work")
    assert (found is None) == (value is None)
    if found is not None:
        assert (found.fingerprint, found.generation_id) == ("work", None)
        assert records.occasion(found) is Occasion.RETRY


def test_what_a_newer_version_has_added_to_a_record_does_not_hide_its_id():
    added = dataclasses.asdict(SUBMITTED) | {"colour": "green"}
    assert store_over(Store({STORE_KEY: json.dumps(added)})).load() == SUBMITTED


@pytest.mark.parametrize("half", ["", '{"note": "{', "[1]"])
def test_half_of_a_note_in_the_folder_says_that_there_was_one(tmp_path, half):
    without_state_store(str(tmp_path)).save(SUBMITTED)
    (note,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    note.write_text(half)
    records = without_state_store(str(tmp_path))
    assert records.load() is None
    assert records.find("work").generation_id is None


def test_half_of_the_note_of_another_map_index_says_that_there_was_one(tmp_path):
    first, second = (dataclasses.replace(TASK, map_index=n) for n in range(2))
    records = with_state_store(Store(), first, str(tmp_path))
    records.share()
    records.save(SUBMITTED)
    (note,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    note.write_text('{"fingerprint": "wo')
    cleared = with_state_store(Store(), second, str(tmp_path), clears=1)
    cleared.share()
    found = cleared.find("work")
    assert (found.fingerprint, found.generation_id) == ("work", None)


def test_a_retry_keeps_the_deadline_and_a_clear_begins_a_new_one():
    retry, cleared = store_over(Store()), store_over(Store(), max_tries=5)
    assert retry.renewed(SUBMITTED, timeout=60, now=5000.0) is SUBMITTED
    assert cleared.renewed(SUBMITTED, timeout=60, now=5000.0) == dataclasses.replace(
        SUBMITTED, max_tries=5, deadline=5060.0
    )


def test_what_could_not_be_written_is_written_with_the_next_note_or_when_it_is_tried_again(monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)
    memory = Store()
    for save_rest in (lambda records: records.save(SUBMITTED), RecordStore.try_again):
        memory.clear()
        memory.failures = 1
        records = store_over(memory)
        records.try_to_save(SUBMITTED, "It cannot be noted.")
        assert store_over(memory).load() is None
        save_rest(records)
        assert store_over(memory).load() == SUBMITTED


def test_what_is_written_is_not_tried_again():
    memory = Store()
    records = store_over(memory)
    records.save(SUBMITTED)
    records.try_again()
    records.restore(None)
    records.try_again()
    assert memory.writes == 1


@pytest.mark.parametrize("noted", [None, STORED], ids=["nothing before", "something before"])
def test_a_try_that_stood_still_submits_nothing_if_another_one_has_begun_meanwhile(monkeypatch, noted):
    monkeypatch.setattr("airflow_provider_laplas.task.record.FRESH", 0.0)
    memory = Store()
    if noted is not None:
        store_over(memory).save(noted)
    stopped = store_over(memory)
    stopped.load()
    store_over(memory).save(SUBMITTED)
    with pytest.raises(LaplasError, match="Another try"):
        stopped.intend(INTENT)
    stopped.restore(noted)
    assert store_over(memory).load() == SUBMITTED


def test_a_try_that_stood_still_submits_if_it_is_the_only_one(monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.task.record.FRESH", 0.0)
    memory = Store()
    records = store_over(memory)
    records.load()
    for _ in range(2):
        records.intend(INTENT)
    assert store_over(memory).load() == INTENT


OTHER = dataclasses.replace(INTENT, fingerprint="other")


@pytest.mark.parametrize("before", [INTENT, SUBMITTED, STORED], ids=["intent", "submitted", "stored"])
def test_earlier_work_is_found_after_other_work_and_an_intent_is_not_forgotten(before):
    memory = Store()
    store_over(memory).save(before)
    store_over(memory).save(OTHER)
    again = store_over(memory)
    assert (again.load(), again.find("work"), again.find("nothing")) == (OTHER, before, None)


def test_a_submission_that_was_not_made_is_not_found_later():
    memory = Store()
    store_over(memory).save(SUBMITTED)
    records = store_over(memory)
    records.save(OTHER)
    records.restore(SUBMITTED)
    again = store_over(memory)
    assert (again.load(), again.find("other")) == (SUBMITTED, None)


def test_when_the_first_try_since_a_clear_began_is_known_to_it_and_to_those_after_it():
    memory = Store()
    began = store_over(memory).first_began()
    assert began is not None
    assert store_over(memory).first_began() == began
    # A Clear raises Airflow's count of tries.
    cleared = store_over(memory, max_tries=3).first_began()
    assert cleared > began
    assert store_over(memory, max_tries=3).first_began() == cleared


def without_state_store(folder=None, *, try_number=1, max_tries=2, retries=2, task=TASK, clears=0):
    ti = SimpleNamespace(max_tries=max_tries, try_number=try_number, task=SimpleNamespace(retries=retries))
    return RecordStore({"ti": ti, "dag_run": SimpleNamespace(clear_number=clears)}, task, folder)


def with_state_store(memory, task, folder, *, try_number=1, clears=0):
    run = SimpleNamespace(clear_number=clears)
    ti = SimpleNamespace(max_tries=2, try_number=try_number)
    return RecordStore({"ti": ti, "dag_run": run, "task_state_store": memory}, task, folder)


def test_what_was_noted_before_airflow_had_a_state_store_is_found_by_the_tries_after_an_upgrade(tmp_path):
    without_state_store(str(tmp_path)).save(SUBMITTED)
    memory = Store()
    upgraded = with_state_store(memory, TASK, str(tmp_path), try_number=2)
    assert upgraded.load() == SUBMITTED
    upgraded.save(STORED)
    assert store_over(memory).load() == STORED


def test_a_first_try_looks_for_notes_in_one_place_only(tmp_path):
    without_state_store(str(tmp_path)).save(SUBMITTED)
    assert with_state_store(Store(), TASK, str(tmp_path)).load() is None


def test_without_a_state_store_the_folder_has_the_records_of_each_task_instance(tmp_path):
    tasks = [TASK, dataclasses.replace(TASK, map_index=1), dataclasses.replace(TASK, run_id="later")]
    for n, task in enumerate(tasks):
        without_state_store(str(tmp_path), task=task).save(
            dataclasses.replace(SUBMITTED, generation_id=f"g{n}")
        )
    loaded = [without_state_store(str(tmp_path), task=task).load().generation_id for task in tasks]
    assert loaded == ["g0", "g1", "g2"]
    records = without_state_store(str(tmp_path))
    records.save(OTHER)
    assert without_state_store(str(tmp_path)).find("work").generation_id == "g0"
    records.restore(None)
    assert without_state_store(str(tmp_path)).load() is None


def test_the_names_of_a_folders_notes_tell_nothing(tmp_path):
    task = TaskKey("payroll", "run-of-jones", "call-of-smith", 3)
    without_state_store(str(tmp_path), task=task).save(SUBMITTED)
    (note,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not {"payroll", "jones", "smith"} & set(re.findall(r"[a-z]+", str(note.relative_to(tmp_path))))


@pytest.mark.parametrize(
    ("tries", "first"),
    [
        ((1, 2, 2, 0), True),
        ((2, 2, 2, 0), False),
        ((3, 2, 2, 0), False),
        # A Clear after the first try, and after the third one.
        ((2, 3, 2, 1), True),
        ((4, 5, 2, 1), True),
        ((5, 5, 2, 1), False),
        # The DAG's `retries` were raised, or lowered, after the run began.
        ((1, 0, 2, 0), True),
        ((2, 2, 0, 0), False),
        ((2, 2, 1, 0), False),
        ((3, 2, 0, 0), False),
    ],
)
def test_where_nothing_is_remembered_a_retry_expects_an_earlier_submission_and_a_clear_none(tries, first):
    try_number, max_tries, retries, clears = tries
    records = without_state_store(try_number=try_number, max_tries=max_tries, retries=retries, clears=clears)
    assert not records.remembers
    found = records.find("work")
    assert (found is None) == first
    if found is not None:
        assert (found.fingerprint, found.generation_id) == ("work", None)
        assert records.occasion(found) is Occasion.RETRY


def test_an_unknown_store_is_refused_with_the_options_name(monkeypatch):
    monkeypatch.setenv("AIRFLOW__LAPLAS__RECORD_STORE", "redis")
    with pytest.raises(LaplasArgumentError, match="record_store"):
        without_state_store()
