"""Which audio, and which request, counts as the same work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.audio.fingerprint import fingerprint, fingerprint_request
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
