"""The transcript of a task, as the page's JSON and as downloads; and the recording, by ranges."""

import base64
import json
import tracemalloc
import zlib

import pytest

from airflow_provider_laplas.results import load_reply
from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.ui.app import make_app
from airflow_provider_laplas.ui.audio import BLOCK
from airflow_provider_laplas.ui.replies import LARGEST
from tests.fake_api import transcript_reply
from tests.paths import JFK_MP3
from tests.ui.conftest import SAID

WITH_TRANSCRIPT = ["file", "xcom", "doubted", "sensor"]


@pytest.mark.parametrize("task_id", WITH_TRANSCRIPT)
def test_the_transcript_has_its_words(site, world, task_id):
    got = site.get("api/transcript", params=world.query("public", task_id)).json()
    assert got["text"] == SAID
    [paragraph] = got["paragraphs"]
    assert [word[0] for word in paragraph["words"]] == SAID.split()


@pytest.mark.parametrize("task_id", WITH_TRANSCRIPT)
def test_an_unchanged_transcript_is_not_sent_again(site, world, task_id):
    query = world.query("public", task_id)
    first = site.get("api/transcript", params=query)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = site.get("api/transcript", params=query, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert site.get("api/transcript", params=query, headers={"If-None-Match": '"other"'}).status_code == 200
    # Who may not read it is not told that it is unchanged.
    private = world.query("private", task_id)
    etag = site.get("api/transcript", params=private).headers["ETag"]
    got = site.get("api/transcript", "stranger", params=private, headers={"If-None-Match": etag})
    assert got.status_code == 403


@pytest.mark.parametrize("task_id", WITH_TRANSCRIPT)
def test_every_format_is_made_on_the_fly(site, world, task_id):
    def download(wanted):
        return site.get("api/download", params=world.query("public", task_id, format=wanted))

    reply = download("json")
    assert Transcript.from_json(reply.text).text == SAID
    assert download("txt").text == f"{SAID}\n"
    assert download("vtt").text.startswith("WEBVTT\n")
    assert download("srt").text.startswith("1\n00:00:00,000 --> ")
    for wanted in ("json", "txt", "vtt", "srt"):
        got = download(wanted)
        disposition = got.headers["Content-Disposition"]
        assert disposition.startswith("attachment; ")
        assert disposition.endswith(f".{wanted}")
        assert got.headers["Cache-Control"] == "private, no-store"
    wrong = download("exe")
    assert (wrong.status_code, list(wrong.json())) == (400, ["detail"])


def test_the_reply_is_downloaded_as_it_was_stored(site, world):
    got = site.get("api/download", params=world.query("public", "file", format="json"))
    assert got.json() == load_reply(world.xcom("public", "file")["result"])


HOSTILE = (
    "<script>alert(1)</script> </script><img src=x onerror=alert(1)> half \ud83d pair \u202eevil \0 "
    + "long" * 25_000
)


def test_a_hostile_transcript_gets_through_as_text(site, world, fake_api):
    result = world.xcom("public", "file")["result"]
    kept = load_reply(result)
    with open(result, "w") as file:  # noqa: PTH123
        json.dump(transcript_reply(HOSTILE), file)
    try:
        got = site.get("api/transcript", params=world.query("public", "file"))
        assert got.content.isascii()
        assert got.headers["Content-Type"] == "application/json"
        words = [word[0] for word in got.json()["paragraphs"][0]["words"]]
        assert words[0] == "<script>alert(1)</script>"
        assert "\u202eevil" in words
        assert words[-1] == "long" * 25_000
        for wanted in ("json", "txt", "vtt", "srt"):
            assert site.get("api/download", params=world.query("public", "file", format=wanted)).ok
    finally:
        with open(result, "w") as file:  # noqa: PTH123
            json.dump(kept, file)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"', '{"a": 1}', "\ud83d", "{}" * 1000])
def test_what_is_no_transcript_is_a_404_with_a_sentence(site, world, content):
    result = world.xcom("public", "file")["result"]
    kept = load_reply(result)
    with open(result, "wb") as file:  # noqa: PTH123
        file.write(content.encode("utf-8", "surrogatepass"))
    try:
        got = site.get("api/transcript", params=world.query("public", "file"))
        assert (got.status_code, list(got.json())) == (404, ["detail"])
    finally:
        with open(result, "w") as file:  # noqa: PTH123
            json.dump(kept, file)


def test_an_edited_xcom_that_unpacks_to_much_more_is_not_unpacked_whole(site, world, xcom):
    space = zlib.compressobj(wbits=31)
    bomb = b"".join([*(space.compress(bytes(LARGEST // 8)) for _ in range(9)), space.flush()])
    assert len(bomb) < LARGEST / 500
    xcom("public", "xcom", "reply", {"encoding": "gzip", "data": base64.b64encode(bomb).decode()})
    tracemalloc.start()
    try:
        got = site.get("api/transcript", params=world.query("public", "xcom"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (got.status_code, "larger than" in got.json()["detail"]) == (404, True)
    assert most < 4 * LARGEST


def test_a_file_that_is_larger_than_any_transcript_is_not_read(site, world):
    result = world.xcom("public", "file")["result"]
    kept = load_reply(result)
    with open(result, "r+b") as file:  # noqa: PTH123
        file.truncate(LARGEST + 1)
    try:
        got = site.get("api/transcript", params=world.query("public", "file"))
        assert (got.status_code, "larger than" in got.json()["detail"]) == (404, True)
    finally:
        with open(result, "w") as file:  # noqa: PTH123
            json.dump(kept, file)


class TestRecording:
    @pytest.fixture
    def get(self, site, world):
        def get(task_id="file", user="admin", method="GET", **headers):
            asked = {
                "Accept-Encoding": "gzip",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            }
            return site.get(
                "api/audio", user, method=method, headers=asked, params=world.query("public", task_id)
            )

        return get

    CONTENT = JFK_MP3.read_bytes()

    def test_it_is_sent_whole_and_by_ranges(self, get):
        whole = get()
        assert (whole.status_code, whole.content) == (200, self.CONTENT)
        assert whole.headers["Content-Type"] == "audio/mpeg"
        assert whole.headers["Accept-Ranges"] == "bytes"
        assert int(whole.headers["Content-Length"]) == len(self.CONTENT)
        part = get(Range="bytes=100-199")
        assert (part.status_code, part.content) == (206, self.CONTENT[100:200])
        assert part.headers["Content-Range"] == f"bytes 100-199/{len(self.CONTENT)}"
        assert get(Range="bytes=-7").content == self.CONTENT[-7:]
        everything = get(Range="bytes=0-")
        assert (everything.status_code, everything.content) == (206, self.CONTENT)

    def test_a_range_behind_its_end_is_refused(self, get):
        got = get(Range=f"bytes={len(self.CONTENT)}-")
        assert (got.status_code, got.content) == (416, b"")
        assert got.headers["Content-Range"] == f"bytes */{len(self.CONTENT)}"

    def test_a_range_of_another_version_is_the_whole(self, get):
        etag = get().headers["ETag"]
        assert get(Range="bytes=0-9", If_Range=etag).status_code == 206
        other = get(Range="bytes=0-9", If_Range='"other"')
        assert (other.status_code, other.content) == (200, self.CONTENT)

    def test_its_head_says_the_same_without_it(self, get):
        got = get(method="HEAD", Range="bytes=10-19")
        assert (got.status_code, got.content, got.headers["Content-Length"]) == (206, b"", "10")

    def test_a_sensors_source_is_played_as_well(self, get):
        assert get("sensor").content == self.CONTENT

    @pytest.mark.parametrize("task_id", ["xcom", "doubted", "batch", "other", "submit"])
    def test_what_does_not_lie_in_storage_is_a_404_with_a_sentence(self, get, task_id):
        got = get(task_id)
        assert (got.status_code, list(got.json())) == (404, ["detail"])

    @pytest.mark.parametrize("content", [b"[core]\nfernet_key = secret\n", b"", b"<svg onload=alert(1)>"])
    def test_a_file_that_is_no_recording_is_not_sent(self, get, world, content):
        # As whoever starts a run may name any file where `audio` is a template.
        file = world.folder / "talk.mp3"
        file.write_bytes(content)
        try:
            got = get()
            assert got.status_code == 404
            assert "not a recording" in got.json()["detail"]
            assert b"fernet" not in got.content
        finally:
            file.write_bytes(self.CONTENT)

    def test_a_long_one_is_read_a_block_at_a_time(self, get, world):
        long = self.CONTENT[:100] + bytes(range(256)) * (BLOCK // 256) * 3
        file = world.folder / "talk.mp3"
        file.write_bytes(long)
        try:
            assert get().content == long
            assert get(Range=f"bytes=50-{2 * BLOCK}").content == long[50 : 2 * BLOCK + 1]
        finally:
            file.write_bytes(self.CONTENT)

    def test_one_that_was_deleted_is_a_404(self, get, world):
        file = world.folder / "talk.mp3"
        file.unlink()
        try:
            assert get().status_code == 404
        finally:
            file.write_bytes(self.CONTENT)


def test_no_route_takes_a_path(site, world):
    query = world.query("public", "file")
    for name in ("path", "uri", "source", "result", "results_path", "audio", "manifest"):
        got = site.get("api/transcript", params=query | {name: "/etc/passwd"})
        assert got.json()["text"] == SAID
    parameters = {
        parameter.alias
        for route in make_app().routes
        if hasattr(route, "dependant")
        for parameter in _query(route)
    }
    assert parameters <= {
        *("dag_id", "run_id", "task_id", "map_index"),
        *("file", "format", "q", "state", "sort", "page"),
    }


def _query(route):
    from fastapi.dependencies.utils import get_flat_dependant  # noqa: PLC0415

    return get_flat_dependant(route.dependant).query_params
