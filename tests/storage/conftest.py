"""Buckets of the emulators, which are started once, by the first test that needs one."""

import itertools
import logging

import pytest

from airflow_stack.processes import await_condition, end
from tests.storage.emulators import S3, Azure, Bucket, Disk, GoogleStorage

START_SECONDS = 60.0

# Each request and its headers, otherwise.
logging.getLogger("azure").setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def emulators(tmp_path_factory):
    """All of them, by the schemes of their URIs; one that does not start fails every test."""
    folder = tmp_path_factory.mktemp("emulators")
    stores = [kind(folder) for kind in (S3, GoogleStorage, Azure)]
    programs = [store.program for store in stores]
    with pytest.MonkeyPatch.context() as patch:
        try:
            for store in stores:
                store.program.start()
                for name, value in store.variables().items():
                    patch.setenv(name, value)
            for store in stores:
                await_condition(
                    store.answers, timeout=START_SECONDS, what=store.program.name, programs=[store.program]
                )
            with stores[0].proxy, stores[1].proxy, stores[2].proxy:
                yield {store.scheme: store for store in stores}
        finally:
            end(programs)


@pytest.fixture(scope="session")
def numbers():
    return itertools.count()


@pytest.fixture(params=["file", "s3", "gs", "abfs"])
def bucket(request, tmp_path, numbers):
    """An empty bucket on each protocol, or a folder."""
    if request.param == "file":
        return Bucket(Disk(tmp_path), "bucket")
    return Bucket(request.getfixturevalue("emulators")[request.param], f"bucket-{next(numbers)}")


@pytest.fixture(params=["s3", "gs", "abfs"])
def remote(request, emulators, numbers):
    """An empty bucket on each protocol but that of a disk."""
    return Bucket(emulators[request.param], f"bucket-{next(numbers)}")


@pytest.fixture
def s3_bucket(emulators, numbers):
    """Make empty buckets on S3, with a name or a URI of their own."""

    def make(prefix="bucket", root="{root}"):
        name = f"{prefix}-{next(numbers)}"
        return Bucket(emulators["s3"], name, root=root.format(root=emulators["s3"].root(name), name=name))

    return make
