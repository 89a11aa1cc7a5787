"""Batches in a local folder, without Airflow."""

import pytest
from upath import UPath

from airflow_provider_laplas.manifest import FileRecord, FileState
from airflow_provider_laplas.manifest.lease import find_lease, take_lease
from airflow_provider_laplas.manifest.state import BatchState, Tally
from airflow_provider_laplas.storage import Storage

OWNER = {"dag_id": "d", "run_id": "r", "task_id": "other", "map_index": -1}


@pytest.fixture
def storage():
    return Storage(UPath)


@pytest.fixture
def uri(tmp_path):
    return f"{tmp_path}/out/manifest.json"


@pytest.fixture
def take(uri, storage):
    """Take the batch's lease."""
    return lambda owner=OWNER: take_lease(uri, owner, storage, after=find_lease(uri, storage))


@pytest.fixture
def begin(take, storage):
    """Begin a batch with some files."""

    def begin(*records, owner=OWNER):
        lease = take(owner)
        tally = Tally(lease.number)
        for record in records:
            tally.add(record)
        state = BatchState(lease, storage, tally, max_tries=0)
        others = [record for record in records if record.state is not FileState.PENDING]
        for record in others:
            state.add(record)
        state.begin(
            [record for record in records if record.state is FileState.PENDING],
            [record.to_line() for record in others],
            {"owner": owner, "max_tries": 0, "began_lease": lease.number},
        )
        return state

    return begin


def files(*outputs, **facts):
    return [FileRecord(f"{output}.mp3", "f", output, **facts) for output in outputs]
