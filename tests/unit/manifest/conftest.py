"""Manifests in a local folder, without Airflow."""

import pytest
from upath import UPath

from airflow_provider_laplas.storage import Storage

OWNER = {"dag_id": "d", "run_id": "r", "task_id": "other", "map_index": -1}


class Interrupted(Storage):
    """Storage in which somebody else does something before or after each writing."""

    def __init__(self, before=lambda uri: None, after=lambda uri: None):
        super().__init__(UPath)
        self.before, self.after = before, after

    def write_text(self, uri, text):
        self.before(uri)
        super().write_text(uri, text)
        self.after(uri)


@pytest.fixture
def storage():
    return Storage(UPath)


@pytest.fixture
def uri(tmp_path):
    return f"{tmp_path}/out/manifest.json"
