"""A scripted API on a free port, and a connection of Airflow that leads to it."""

import json

import pytest

from airflow_provider_laplas.hooks import LaplasHook
from tests.airflow_names import LOOKS_UP_ON_THE_LOOP
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
    """The ids of the connections that were looked up for an event loop."""
    return counting_look_ups(monkeypatch)


def counting_look_ups(monkeypatch, *failures):
    """Count the look-ups for an event loop; those whose number is in ``failures`` go wrong."""
    calls = []
    name = "aget_connection" if LOOKS_UP_ON_THE_LOOP else "get_connection"
    original = getattr(LaplasHook, name).__func__

    # A coroutine, where that is what the original returns.
    def look_up(cls, conn_id):
        calls.append(conn_id)
        if len(calls) in failures:
            raise ConnectionError("Airflow's API server is restarting")
        return original(cls, conn_id)

    monkeypatch.setattr(LaplasHook, name, classmethod(look_up))
    return calls


def connect(monkeypatch, fake, **extra):
    """Point ``laplas_default`` at a server."""
    connection = {"conn_type": "laplas", "host": fake.url, "password": fake.key, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", json.dumps(connection))
