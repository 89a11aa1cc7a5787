"""A scripted API on a free port, and a connection of Airflow that leads to it."""

import json

import pytest

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
def look_ups(monkeypatch):
    """The ids of the connections that were looked up on an event loop."""
    return counting_look_ups(monkeypatch)


def counting_look_ups(monkeypatch, *failures):
    """Count the look-ups on an event loop; those whose number is in ``failures`` go wrong."""
    calls = []
    original = LaplasHook.aget_connection.__func__

    async def look_up(cls, conn_id):
        calls.append(conn_id)
        if len(calls) in failures:
            raise ConnectionError("Airflow's API server is restarting")
        return await original(cls, conn_id)

    monkeypatch.setattr(LaplasHook, "aget_connection", classmethod(look_up))
    return calls


def connect(monkeypatch, fake, **extra):
    """Point ``laplas_default`` at a server."""
    connection = {"conn_type": "laplas", "host": fake.url, "password": fake.key, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", json.dumps(connection))
