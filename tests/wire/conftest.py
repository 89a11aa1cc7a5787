"""A scripted API on a free port, and a connection that leads to it."""

import json
from collections import Counter

import pytest

from airflow_provider_laplas import airflow_compat
from airflow_provider_laplas import api as core
from airflow_provider_laplas.hooks import LaplasHook
from tests.fake_api import FakeAPI


@pytest.fixture
def api(monkeypatch):
    with FakeAPI() as fake:
        connect(monkeypatch, fake)
        yield fake


@pytest.fixture
def hook(api):
    with LaplasHook() as hook:
        yield hook


@pytest.fixture
def counted(monkeypatch):
    """What was counted: the sum of each counter, and of each duration how often it was sent."""
    sums = Counter()

    class Stats:
        @staticmethod
        def incr(name, count=1):
            sums[name] += count

        @staticmethod
        def timing(name, duration):
            sums[name] += 1

    monkeypatch.setattr(airflow_compat.METRICS, "_stats", Stats)
    return sums


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch):
    """Pauses are the core's own, a hundredth as long: what is waited for here is the wire."""
    pause = core.backoff
    monkeypatch.setattr(core, "backoff", lambda *args, **kwargs: pause(*args, **kwargs) / 100)


@pytest.fixture(autouse=True)
def no_remembered_part_name(monkeypatch):
    monkeypatch.setattr(LaplasHook, "_part_names", {})


def connect(monkeypatch, fake, **extra):
    """Point ``laplas_default`` at a server."""
    connection = {"conn_type": "laplas", "host": fake.url, "password": fake.key, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", json.dumps(connection))
