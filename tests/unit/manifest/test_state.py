"""What a batch's lease holder has in memory and notes; and what a trigger and the next worker read of it."""

import json
from collections import Counter

import pytest

from airflow_provider_laplas.manifest import FileState, Manifest
from airflow_provider_laplas.manifest.journal import PAGE
from airflow_provider_laplas.manifest.parts import part_outputs
from airflow_provider_laplas.manifest.state import BatchState
from tests.unit.manifest.conftest import files

MANY = [f"{n:04}.json" for n in range(2 * PAGE + 7)]


def test_counts_are_those_of_the_files_whatever_happens_to_them(begin):
    state = begin(*files("a.json", "b.json", "c.json"), *files("d.json", state=FileState.COMPLETED))
    a, b, _ = state.next_pending(3)
    state.transition(a, FileState.INTENT)
    state.transition(a, FileState.SUBMITTED, generation_id="g")
    state.transition(a, FileState.COMPLETED, audio_seconds=3.5)
    state.transition(b, FileState.FAILED, error="no audio")
    tally = state.tally
    assert tally.counts() == {"completed": 2, "failed": 1, "pending": 1}
    assert (tally.total, tally.unfinished, tally.failed) == (4, 1, 1)
    assert (tally.new, tally.new_audio_seconds) == (Counter(completed=1, failed=1), 3.5)
    assert tally.failure == "b.json.mp3: no audio."


def test_pending_files_come_in_order_and_what_was_put_back_comes_first(begin):
    state = begin(*files(*MANY))
    first, second = state.next_pending(2)
    state.transition(first, FileState.INTENT)
    state.transition(first, FileState.PENDING)
    assert [r.output for r in state.next_pending(2)] == [first.output, MANY[2]]
    assert second.output == MANY[1]


@pytest.mark.parametrize("taken", [0, 1, PAGE - 2, PAGE - 1, PAGE, 2 * PAGE, len(MANY)])
def test_who_goes_on_after_a_hand_over_has_the_rest_of_the_files(begin, storage, taken):
    state = begin(*files(*MANY))
    for record in state.next_pending(taken):
        state.transition(record, FileState.SUBMITTED, generation_id=record.output)
        state.transition(record, FileState.COMPLETED)
        state.close(record)
    state.hand_over()
    resumed = BatchState.resumed(state.lease, storage)
    assert [record.output for record in resumed.next_pending(len(MANY))] == MANY[taken:]
    assert resumed.tally == state.tally


def test_who_goes_on_knows_what_the_trigger_noted(begin, storage, take):
    state = begin(*files("a.json", "b.json", "c.json"))
    for record in state.next_pending(2):
        state.transition(record, FileState.SUBMITTED, generation_id=record.output, deadline=1.0)
    state.hand_over()
    trigger = BatchState.resumed(state.lease, storage)
    a, b = trigger.having(FileState.SUBMITTED)
    assert (a.generation_id, a.deadline, b.generation_id) == ("a.json", 1.0, "b.json")
    trigger.transition(a, FileState.COMPLETED, audio_seconds=2.0)
    trigger.note()
    for _ in range(2):
        # The same, also for a trigger that is started again.
        worker = BatchState.resumed(state.lease, storage)
        assert worker.tally.counts() == {"completed": 1, "pending": 1, "submitted": 1}
        assert worker.tally.audio_seconds == 2.0
    worker.take_lease(take())
    assert [record.output for record in worker.next_pending(5)] == ["c.json"]
    (entry, *_) = Manifest.load(state.uri, storage).entries
    assert (entry.source, entry.fingerprint, entry.state) == ("a.json.mp3", "f", FileState.COMPLETED)


def test_what_could_not_be_written_is_written_with_the_next_changes(begin, storage, monkeypatch):
    state = begin(*files("a.json"))
    (a,) = state.next_pending(1)
    state.transition(a, FileState.SUBMITTED, generation_id="g")
    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)
    write = storage.write_text

    def fail(*_):
        raise OSError("away")

    monkeypatch.setattr(storage, "write_text", fail)
    with pytest.raises(OSError, match="away"):
        state.note()
    monkeypatch.setattr(storage, "write_text", write)
    state.note()
    assert [entry.generation_id for entry in Manifest.load(state.uri, storage).entries] == ["g"]


def test_a_batch_that_was_not_handed_over_is_not_resumed(begin, storage):
    assert BatchState.resumed(begin(*files("a.json")).lease, storage) is None


def test_what_is_written_of_a_change_is_the_change(begin):
    state = begin(*files("a.json"))
    (a,) = state.next_pending(1)
    state.transition(a, FileState.INTENT)
    (line,) = state.take_changes()
    assert json.loads(line) == {"output": "a.json", "state": "intent", "attempt": 1, "generation_id": None}


def test_a_pending_file_is_taken_once_until_it_is_given_back(begin):
    state = begin(*files("a.json", "b.json"))
    a, b = state.next_pending(16)
    for record in (a, b):
        state.add(record)
    assert state.next_pending(1) == [a]
    assert state.next_pending(16) == [b]
    assert state.next_pending(16) == []


PLAN = {"parts": [{"pieces": [[0, 5]]}, {"pieces": [[5, 9]]}]}


def test_a_file_that_is_cut_is_noted_with_the_version_of_the_audio_that_was_cut(begin, storage):
    state = begin(*files("a.json"))
    (a,) = state.next_pending(1)
    state.split(a, "newer", PLAN)
    state.note()
    manifest = Manifest.load(state.uri, storage)
    (entry,) = manifest.entries
    assert (entry.state, entry.fingerprint) == (FileState.SPLIT, "newer")
    # By their names a later try knows which parts belong to the file as it was cut.
    assert part_outputs(entry) == [part.output for part in manifest.parts]
    assert (state.tally.total, state.tally.counts()) == (1, {"split": 1})
