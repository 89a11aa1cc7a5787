"""A storage that fails, or takes a connection and says nothing."""

import time

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.storage import Storage

PATIENCE = 1.0


@pytest.fixture
def storage():
    return Storage(ObjectStoragePath, call_timeout=PATIENCE)


def calls(bucket, storage):
    uri = bucket.uri("in/a.json")
    return {
        "write_text": lambda: storage.write_text(uri, "new"),
        "create": lambda: storage.create(bucket.uri("in/lease"), "mine"),
        "read_text": lambda: storage.read_text(uri),
        "info": lambda: storage.info(uri),
        "exists": lambda: storage.exists(uri),
        "list_files": lambda: storage.list_files(bucket.uri("in")),
        "delete": lambda: storage.delete(uri),
    }


@pytest.mark.parametrize("call", ["write_text", "create", "read_text", "exists", "list_files", "delete"])
def test_a_storage_that_says_nothing_is_given_up_and_used_again(remote, storage, call):
    remote.put("in/a.json", b"old")
    # The file system is opened first.
    assert storage.read_text(remote.uri("in/a.json")) == "old"
    began = time.monotonic()
    with remote.proxy.hanging(), pytest.raises(LaplasStorageError, match="does not answer"):
        calls(remote, storage)[call]()
    # While a listing takes long, it is asked whether the storage answers at all.
    assert time.monotonic() - began < PATIENCE * (2 if call == "list_files" else 1) + 2
    assert remote.get("in/a.json") == b"old"
    calls(remote, storage)[call]()


@pytest.mark.parametrize("call", ["write_text", "read_text", "list_files"])
def test_a_storage_that_is_out_of_order_is_an_error_that_names_the_file(remote, storage, call):
    remote.put("in/a.json", b"old")
    assert storage.read_text(remote.uri("in/a.json")) == "old"
    # The libraries repeat a 503, for longer than a call may take; nothing of a write arrives.
    with remote.proxy.answering(503), pytest.raises(LaplasStorageError) as failed:
        calls(remote, storage)[call]()
    assert f"{remote.root}/in" in str(failed.value)
    assert remote.get("in/a.json") == b"old"
    calls(remote, storage)[call]()


def test_an_outage_of_s3_that_is_over_in_time_is_not_noticed(s3_bucket):
    bucket, storage = s3_bucket(), Storage(ObjectStoragePath)
    with bucket.proxy.answering(503, times=1):
        storage.write_text(bucket.uri("in/a.json"), "new")
    assert bucket.get("in/a.json") == b"new"
    assert [request.status for request in bucket.proxy.requests] == [503, 200]
