"""Many waits through one client, over a real wire."""

import asyncio
import logging
import time
from contextvars import ContextVar

import pytest

from airflow_provider_laplas import hooks
from airflow_provider_laplas.api import State
from airflow_provider_laplas.errors import LaplasConfigurationError
from airflow_provider_laplas.hooks import LaplasHook
from airflow_provider_laplas.polling import _shared, shared_client
from airflow_provider_laplas.waiting import Wait
from tests.fake_api import KEY, reply
from tests.wire.conftest import connect


async def the_clients_end():
    """Wait until no client is left; its sockets are closed by then."""
    clients = list(_shared.get(asyncio.get_running_loop(), {}).values())
    async with asyncio.timeout(10):
        while _shared.get(asyncio.get_running_loop()) or any(c.hook._aiohttp for c in clients):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def wait_for_all(ids, *, conn_id="laplas_default", seconds=30.0):
    """Wait for generations side by side and return their states."""

    async def one(generation_id):
        wait = Wait(generation_id, time.time() + seconds, 0.01, rng=lambda: 0.01)
        return (await shared_client(conn_id).wait_for(wait)).state

    async def all_of_them():
        states = await asyncio.gather(*map(one, ids))
        await the_clients_end()
        return states

    return asyncio.run(all_of_them())


def test_the_client_is_closed_when_the_last_wait_leaves(api):
    states = wait_for_all([api.create() for _ in range(20)])
    assert states == [State.COMPLETED] * 20


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
    states = wait_for_all([api.create() for _ in range(10)])
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
    states = wait_for_all([api.create()])
    assert states == [State.COMPLETED]
    assert len(calls) == 3


def test_the_connection_is_looked_up_again_after_some_minutes_and_its_failure_does_no_harm(
    api, monkeypatch, caplog
):
    calls = counting_look_ups(monkeypatch, 2)
    monkeypatch.setattr(hooks, "LOOK_UP_EVERY", 0.0)
    states = wait_for_all([api.create()])
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
    states = wait_for_all(ids)
    assert states == [State.COMPLETED] * 20
    assert len(calls) == 2


def test_waits_that_are_all_given_up_close_the_client_though_their_looks_are_far_off(api):
    async def scenario():
        def wait():
            return Wait(api.create(), time.time() + 3600, 3600.0, started=time.time() - 36_000)

        client = shared_client("laplas_default")
        waits = [asyncio.create_task(client.wait_for(wait())) for _ in range(5)]
        while api.count("GET") < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await the_clients_end()

    api.looks_until_done = 1_000
    asyncio.run(scenario())


def test_old_and_new_waits_take_turns_where_the_budget_is_short(api, monkeypatch):
    connect(monkeypatch, api, max_requests_per_second=200)
    api.looks_until_done = 10
    old, new = [api.create() for _ in range(10)], [api.create() for _ in range(10)]

    async def scenario():
        client = shared_client("laplas_default")
        waits = [Wait(g, time.time() + 60, 0.001, started=time.time() - 3600) for g in old]
        waits += [Wait(g, time.time() + 60, 0.001) for g in new]
        await asyncio.gather(*map(client.wait_for, waits))

    asyncio.run(scenario())
    looks = [request.path.rsplit("/", 1)[1] for request in api.requests]
    # At any time, nobody is ahead of anybody by more than a round or two.
    for end in range(20, len(looks), 20):
        counts = [looks[:end].count(generation_id) for generation_id in [*old, *new]]
        assert max(counts) - min(counts) <= 2


def test_what_is_said_of_a_wait_is_said_where_it_waits(api, monkeypatch):
    """The triggerer tells the logs of its triggers apart by their contexts."""
    whose = ContextVar("whose", default="nobody's")
    said = {}
    observe = Wait.observe

    def observing(self, outcome):
        said.setdefault(whose.get(), set()).add(self.generation_id)
        return observe(self, outcome)

    monkeypatch.setattr(Wait, "observe", observing)
    ids = [api.create() for _ in range(5)]

    async def one(generation_id):
        whose.set(generation_id)
        await shared_client("laplas_default").wait_for(Wait(generation_id, time.time() + 60, 0.01))

    async def all_of_them():
        await asyncio.gather(*map(one, ids))

    asyncio.run(all_of_them())
    assert said == {generation_id: {generation_id} for generation_id in ids}
