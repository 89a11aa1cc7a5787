"""Many waits through one client, over a real wire."""

import asyncio
import logging
import time

import pytest

from airflow_provider_laplas import hooks
from airflow_provider_laplas.api import State
from airflow_provider_laplas.errors import LaplasConfigurationError
from airflow_provider_laplas.hooks import LaplasHook
from airflow_provider_laplas.polling import _shared, shared_client
from airflow_provider_laplas.waiting import Wait
from tests.fake_api import KEY, reply
from tests.wire.conftest import connect


def wait_for_all(ids, *, conn_id="laplas_default", seconds=30.0):
    """Wait for generations side by side and return their states."""

    async def one(generation_id):
        async with shared_client(conn_id) as client:
            wait = Wait(generation_id, time.time() + seconds, 0.01, rng=lambda: 0.01)
            return (await client.wait_for(wait)).state

    async def all_of_them():
        states = await asyncio.gather(*map(one, ids))
        return states, dict(_shared.get(asyncio.get_running_loop(), {}))

    return asyncio.run(all_of_them())


def test_the_client_is_closed_when_the_last_wait_leaves(api):
    states, left = wait_for_all([api.create() for _ in range(20)])
    assert states == [State.COMPLETED] * 20
    assert left == {}


def test_the_budget_is_kept_however_many_wait_and_said_in_the_log(api, monkeypatch, caplog):
    connect(monkeypatch, api, max_requests_per_second=100)
    with caplog.at_level(logging.INFO):
        started = time.monotonic()
        wait_for_all([api.create() for _ in range(30)])
        took = time.monotonic() - started
    assert api.count("GET") <= 100 * took + 1
    assert "at most 100 requests a second" in caplog.text


def test_a_429_slows_all_waits_down_and_ends_none(api, monkeypatch, caplog):
    connect(monkeypatch, api, max_requests_per_second=1000)
    api.script("GET", *[reply(429, headers=[("Retry-After", "0")])] * 3)
    states, _ = wait_for_all([api.create() for _ in range(10)])
    assert states == [State.COMPLETED] * 10
    assert "fewer requests" in caplog.text


def test_a_connection_that_is_missing_ends_a_wait_by_name(api):
    with pytest.raises(LaplasConfigurationError, match="no connection `nowhere`"):
        wait_for_all([api.create()], conn_id="nowhere")


def counting_look_ups(monkeypatch, *failures):
    """Count the connection look-ups; those whose number is in ``failures`` go wrong."""
    calls = []
    original = LaplasHook.aget_connection.__func__

    async def look_up(cls, conn_id):
        calls.append(conn_id)
        if len(calls) in failures:
            raise ConnectionError("Airflow's API server is restarting")
        return await original(cls, conn_id)

    monkeypatch.setattr(LaplasHook, "aget_connection", classmethod(look_up))
    return calls


def test_a_first_look_up_that_fails_does_not_end_a_wait(api, monkeypatch):
    calls = counting_look_ups(monkeypatch, 1, 2)
    states, _ = wait_for_all([api.create()])
    assert states == [State.COMPLETED]
    assert len(calls) == 3


def test_the_connection_is_looked_up_again_after_some_minutes_and_its_failure_does_no_harm(
    api, monkeypatch, caplog
):
    calls = counting_look_ups(monkeypatch, 2)
    monkeypatch.setattr(hooks, "LOOK_UP_EVERY", 0.0)
    states, _ = wait_for_all([api.create()])
    assert states == [State.COMPLETED]
    assert len(calls) > 2
    assert "could not be looked up again" in caplog.text


def test_a_replaced_key_is_looked_up_once_for_all_waits(api, monkeypatch):
    calls = counting_look_ups(monkeypatch)
    ids = [api.create() for _ in range(20)]
    judged = Wait.observe

    def rotate(self, outcome):
        if api.key == KEY:
            api.key = "a-new-key"
            connect(monkeypatch, api)
        return judged(self, outcome)

    monkeypatch.setattr(Wait, "observe", rotate)
    states, _ = wait_for_all(ids)
    assert states == [State.COMPLETED] * 20
    assert len(calls) == 2
