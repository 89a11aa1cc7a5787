"""Batches of seven URLs, or of three recordings; and what their manifest says."""

from itertools import chain, repeat

import pytest

from airflow_provider_laplas.manifest import FileState, Manifest
from airflow_provider_laplas.manifest.lease import find_lease, take_lease
from airflow_provider_laplas.manifest.state import BatchState, Tally
from airflow_provider_laplas.operators import TranscribeBatchOperator
from airflow_provider_laplas.storage import object_storage

URLS = [f"https://example.com/{n}.mp3" for n in range(7)]

OTHER = {"dag_id": "d", "run_id": "r", "task_id": "other", "map_index": -1}
"""Another task, which is at work on the same folder."""

BOTH = pytest.mark.parametrize("deferrable", [True, False], ids=["deferrable", "in place"])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def run_and_clear(dag, run_dag):
    """Run the DAG, and at every further call clear its tasks and run them again, as a user does."""
    actions = chain([run_dag], repeat(run_dag.clear))
    return lambda: next(actions)(dag)


@pytest.fixture
def recordings(tmp_path):
    """Three files in two folders, and one that is no audio by its name."""
    folder = tmp_path / "inbox"
    for name, content in {
        "a.mp3": b"one",
        "talks/a.mp3": b"two",
        "talks/b.wav": b"one",
        "notes.txt": b"x",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def batch(out, **kwargs):
    return TranscribeBatchOperator(
        **({"task_id": "batch", "results_path": str(out), "poke_interval": 0.1} | kwargs)
    )


def manifest_of(out):
    return Manifest.load(f"{out}/manifest.json")


def rewrite(manifest):
    """Write a manifest that was changed, as the last task could have left it."""
    storage = object_storage()
    manifest.fold([], find_lease(manifest.uri, storage), storage)


def begin_as(owner, out, records):
    """Begin a batch as another task does, which is at work from here on."""
    uri, storage = f"{out}/manifest.json", object_storage()
    lease = take_lease(uri, owner, storage, after=find_lease(uri, storage))
    tally = Tally(lease.number)
    for record in records:
        tally.add(record)
    state = BatchState(lease, storage, tally, max_tries=0)
    for record in records:
        if record.state is not FileState.PENDING:
            state.add(record)
    state.begin(
        [record for record in records if record.state is FileState.PENDING],
        [record.to_line() for record in records if record.state is not FileState.PENDING],
        {"owner": owner, "max_tries": 0, "began_lease": lease.number},
    )
    return state


def states_of(out):
    return [str(entry.state) for entry in manifest_of(out).entries]
