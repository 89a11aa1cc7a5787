"""Batches of a few URLs, whose halves run against a scripted API, with a manifest in a local folder."""

import pytest
from upath import UPath

from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.hooks import shared_client
from airflow_provider_laplas.manifest import FileRecord, Manifest, output_names
from airflow_provider_laplas.manifest.lease import take_lease
from airflow_provider_laplas.storage import Storage

OWNER = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}


@pytest.fixture
def storage():
    return Storage(UPath)


@pytest.fixture
def noted(tmp_path, storage):
    """Read the manifest, as another process would."""
    return lambda: Manifest.load(f"{tmp_path}/manifest.json", storage)


@pytest.fixture
def begin(tmp_path, storage):
    """Make the manifest of so many files that are to come, and write it."""

    def begin(count):
        uri = f"{tmp_path}/manifest.json"
        urls = [f"https://example.com/{n}.mp3" for n in range(count)]
        entries = [
            FileRecord(url, "f", name) for url, name in zip(urls, output_names(urls, None), strict=True)
        ]
        manifest = Manifest(
            uri, OWNER, 0, entries, lease_token=take_lease(uri, OWNER, storage), storage=storage
        )
        manifest.save()
        return manifest

    return begin


def client():
    """The client of the running loop."""
    return shared_client(DEFAULT_CONN_ID)
