"""A batch's progress, the table of its files, and the pages of single files."""

import json
import shutil
from pathlib import Path

import pytest

from airflow_provider_laplas.manifest import FileState, Manifest
from airflow_provider_laplas.manifest.journal import Journal
from airflow_provider_laplas.manifest.lease import find_lease
from airflow_provider_laplas.storage import object_storage
from tests.paths import JFK_MP3
from tests.ui.conftest import SAID


@pytest.fixture
def ask(site, world):
    def ask(path, task_id="batch", **more):
        return site.get(f"api/{path}", params=world.query("public", task_id, **more))

    return ask


@pytest.fixture
def manifest(world):
    return world.xcom("public", "batch")["manifest"]


def test_how_far_it_is(ask, manifest):
    got = ask("batch").json()
    assert (got["files"], got["counts"], got["active"]) == (2, {"completed": 2}, False)
    assert (got["audio_seconds"], got["cost"]) == (8.0, "0.08")
    assert got["manifest"] == manifest


def test_its_files(ask, world):
    got = ask("files").json()
    assert (got["total"], got["matching"], got["page"], got["pages"]) == (2, 2, 0, 1)
    assert got["files"][0] == {
        "output": "a.mp3.json",
        "source": str(world.folder / "inbox" / "a.mp3"),
        "state": "completed",
        "generation_id": got["files"][0]["generation_id"],
        "audio_seconds": 4.0,
        "error": None,
        "has_transcript": True,
    }


def test_a_files_transcript_download_and_recording(ask, world):
    for row in ask("files").json()["files"]:
        file = row["output"]
        page = ask("transcript", file=file).json()
        assert (page["text"], page["source"], page["findings"]) == (SAID, row["source"], [])
        assert dict(page["facts"])["Generation"] == row["generation_id"]
        assert page["summary"]["duration"] == 4.0
        assert "file=" in page["audio"]["url"]
        assert ask("download", file=file, format="txt").text == f"{SAID}\n"
        assert ask("audio", file=file).content == JFK_MP3.read_bytes()
        facts = ask("task", file=file).json()
        assert facts["source"] == row["source"]
        assert "file=" in facts["audio"]["url"]


def test_a_decorated_batch_has_the_same_pages(ask):
    rows = ask("files", "decorated").json()["files"]
    assert len(rows) == 2
    assert ask("batch", "decorated").json()["files"] == 2
    players = [ask("task", "decorated", file=row["output"]).json() for row in rows]
    assert sorted(bool(each["audio"]) for each in players) == [False, True]


@pytest.mark.parametrize(
    "file",
    [
        "",
        "b.mp3.json",
        "manifest.json",
        ".manifest/summary.json",
        "../single/x.json",
        "/etc/passwd",
        "a.mp3.json/../../secret.json",
        "s3://bucket/a.json",
        "\0",
        "\ud83d",
    ],
)
def test_only_files_of_the_manifest_are_read(ask, file):
    for path in ("transcript", "download", "audio", "task"):
        got = ask(path, file=file.encode("utf-8", "surrogatepass"))
        assert (got.status_code, list(got.json())) == (404, ["detail"])


def test_single_tasks_are_no_batches(ask):
    for path in ("batch", "files"):
        assert ask(path, "file").status_code == 404
    assert ask("transcript", "file", file="a.mp3.json").status_code == 404


def test_a_manifest_that_was_edited_leads_to_no_other_file(ask, world, manifest):
    (world.folder / "secret.json").write_text('{"text": "nobody else may read this"}')
    changed = Manifest.load(manifest)
    changed.entries[0].output = "../../../secret.json"
    changed.entries[0].source = "/etc/passwd"
    with _rewritten(manifest, changed):
        rows = ask("files").json()["files"]
        assert "../../../secret.json" in [row["output"] for row in rows]
        for path in ("transcript", "download", "audio"):
            got = ask(path, file="../../../secret.json")
            assert (got.status_code, list(got.json())) == (404, ["detail"])


def test_what_another_dag_has_put_into_the_folder_is_not_shown(ask, manifest):
    changed = Manifest.load(manifest)
    changed.owner["dag_id"] = "private"
    with _rewritten(manifest, changed):
        for path in ("files", "transcript"):
            got = ask(path, file="a.mp3.json")
            assert (got.status_code, "Another DAG" in got.json()["detail"]) == (404, True)
    summary = Path(manifest).parent / ".manifest" / "summary.json"
    kept = summary.read_text()
    summary.write_text(json.dumps(json.loads(kept) | {"task": "private/r/t"}))
    try:
        assert ask("batch").status_code == 404
    finally:
        summary.write_text(kept)


@pytest.mark.parametrize(
    "content",
    ["[]", "null", "7", "{}", '{"task": 7}', '{"task": "public/r/t"}', '{"task": "public/r/t", "counts": 7}'],
)
def test_what_is_no_summary_is_answered_with_a_sentence(ask, manifest, content):
    summary = Path(manifest).parent / ".manifest" / "summary.json"
    kept = summary.read_text()
    summary.write_text(content)
    try:
        got = ask("batch")
        assert (got.status_code, list(got.json())) == (404, ["detail"])
    finally:
        summary.write_text(kept)


def test_what_lies_beside_a_transcript_does_not_keep_it_away(ask, world):
    beside = Path(world.xcom("public", "file")["result"]).parent / ".manifest"
    beside.mkdir()
    for content in ("[]", "null", "{}", '{"task": 7}', '{"task": "private/r/t"}'):
        (beside / "summary.json").write_text(content)
        assert ask("transcript", "file").json()["text"] == SAID
    shutil.rmtree(beside)


def test_what_is_noted_meanwhile_is_seen(ask, manifest):
    storage = object_storage()
    before = ask("files").json()["files"]
    lease = find_lease(manifest, storage)
    journal = Journal(manifest, lease.number, storage, number=900)
    for state in (FileState.SUBMITTED, FileState.FAILED, FileState.COMPLETED):
        [first, *_] = Manifest.load(manifest, storage).entries
        first.state = state
        journal.append([first.to_line({"state"})])
        after = ask("files").json()["files"]
        assert [row["state"] for row in after if row["output"] == first.output] == [state]
        assert [row for row in after if row["output"] != first.output] == before[1:]
    for segment in Manifest.gather(manifest, storage)[1]:
        storage.delete(segment.uri)
    assert ask("files").json()["files"] == before


def test_a_transcript_of_which_more_was_noted_is_sent_again(ask, site, world, manifest):
    query = world.query("public", "batch", file="a.mp3.json")
    known = ask("transcript", file="a.mp3.json").headers["ETag"]
    assert site.get("api/transcript", params=query, headers={"If-None-Match": known}).status_code == 304
    changed = Manifest.load(manifest)
    for record in changed.entries:
        record.error = "It was not understood."
    with _rewritten(manifest, changed):
        got = site.get("api/transcript", params=query, headers={"If-None-Match": known})
        assert (got.status_code, got.json()["findings"]) == (200, ["It was not understood."])


def test_the_table_is_searched_filtered_sorted_and_paged(ask, manifest):
    changed = Manifest.load(manifest)
    one = changed.entries[0]
    changed.entries = []
    for number in range(250):
        record = type(one)(f"/in/Tälk {number:03}.mp3", "f", f"t{number}.json", audio_seconds=float(number))
        record.state = FileState.FAILED if number % 5 == 0 else FileState.COMPLETED
        changed.entries.append(record)
    with _rewritten(manifest, changed):
        first = ask("files").json()
        assert (first["total"], first["matching"], first["pages"], len(first["files"])) == (250, 250, 3, 100)
        assert len(ask("files", page=2).json()["files"]) == 50
        assert ask("files", page=3).json()["files"] == []
        found = ask("files", q="TÄLK 01").json()
        assert [row["source"] for row in found["files"]] == [f"/in/Tälk {n:03}.mp3" for n in range(10, 20)]
        failed = ask("files", state="failed").json()
        assert (failed["total"], failed["matching"]) == (250, 50)
        longest = ask("files", sort="length").json()["files"][0]
        assert (longest["audio_seconds"], longest["has_transcript"]) == (249.0, True)
        assert [row["state"] for row in ask("files", sort="state").json()["files"]] == ["completed"] * 100
        assert not ask("files", q="(.*").json()["files"]
        assert ask("files", state="nothing").json()["matching"] == 0
        for wrong in ({"page": -1}, {"page": "x"}, {"page": 10**30}, {"q": "x" * 2000}):
            got = ask("files", **wrong)
            assert (got.status_code, list(got.json())) == (400, ["detail"])


class _rewritten:  # noqa: N801
    """The manifest and its snapshot as they could have been written, as long as the block lasts."""

    def __init__(self, uri, manifest):
        folder = Path(uri).parent / ".manifest" / "snapshots"
        [self._snapshot] = folder.iterdir()
        self._moved = self._snapshot.with_name("kept")
        self._uri, self._manifest = Path(uri), manifest

    def __enter__(self):
        self._kept = self._uri.read_text()
        self._snapshot.rename(self._moved)
        self._uri.write_text(self._manifest.to_json())

    def __exit__(self, *_):
        self._uri.write_text(self._kept)
        self._moved.rename(self._snapshot)
