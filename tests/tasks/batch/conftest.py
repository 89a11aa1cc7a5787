"""Batches of seven URLs, or of three recordings; and what their manifest says."""

import json
from itertools import chain, repeat

import pytest

from airflow_provider_laplas.manifest import Manifest
from airflow_provider_laplas.operators import TranscribeBatchOperator
from airflow_provider_laplas.storage import write_text

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
        **({"task_id": "batch", "results_path": str(out), "poke_interval": 1} | kwargs)
    )


def manifest_of(out):
    return Manifest.load(f"{out}/manifest.json")


def manifest_to_change(out):
    """Take the lease of the batch, and return its manifest."""
    _, manifest = Manifest.take_over(f"{out}/manifest.json", OTHER)
    return manifest


def rewrite(out, **changes):
    """Change the manifest and all journals, which no writer does."""
    for path in (out / "manifest.json", *(out / ".manifest").glob("*.json")):
        write_text(str(path), json.dumps(json.loads(path.read_text()) | changes))


def states_of(out):
    return [str(entry.state) for entry in manifest_of(out).entries]
