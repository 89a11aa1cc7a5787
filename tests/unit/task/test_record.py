"""What a try notes for the tries after it, in the task's state store."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
from airflow.sdk import NEVER_EXPIRE

from airflow_provider_laplas.task.record import STORE_KEY, GenerationRecord, RecordStore

INTENT = GenerationRecord("work", max_tries=2, deadline=1000.0)
SUBMITTED = dataclasses.replace(INTENT, generation_id="g-1", submitted_at=900.0)
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
    return RecordStore({"ti": SimpleNamespace(max_tries=max_tries), "task_state_store": memory})


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
def test_what_cannot_be_read_counts_as_nothing(value):
    assert store_over(Store({STORE_KEY: value})).load() is None


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
    assert RecordStore({"ti": SimpleNamespace(max_tries=2), "task_state_store": None}).first_began() is None
