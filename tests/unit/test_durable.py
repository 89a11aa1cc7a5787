"""What a try does with what an earlier one left, and what counts as the same work."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
from airflow_provider_laplas.durable import (
    Decision,
    Record,
    RecordStore,
    decide,
    fingerprint,
    fingerprint_request,
    unsigned,
)
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api.calls import Upload

INTENT = Record("work", max_tries=2, deadline=1000.0)
SUBMITTED = dataclasses.replace(INTENT, generation_id="g-1", submitted_at=900.0)
STORED = dataclasses.replace(SUBMITTED, result="file:///g-1.json")


@pytest.mark.parametrize(
    ("record", "fingerprint", "max_tries", "decision"),
    [
        (None, "work", 2, Decision.SUBMIT),
        (INTENT, "other", 2, Decision.SUBMIT),
        (SUBMITTED, "other", 2, Decision.SUBMIT),
        (STORED, "other", 2, Decision.SUBMIT),
        (INTENT, "work", 2, Decision.AMBIGUOUS),
        (INTENT, "work", 5, Decision.SUBMIT),
        (SUBMITTED, "work", 2, Decision.ATTACH),
        (SUBMITTED, "work", 5, Decision.ATTACH),
        (STORED, "work", 2, Decision.TAKE),
        (STORED, "work", 5, Decision.TAKE),
    ],
)
def test_a_try_submits_only_what_cannot_have_been_submitted_before(record, fingerprint, max_tries, decision):
    assert decide(record, fingerprint, max_tries)[0] is decision


class Store(dict):
    """Airflow's state store, in memory; the first writes may fail."""

    failures = 0

    def set(self, key, value):
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the API server is restarting")
        self[key] = value


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


@pytest.mark.parametrize(
    "value", ["", "{", "[]", json.dumps({"fingerprint": "x"}), json.dumps({"new": 1}), {"a": 1}, None]
)
def test_what_cannot_be_read_counts_as_nothing(value):
    assert store_over(Store(laplas=value)).load() is None


def test_a_retry_keeps_the_deadline_and_a_clear_begins_a_new_one():
    retry, cleared = store_over(Store()), store_over(Store(), max_tries=5)
    assert retry.renewed(SUBMITTED, timeout=60, now=5000.0) is SUBMITTED
    assert cleared.renewed(SUBMITTED, timeout=60, now=5000.0) == dataclasses.replace(
        SUBMITTED, max_tries=5, deadline=5060.0
    )


SIGNED = [
    "https://b.s3.amazonaws.com/a.mp3?X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Date={0}&X-Amz-Signature={0}",
    "https://b.s3.amazonaws.com/a.mp3?AWSAccessKeyId=A&Expires={0}&Signature={0}",
    "https://storage.googleapis.com/b/a.mp3?X-Goog-Signature={0}&X-Goog-Date={0}",
    "https://d.cloudfront.net/a.mp3?Expires={0}&Signature={0}&Key-Pair-Id=K",
    "https://x.blob.core.windows.net/c/a.mp3?sv=2024&se={0}&sr=b&sp=r&sig={0}",
]


@pytest.mark.parametrize("url", SIGNED)
def test_a_url_that_is_signed_anew_is_the_same_work(url):
    once, again = url.format("one"), url.format("two")
    assert fingerprint_request(once, "m", {}) == fingerprint_request(again, "m", {})
    assert "one" not in unsigned(once)


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
