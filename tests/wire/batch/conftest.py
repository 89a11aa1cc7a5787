"""Batches of a few URLs, whose halves run against a scripted API, with a journal in a local folder."""

import pytest
from upath import UPath

from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.hooks import shared_client
from airflow_provider_laplas.manifest import FileRecord, Manifest, output_name
from airflow_provider_laplas.manifest.lease import take_lease
from airflow_provider_laplas.manifest.state import BatchState, Tally
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
    """Begin a batch of so many files that are to come."""

    def begin(count):
        lease = take_lease(f"{tmp_path}/manifest.json", OWNER, storage, after=None)
        urls = [f"https://example.com/{n}.mp3" for n in range(count)]
        records = [FileRecord(url, "f", output_name(url, None)) for url in urls]
        tally = Tally(lease.number)
        for record in records:
            tally.add(record)
        state = BatchState(lease, storage, tally, max_tries=0)
        state.begin(records, [], {"owner": OWNER, "max_tries": 0, "began_lease": lease.number})
        return state

    return begin


def client():
    """The client of the running loop."""
    return shared_client(DEFAULT_CONN_ID)
