"""Which audio, and which request, counts as the same work."""

import hashlib
from types import SimpleNamespace

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.audio.fingerprint import as_known, fingerprint, fingerprint_request
from airflow_provider_laplas.audio.sources import open_listed, open_upload
from airflow_provider_laplas.storage import Storage
from tests.unit.signed import SIGNED


@pytest.mark.parametrize("url", SIGNED)
def test_a_url_that_is_signed_anew_is_the_same_work(url):
    once, again = url.format("one"), url.format("two")
    assert fingerprint_request(once, "m", {}) == fingerprint_request(again, "m", {})


@pytest.mark.parametrize(
    "other",
    [
        ("https://example.com/a?id=2", "m", {}),
        ("https://example.com/a?id=1", "n", {}),
        ("https://example.com/a?id=1", "m", {"diarize": True}),
    ],
)
def test_other_audio_another_model_or_other_options_are_other_work(other):
    assert fingerprint_request(*other) != fingerprint_request("https://example.com/a?id=1", "m", {})


@given(st.dictionaries(st.text(), st.integers() | st.booleans() | st.text()))
def test_the_order_of_options_does_not_matter(options):
    backwards = dict(reversed(options.items()))
    assert fingerprint_request("a", "m", options) == fingerprint_request("a", "m", backwards)


@given(st.text())
def test_any_text_has_a_fingerprint_that_does_not_show_it(audio):
    assert len(fingerprint_request(audio, "m", {})) == 64


def test_another_version_of_a_file_is_other_work_of_the_same_request():
    works = {
        fingerprint("request", Upload("a", size, "x", open, version))
        for size in (1, 2)
        for version in ("a", "2026-01-01")
    }
    assert len(works) == 4
    assert {fingerprint(work, "https://example.com/a") for work in works} == {"request-"}


@pytest.mark.parametrize(
    ("audio", "earlier"),
    [
        (
            "https://a.com/a.mp3?q=a%20b/c&flag",
            "321dc4cbec0fbf4ca7baaaed4d81a57eef34d974467e03f614746a5873e6c19e",
        ),
        ("/in/Interview #1.mp3", "bb1e11218c024cd8c3f08dc1d1bded5f42af1bec66017eaffa8b4ee962d9f501"),
        (
            "https://a.com/a.mp3?X-Amz-Signature=1&x=%7E",
            "d412c68f7298fe56bb3662f235b034758a912ef1ac003d4c8b0a0593602e4721",
        ),
    ],
)
def test_work_of_version_1_is_known_by_the_fingerprint_that_it_wrote(audio, earlier):
    request = (audio, "m", {"language": "de"})
    work = fingerprint_request(*request)
    assert work != earlier
    assert as_known(f"{work}-2-x", f"{earlier}-2-x", *request) == f"{earlier}-2-x"
    assert as_known(work, f"{earlier}-2-x", *request) == earlier
    assert as_known(f"{work}-2-x", f"{earlier}-3-x", *request) == f"{work}-2-x"
    other = (audio, "m", {"language": "fr"})
    assert as_known(f"{work}-2-x", f"{earlier}-2-x", *other) == f"{work}-2-x"


def test_what_version_1_could_not_tell_apart_is_other_work():
    earlier = "2c2cad947288b002bd34babe8507210347fcca315136561a069a81b47f6fdc74-"
    request = ("https://a.com/a.mp3?token=1", "m", {"language": "de"})
    assert as_known(f"{fingerprint_request(*request)}-", earlier, *request) != earlier


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("2-1795875230.7867181", True),
        ("2-1795875230.5", False),
        ("3-1795875230.7867181", False),
        ('2-"etag"', False),
    ],
)
def test_a_file_whose_time_version_1_wrote_in_seconds_is_the_same(version, known):
    """As it did for ``file://`` URIs."""
    work = "f-2-1795875230786718021"
    assert as_known(work, f"f-{version}", "file:///in/a.mp3", "m", {}) == (f"f-{version}" if known else work)


def test_an_etag_that_version_1_took_for_the_version_is_known():
    work = fingerprint_request("gs://b/a.mp3", "m", {})
    earlier = f"{work}-3-CAE="
    assert as_known(f"{work}-3-17", earlier, "gs://b/a.mp3", "m", {}, etag="CAE=") == earlier
    assert as_known(f"{work}-3-17", earlier, "gs://b/a.mp3", "m", {}, etag="CAI=") == f"{work}-3-17"


@pytest.mark.parametrize("version", ["{hash}", "of-no-content"])
def test_what_is_submitted_is_known_by_the_version_that_was_read(tmp_path, version):
    """A recording that is replaced by one of the same size between its listing and its turn."""

    class Versioned(MemoryFileSystem):
        cachable = False

        def info(self, path, **_):
            content = self.cat_file(path)
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            etag = version.format(hash=digest) if content == b"old" else digest
            return {"name": path, "size": len(content), "type": "file", "ETag": etag}

    filesystem = Versioned()
    storage = Storage(lambda _: SimpleNamespace(fs=filesystem, path="/versions"))
    uri = f"memory://b/{tmp_path.name}.mp3"
    storage.write_text(uri, "old")
    listed = fingerprint("work", open_upload(uri, storage))
    assert fingerprint(listed, open_listed(uri, listed, storage)) == listed
    storage.write_text(uri, "new")
    assert fingerprint(listed, open_listed(uri, listed, storage)) != listed
