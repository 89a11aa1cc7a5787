"""Several that are at work on one batch: who may submit, and how what the others wrote is found."""

from collections import Counter
from dataclasses import replace

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.manifest import FileRecord, FileState, Manifest
from airflow_provider_laplas.manifest.files import merge
from airflow_provider_laplas.manifest.lease import check_lease, find_lease, held_lease, take_lease
from airflow_provider_laplas.manifest.state import Tally
from airflow_provider_laplas.manifest.summary import keep, leave, read_summary, write_summary
from tests.unit.manifest.conftest import OWNER, files


def test_a_number_is_taken_once_and_the_other_is_told_by_whom(uri, storage, take):
    assert find_lease(uri, storage) is None
    first = take({"dag_id": "d", "run_id": "r", "task_id": "first"})
    with pytest.raises(LaplasArgumentError, match=": d/r/first, since"):
        take_lease(uri, OWNER, storage, after=None)
    assert find_lease(uri, storage) == first


def test_a_lease_is_held_until_the_next_one_is_taken(storage, take):
    first = take()
    check_lease(first, storage)
    second = take()
    assert second.number == first.number + 1
    with pytest.raises(LaplasArgumentError, match=": d/r/other, since"):
        check_lease(first, storage)
    check_lease(second, storage)


def test_only_the_last_two_leases_are_kept_and_one_that_was_lost_long_ago_stays_lost(uri, storage, take):
    first, *_, last = (take() for _ in range(5))
    assert sorted(storage.list_files(f"{uri.rpartition('/')[0]}/.manifest/leases")) == [
        "000004.json",
        "000005.json",
    ]
    with pytest.raises(LaplasArgumentError, match="since"):
        check_lease(first, storage)
    with pytest.raises(LaplasArgumentError, match="since"):
        held_lease(uri, first.number, storage)
    assert held_lease(uri, last.number, storage) == last


def test_a_number_that_was_held_and_deleted_meanwhile_is_not_taken_again(uri, storage, take):
    found = take()
    for _ in range(3):
        take()
    with pytest.raises(LaplasArgumentError, match="since"):
        take_lease(uri, OWNER, storage, after=found)


def test_without_a_right_to_delete_old_leases_stay(uri, storage, take):
    def refuse(uri):
        raise LaplasStorageError("refused", permission="delete objects")

    storage.delete = refuse
    *_, last = (take() for _ in range(4))
    assert len(storage.list_files(f"{uri.rpartition('/')[0]}/.manifest/leases")) == 4
    check_lease(last, storage)


def test_a_lease_whose_answer_was_lost_is_the_writers_own(uri, storage):
    create = storage.create

    def lose_the_answer(uri, text):
        storage.create = create
        create(uri, text)
        raise OSError("reset")

    storage.create = lose_the_answer
    assert take_lease(uri, OWNER, storage, after=None).number == 1


def test_an_id_that_is_noted_after_the_lease_was_lost_is_found(begin, uri, storage):
    first = begin(*files("a.json", "b.json"))
    a, _ = first.next_pending(2)
    first.transition(a, FileState.INTENT)
    first.note()
    second = begin(*files("a.json", state=FileState.AMBIGUOUS, attempt=1), *files("b.json"))
    (b,) = second.next_pending(1)
    second.transition(b, FileState.SUBMITTED, generation_id="g-b")
    second.note()
    first.transition(a, FileState.SUBMITTED, generation_id="g-a")
    first.note()
    assert [(e.state, e.generation_id) for e in Manifest.load(uri, storage).entries] == [
        (FileState.SUBMITTED, "g-a"),
        (FileState.SUBMITTED, "g-b"),
    ]


@pytest.mark.parametrize("folded", [False, True])
def test_an_id_that_is_noted_after_a_newer_manifest_was_written_is_found(begin, uri, storage, folded):
    first = begin(*files("a.json"))
    (a,) = first.next_pending(1)
    first.transition(a, FileState.INTENT)
    first.note()
    begin(*files("a.json", state=FileState.AMBIGUOUS, attempt=1))
    if folded:
        manifest, new = Manifest.gather(uri, storage)
        manifest.fold(new, find_lease(uri, storage), storage)
    first.transition(a, FileState.SUBMITTED, generation_id="g-a")
    first.note()
    (entry,) = Manifest.load(uri, storage).entries
    assert (entry.state, entry.generation_id) == (FileState.SUBMITTED, "g-a")


def test_an_id_of_a_submission_that_was_made_again_meanwhile_is_kept_beside_the_new_one():
    (late,) = files("a.json", state=FileState.SUBMITTED, generation_id="g-1", attempt=1)
    (new,) = files("a.json", state=FileState.COMPLETED, generation_id="g-2", attempt=2)
    merged = merge(late, new)
    assert (merged.state, merged.generation_id, merged.other_ids) == (FileState.COMPLETED, "g-2", ["g-1"])
    assert merge(late, merged) == merged


def test_a_later_plan_does_not_forget_the_id_that_an_earlier_writer_noted_late():
    """A resubmission began before the id came, and the next try, which has not read it, plans the file anew."""
    begun = FileRecord("a", "f", "a.json", FileState.INTENT, attempt=2, other_ids=["late"])
    planned = FileRecord("a", "f", "a.json", FileState.PENDING, attempt=2)
    assert merge(begun, planned).other_ids == ["late"]
    submitted = FileRecord(
        "a", "f", "a.json", FileState.SUBMITTED, attempt=2, generation_id="g", other_ids=["late"]
    )
    assert merge(submitted, replace(planned, attempt=3)).other_ids == ["late", "g"]
    assert merge(submitted, planned) == submitted
    assert merge(submitted, submitted) == submitted


def test_who_has_lost_the_lease_does_not_call_the_batch_abandoned(uri, storage, take):
    first = take()
    second = take()
    write_summary(second, storage, Tally(2))
    leave(first, storage)
    assert (read_summary(uri, storage)["lease"], read_summary(uri, storage)["active"]) == (2, True)


def test_a_task_that_leaves_before_it_has_counted_keeps_the_last_counts(uri, storage, take):
    write_summary(take(), storage, Tally(1, Counter(completed=3)), active=False)
    lease = take()
    keep(lease, storage)
    assert read_summary(uri, storage)["active"] is True
    leave(lease, storage)
    summary = read_summary(uri, storage)
    assert (summary["lease"], summary["active"], summary["counts"]) == (2, False, {"completed": 3})
