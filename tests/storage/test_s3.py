"""What differs from bucket to bucket on S3."""

import pytest

from airflow_provider_laplas.audio.sources import list_audio
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.storage import object_storage


@pytest.fixture
def storage():
    return object_storage()


def check(bucket, storage):
    """Every call, once."""
    assert storage.create(bucket.uri("in [1]/a?.json"), "text")
    assert not storage.create(bucket.uri("in [1]/a?.json"), "other")
    storage.write_text(bucket.uri("in [1]/b#.json"), "more")
    assert bucket.keys() == {"in [1]/a?.json", "in [1]/b#.json"}
    assert bucket.get("in [1]/a?.json") == b"text"
    assert set(storage.list_files(bucket.root)) == bucket.keys()
    assert set(storage.list_files(bucket.uri("in [1]"))) == {"a?.json", "b#.json"}
    assert storage.read_text(bucket.uri("in [1]/b#.json")) == "more"
    assert storage.info(bucket.uri("in [1]/b#.json")).size == 4
    assert storage.exists(bucket.uri("in [1]/b#.json"))
    bucket.put("in [1]/c.json", b"new")
    assert storage.exists(bucket.uri("in [1]/c.json"))
    assert len(storage.list_files(bucket.root)) == 3
    storage.delete(bucket.uri("in [1]/a?.json"))
    assert bucket.keys() == {"in [1]/b#.json", "in [1]/c.json"}


def test_a_uri_without_a_connection_uses_the_credentials_of_the_environment(s3_bucket, storage):
    bucket = s3_bucket(root="s3://{name}")
    check(bucket, storage)
    # One more, to find out whether the storage refuses to create what is there.
    assert bucket.proxy.count()["PUT"] == 4


def test_a_bucket_that_does_not_exist_is_no_empty_folder(s3_bucket, storage):
    bucket = s3_bucket()
    assert list_audio(bucket.uri("in"), storage)[1] == {}
    with pytest.raises(LaplasArgumentError, match="bucket that does not exist"):
        list_audio(bucket.uri("in").replace("bucket-", "no-such-bucket-"), storage)


def test_a_bucket_may_have_dots_in_its_name(s3_bucket, storage):
    check(s3_bucket("recordings.example.com"), storage)


def test_a_versioned_bucket_keeps_one_version_for_each_write(s3_bucket, storage):
    bucket = s3_bucket("versioned")
    bucket.store.keep_versions(bucket.name)
    for text in ("one", "two", "three"):
        storage.write_text(bucket.uri("a.json"), text)
    assert storage.create(bucket.uri("lease"), "mine")
    assert not storage.create(bucket.uri("lease"), "yours")
    assert bucket.store.versions(bucket.name) == (["a.json", "a.json", "a.json", "lease"], [])
    assert storage.read_text(bucket.uri("a.json")) == "three"
    storage.delete(bucket.uri("lease"))
    assert not storage.exists(bucket.uri("lease"))
    assert set(storage.list_files(bucket.root)) == {"a.json"}
    assert storage.create(bucket.uri("lease"), "yours")


def test_who_may_not_delete_can_do_all_else(s3_bucket, storage):
    bucket = s3_bucket()
    with bucket.proxy.answering(403, "DELETE", "DELETE-MANY"):
        storage.write_text(bucket.uri("a.json"), "one")
        storage.write_text(bucket.uri("a.json"), "two")
        assert storage.create(bucket.uri("lease"), "mine")
        assert storage.read_text(bucket.uri("a.json")) == "two"
        assert set(storage.list_files(bucket.root)) == {"a.json", "lease"}
        assert "DELETE" not in bucket.proxy.count()
        with pytest.raises(LaplasStorageError, match="s3:DeleteObject") as refused:
            storage.delete(bucket.uri("lease"))
    assert "s3:DeleteObject" in refused.value.permission
    assert bucket.keys() == {"a.json", "lease"}
