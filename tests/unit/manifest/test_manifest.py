"""The manifest as a document: written and read, with what was noted since, and of version 0.1."""

import json
from pathlib import Path

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.manifest import FileRecord, FileState, Manifest
from airflow_provider_laplas.manifest.journal import write_snapshot
from tests.unit.manifest.conftest import OWNER, files


def test_it_is_json_with_a_line_for_each_file_and_is_read_as_it_was_written(uri, storage):
    manifest = Manifest(
        uri,
        OWNER,
        3,
        files("a.json", "b.json", formats=["json", "srt"], other_ids=["g"]),
        files("c.json", listed=False, state=FileState.GONE),
    )
    storage.write_text(uri, manifest.to_json())
    text = Path(uri).read_text()
    assert [entry["output"] for entry in json.loads(text)["entries"]] == ["a.json", "b.json"]
    assert len(text.splitlines()) == 6
    assert Manifest.load(uri, storage) == manifest


def test_a_manifest_that_holds_its_segments_deletes_them_and_reads_the_same(begin, uri, storage):
    state = begin(*files(*(f"{n}.json" for n in range(300))))
    for record in state.next_pending(3):
        state.transition(record, FileState.SUBMITTED, generation_id=record.output)
        state.note()
    manifest, new = Manifest.gather(uri, storage)
    assert len(new) == 5
    manifest.fold(new, state.lease, storage)
    assert [name for name in storage.list_files(manifest.folder) if "journal" in name or "plan" in name] == []
    assert Manifest.load(uri, storage) == manifest
    assert manifest.counts() == {"pending": 297, "submitted": 3}


def test_without_a_right_to_delete_segments_stay_and_are_not_counted_again(begin, uri, storage, monkeypatch):
    state = begin(*files("a.json"))
    (a,) = state.next_pending(1)
    state.transition(a, FileState.SUBMITTED, generation_id="g")
    state.note()

    def refuse(_):
        raise LaplasStorageError("no", permission="delete")

    monkeypatch.setattr(storage, "delete", refuse)
    manifest, new = Manifest.gather(uri, storage)
    manifest.entries[0].transition(FileState.GONE)
    manifest.fold(new, state.lease, storage)
    assert Manifest.load(uri, storage).entries[0].state is FileState.GONE
    assert Manifest.gather(uri, storage)[1] == []


def test_who_was_overtaken_while_it_wrote_deletes_nothing_and_replaces_nothing(begin, take, uri, storage):
    state = begin(*files("a.json"))
    manifest, new = Manifest.gather(uri, storage)
    take()
    manifest.entries[0].transition(FileState.GONE)
    with pytest.raises(LaplasArgumentError, match="at work"):
        manifest.fold(new, state.lease, storage)
    assert Manifest.load(uri, storage).entries[0].state is FileState.PENDING
    assert not storage.exists(uri)


def test_what_an_overtaken_writer_writes_late_is_not_read(begin, uri, storage):
    state = begin(*files("a.json"))
    manifest, _ = Manifest.gather(uri, storage)
    late = write_snapshot(uri, state.lease.number, manifest.to_json().encode(), storage)
    text = storage.read_text(late)
    storage.delete(late)
    second = begin(*files("a.json", state=FileState.SUBMITTED, generation_id="g", attempt=1))
    newer, new = Manifest.gather(uri, storage)
    newer.fold(new, second.lease, storage)
    storage.write_text(late, text)
    storage.write_text(uri, manifest.to_json())
    assert Manifest.load(uri, storage).entries[0].generation_id == "g"


def test_a_segment_that_somebody_folds_while_it_is_read_is_no_error(begin, uri, storage, monkeypatch):
    state = begin(*files("a.json"))
    read = storage.read_text

    def fold_first(file):
        if "/plan/" in file:
            monkeypatch.setattr(storage, "read_text", read)
            manifest, new = Manifest.gather(uri, storage)
            manifest.fold(new, state.lease, storage)
        return read(file)

    monkeypatch.setattr(storage, "read_text", fold_first)
    assert [entry.output for entry in Manifest.load(uri, storage).entries] == ["a.json"]


def test_a_listing_that_names_what_is_not_there_ends_in_an_error(begin, uri, storage, monkeypatch):
    begin(*files("a.json"))
    read = storage.read_text

    def vanish(file):
        if "/plan/" in file:
            raise FileNotFoundError(file)
        return read(file)

    monkeypatch.setattr(storage, "read_text", vanish)
    with pytest.raises(LaplasStorageError, match="lists files that are not there"):
        Manifest.load(uri, storage)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 3}', '{"version": 2, "entries": [{}]}', "no"])
def test_what_is_no_manifest_is_refused(uri, storage, text):
    storage.write_text(uri, text)
    with pytest.raises(LaplasArgumentError, match="is not a manifest"):
        Manifest.load(uri, storage)


def test_where_there_is_none_it_says_so(uri, storage):
    assert Manifest.find(uri, storage) is None
    with pytest.raises(LaplasArgumentError, match="There is no manifest"):
        Manifest.load(uri, storage)


def version_1(*entries, **header):
    old = {"owner": OWNER, "max_tries": 0, "written_at": 1.0, "began_at": 1.0, "unlisted": []}
    names = ("source", "fingerprint", "output", "state", "generation_id", "error", "formats", "announced")
    records = [{name: getattr(entry, name) for name in names} for entry in entries]
    return json.dumps({"version": 1, **old, **header, "entries": records})


def test_version_1_is_taken_over_with_the_journals_of_its_writers(uri, storage):
    folder = uri.rpartition("/")[0]
    a, b, c = files("a.json", "b.json", "c.json")
    a.state = b.state = FileState.INTENT
    storage.write_text(uri, version_1(a, b, c))
    storage.write_text(f"{folder}/.manifest/000002-{'a' * 32}.json", version_1(a, b, c))
    a.state, a.generation_id = FileState.SUBMITTED, "g-a"
    storage.write_text(f"{folder}/.manifest/000001-{'b' * 32}.json", version_1(a, b, c))
    assert [(e.state, e.generation_id) for e in Manifest.load(uri, storage).entries] == [
        (FileState.SUBMITTED, "g-a"),
        (FileState.INTENT, None),
        (FileState.PENDING, None),
    ]


def test_what_version_1_found_ambiguous_it_has_reported(uri, storage):
    storage.write_text(uri, version_1(FileRecord("a", "f", "a.json", FileState.AMBIGUOUS)))
    (entry,) = Manifest.load(uri, storage).entries
    assert entry.reported


def test_segments_that_could_not_be_deleted_go_with_the_next_manifest(begin, uri, storage, monkeypatch):
    def refuse(uri):
        raise LaplasStorageError("a hiccup")

    state = begin(*files("a.json"))
    with monkeypatch.context() as patches:
        patches.setattr(storage, "delete", refuse)
        manifest, new = Manifest.gather(uri, storage)
        manifest.fold(new, state.lease, storage)
    left = f"{uri.rpartition('/')[0]}/.manifest/plan"
    assert storage.list_files(left)
    manifest, new = Manifest.gather(uri, storage)
    assert new == []
    manifest.fold(new, state.lease, storage)
    assert storage.list_files(left) == {}


def test_the_snapshot_of_a_holder_that_was_overtaken_is_deleted(begin, uri, storage, take):
    def overtake(uri, content):
        write(uri, content)
        if "/snapshots/" in uri:
            storage.write_bytes = write
            take()

    state = begin(*files("a.json"))
    write, storage.write_bytes = storage.write_bytes, overtake
    manifest, new = Manifest.gather(uri, storage)
    with pytest.raises(LaplasArgumentError, match="another try"):
        manifest.fold(new, state.lease, storage)
    assert storage.list_files(f"{uri.rpartition('/')[0]}/.manifest/snapshots") == {}
