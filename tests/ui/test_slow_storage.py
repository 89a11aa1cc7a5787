"""A storage that does not answer holds up those who wait for it, and nothing else of Airflow's API server."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow import settings

from airflow_provider_laplas.storage import LOCAL, Storage
from airflow_stack.processes import await_condition
from tests.ui.conftest import SAID

MANY = 60
"""More requests than the API server has threads, or connections to its database."""


class Stuck(Storage):
    """A storage that answers once it may."""

    def __init__(self):
        super().__init__(None)
        self.may_answer = threading.Event()
        self.waiting = 0
        self._lock = threading.Lock()

    def _answer(self, method, *args):
        with self._lock:
            self.waiting += 1
        assert self.may_answer.wait(60)
        return getattr(LOCAL, method)(*args)

    def info(self, uri):
        return self._answer("info", uri)

    def read_text(self, uri):
        return self._answer("read_text", uri)

    def list_files(self, folder, *, recursive=True):
        return self._answer("list_files", folder)


@pytest.fixture
def stuck(monkeypatch):
    storage = Stuck()
    for module in ("app", "task"):
        monkeypatch.setattr(f"airflow_provider_laplas.ui.{module}.object_storage", lambda: storage)
    yield storage
    storage.may_answer.set()


ASKED = [
    ("transcript", "file", {}),
    ("audio", "file", {}),
    ("batch", "batch", {}),
    ("files", "batch", {}),
    ("transcript", "batch", {"file": "a.mp3.json"}),
]


@pytest.mark.parametrize(("path", "task_id", "more"), ASKED, ids=str)
def test_it_takes_neither_airflows_threads_nor_its_connections(site, world, stuck, path, task_id, more):
    with ThreadPoolExecutor(MANY) as threads:
        query = world.query("public", task_id, **more)
        waiting = [threads.submit(site.get, f"api/{path}", params=query) for _ in range(MANY)]
        try:
            await_condition(lambda: stuck.waiting, what="the storage to be asked")
            await_condition(
                lambda: settings.engine.pool.checkedout() == 0,
                what="the connections to be free",
            )
            for task in ("file", "other", "batch"):
                assert site.get("api/task", params=world.query("public", task)).status_code == 200
        finally:
            stuck.may_answer.set()
        answers = [each.result() for each in waiting]
    assert {each.status_code for each in answers} == {200}
    if path == "transcript":
        assert {each.json()["text"] for each in answers} == {SAID}
