"""Several that are at work on one batch: who may write, and how what the others wrote is found."""

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest import FileRecord, FileState, Manifest
from airflow_provider_laplas.manifest.lease import take_lease
from tests.unit.manifest.conftest import OWNER, Interrupted


@pytest.fixture
def leased(uri, storage):
    """Make a manifest whose lease is taken."""

    def make(*entries, owner=OWNER, storage=storage):
        return Manifest(
            uri, owner, 0, list(entries), lease_token=take_lease(uri, OWNER, storage), storage=storage
        )

    return make


def test_of_two_tries_that_begin_at_once_the_first_gives_way(leased, uri, storage):
    first, second = (leased(owner={"try": n}) for n in (1, 2))
    second.save()
    with pytest.raises(LaplasArgumentError, match=": d/r/other, since"):
        first.save()
    assert Manifest.load(uri, storage).owner == second.owner


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_writer_whose_lease_is_lost_while_it_writes_learns_it_and_the_next_one_reads_what_it_wrote(
    leased, uri, storage, moment
):
    manifest = leased(FileRecord("a", "f", "a.json", FileState.INTENT))
    manifest.storage = Interrupted(**{moment: lambda _: take_lease(uri, OWNER, storage)})
    with pytest.raises(LaplasArgumentError, match=": d/r/other, since"):
        manifest.save()
    _, found = Manifest.take_over(uri, OWNER, storage)
    assert [entry.state for entry in found.entries] == [FileState.INTENT]


def test_what_a_writer_notes_after_its_lease_was_lost_takes_nothing_back_and_its_ids_are_found(
    leased, uri, storage
):
    first = leased(*(FileRecord(name, "f", name) for name in ("a.json", "b.json", "c.json")))
    first.entries[0].transition(FileState.INTENT)
    first.save()
    _, second = Manifest.take_over(uri, OWNER, storage)
    second.entries[0].transition(FileState.AMBIGUOUS)
    second.entries[1].transition(FileState.SUBMITTED, generation_id="g-b")
    second.save()
    first.entries[0].transition(FileState.SUBMITTED, generation_id="g-a")
    with pytest.raises(LaplasArgumentError):
        first.save()
    assert Manifest.load(uri, storage).entries[1].generation_id == "g-b"
    assert Manifest.resumed(uri, second.lease_token, storage).entries[1].generation_id == "g-b"
    _, third = Manifest.take_over(uri, OWNER, storage)
    assert [(entry.state, entry.generation_id) for entry in third.entries] == [
        (FileState.SUBMITTED, "g-a"),
        (FileState.SUBMITTED, "g-b"),
        (FileState.PENDING, None),
    ]
    with pytest.raises(LaplasArgumentError, match="at work"):
        Manifest.resumed(uri, second.lease_token, storage)


def test_who_takes_a_lease_leaves_the_journal_of_one_that_has_taken_it_since(leased, uri, storage):
    leased(FileRecord("a", "f", "a.json")).save()
    later = []

    def overtake(written):
        if written.endswith("/claim"):
            later.append(Manifest.take_over(uri, OWNER, storage)[1])
            later[0].entries[0].transition(FileState.SUBMITTED, generation_id="g")
            later[0].save()

    _, first = Manifest.take_over(uri, OWNER, Interrupted(after=overtake))
    with pytest.raises(LaplasArgumentError):
        first.save()
    assert Manifest.resumed(uri, later[0].lease_token, storage) == later[0]
    assert Manifest.take_over(uri, OWNER, storage)[1].entries == later[0].entries
