"""Many waits on one client, over a real wire."""

import asyncio
import logging
import time
from contextvars import ContextVar

import pytest

from airflow_provider_laplas.api.poller import LAST_POLLS, Poller
from airflow_provider_laplas.api.responses import State
from airflow_provider_laplas.client.client import ATTEMPTS
from airflow_provider_laplas.errors import (
    LaplasConfigurationError,
    LaplasGenerationTimeoutError,
    LaplasRateLimitError,
    LaplasTransportError,
)
from tests.fake_api import reply, until_closed
from tests.wire.client.test_waiting import poller_of, replace_key


def wait_for_all(api, client, ids, **kwargs):
    """Wait for generations side by side and return their states; the sockets are closed then."""

    async def all_of_them():
        generations = await asyncio.gather(*(client.wait_for(poller_of(one, **kwargs)) for one in ids))
        await until_closed(api)
        return [generation.state for generation in generations]

    return asyncio.run(all_of_them())


def test_the_client_is_idle_and_its_sockets_are_closed_when_the_last_wait_leaves(api, clients):
    idle = []
    client = clients.rate_limited(when_idle=idle.append)
    assert wait_for_all(api, client, [api.create() for _ in range(20)]) == [State.COMPLETED] * 20
    assert idle == [client]


def test_the_budget_is_kept_however_many_wait_and_said_in_the_log(api, clients, caplog):
    clients.fields["max_requests_per_second"] = 100
    with caplog.at_level(logging.INFO):
        started = time.monotonic()
        wait_for_all(api, clients.rate_limited(name="Connection c"), [api.create() for _ in range(30)])
        took = time.monotonic() - started
    assert api.count("GET") <= 100 * took + 1
    assert "Connection c: this process asks the API at most 100 requests a second" in caplog.text


def test_a_429_slows_all_waits_down_and_ends_none(api, clients, caplog):
    clients.fields["max_requests_per_second"] = 1000
    api.script("GET", *[reply(429, headers=[("Retry-After", "0")])] * 3)
    states = wait_for_all(api, clients.rate_limited(), [api.create() for _ in range(10)])
    assert states == [State.COMPLETED] * 10
    assert "fewer requests" in caplog.text


def test_settings_that_are_wrong_end_a_wait(api, clients):
    clients.url = "http://example.com"
    with pytest.raises(LaplasConfigurationError, match="allow_http"):
        wait_for_all(api, clients.rate_limited(), [api.create()])


def test_a_first_look_up_that_fails_does_not_end_a_wait(api, clients):
    clients.failing = (1, 2)
    assert wait_for_all(api, clients.rate_limited(), [api.create()]) == [State.COMPLETED]
    assert clients.look_ups == 3


@pytest.mark.parametrize(
    "failure",
    [
        LaplasTransportError("Airflow's API server is restarting", sent=False),
        # So Airflow calls a secrets backend that is away.
        LaplasConfigurationError("There is no connection laplas_default."),
    ],
    ids=["away", "not found"],
)
def test_the_settings_are_looked_up_again_after_some_minutes_and_its_failure_does_no_harm(
    api, clients, caplog, failure
):
    clients.failing, clients.failure = (2,), failure
    clients.ports["look_up_every"] = 0.0
    assert wait_for_all(api, clients.rate_limited(), [api.create()]) == [State.COMPLETED]
    assert clients.look_ups > 2
    assert "could not be looked up again" in caplog.text


def test_a_replaced_key_is_looked_up_once_for_all_waits(api, clients):
    api.script("GET", replace_key(clients))
    states = wait_for_all(api, clients.rate_limited(), [api.create() for _ in range(20)])
    assert states == [State.COMPLETED] * 20
    assert clients.look_ups == 2


def test_waits_that_are_all_given_up_close_the_client_though_their_polls_are_far_off(api, clients):
    async def scenario():
        def poller():
            return Poller(api.create(), time.time() + 3600, 3600.0, started=time.time() - 36_000)

        client = clients.rate_limited()
        waits = [asyncio.create_task(client.wait_for(poller())) for _ in range(5)]
        while api.count("GET") < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await until_closed(api)

    api.polls_until_done = 1_000
    asyncio.run(scenario())


def one_request_in_a_long_time(clients, api):
    clients.fields["max_requests_per_second"] = 0.001


def asked_to_pause(clients, api):
    api.script("GET", reply(429, headers=[("Retry-After", "60")]))


@pytest.mark.parametrize("hold", [one_request_in_a_long_time, asked_to_pause])
@pytest.mark.parametrize("done", [True, False])
def test_a_wait_ends_at_its_deadline_with_a_last_poll_however_far_its_turn_is(api, clients, hold, done):
    async def scenario():
        client = clients.rate_limited()
        other = asyncio.create_task(client.wait_for(Poller(api.create(), time.time() + 3600)))
        while not api.count("GET"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        try:
            async with asyncio.timeout(20):
                return await client.wait_for(Poller(generation_id, time.time() + 0.3))
        finally:
            other.cancel()

    hold(clients, api)
    generation_id = api.create()
    if done:
        api.complete(generation_id)
        assert asyncio.run(scenario()).state is State.COMPLETED
    else:
        with pytest.raises(LaplasGenerationTimeoutError, match="last status was"):
            asyncio.run(scenario())
    assert sum(request.path.endswith(generation_id) for request in api.requests) == 1


def test_a_last_poll_that_fails_is_repeated_though_its_turn_is_far(api, clients):
    async def scenario():
        client = clients.rate_limited()
        async with asyncio.timeout(20):
            await client.wait_for(Poller(generation_id, time.time() + 0.1, 0.1))

    clients.fields["max_requests_per_second"] = 0.001
    generation_id = api.create()
    api.script("GET", *[reply(503)] * LAST_POLLS)
    with pytest.raises(LaplasGenerationTimeoutError, match="last poll failed"):
        asyncio.run(scenario())
    assert api.count("GET") == LAST_POLLS


def test_old_and_new_waits_take_turns_where_the_budget_is_short(api, clients):
    clients.fields["max_requests_per_second"] = 200
    api.polls_until_done = 10
    old, new = [api.create() for _ in range(10)], [api.create() for _ in range(10)]

    async def scenario():
        client = clients.rate_limited()
        pollers = [Poller(g, time.time() + 60, 0.001, started=time.time() - 3600) for g in old]
        pollers += [Poller(g, time.time() + 60, 0.001) for g in new]
        await asyncio.gather(*map(client.wait_for, pollers))

    asyncio.run(scenario())
    polls = [request.path.rsplit("/", 1)[1] for request in api.requests]
    # At any time, nobody is ahead of anybody by more than a round or two.
    for end in range(20, len(polls), 20):
        counts = [polls[:end].count(generation_id) for generation_id in [*old, *new]]
        assert max(counts) - min(counts) <= 2


def test_what_is_said_of_a_wait_is_said_where_it_waits(api, clients):
    """The triggerer tells the logs of its triggers apart by their contexts."""
    whose = ContextVar("whose", default="nobody's")
    said = {}

    class Observing(Poller):
        def observe(self, outcome):
            said.setdefault(whose.get(), set()).add(self.generation_id)
            return super().observe(outcome)

    ids = [api.create() for _ in range(5)]

    async def all_of_them():
        client = clients.rate_limited()

        async def one(generation_id):
            whose.set(generation_id)
            await client.wait_for(poller_of(generation_id, kind=Observing))

        await asyncio.gather(*map(one, ids))

    asyncio.run(all_of_them())
    assert said == {generation_id: {generation_id} for generation_id in ids}


@pytest.mark.parametrize("fault", ["settings", "refusals"])
def test_a_submission_that_cannot_be_made_within_the_budget_ends_in_the_typed_error(api, clients, fault):
    async def submit():
        await clients.rate_limited().submit("https://example.com/a.mp3", model="m", options={})

    if fault == "settings":
        clients.url = "http://example.com"
    api.script("POST", *[reply(429, headers=[("Retry-After", "0")])] * ATTEMPTS)
    with pytest.raises(LaplasConfigurationError if fault == "settings" else LaplasRateLimitError):
        asyncio.run(submit())
    assert api.count("POST") == (0 if fault == "settings" else ATTEMPTS)
    assert not api.generations
