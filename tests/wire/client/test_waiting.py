"""Waits of one client, blocking and on an event loop."""

import asyncio
import re
import time

import pytest

from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.api.responses import Generation, State
from airflow_provider_laplas.errors import (
    LaplasAuthenticationError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
    LaplasTransportError,
)
from tests.fake_api import (
    WORDS,
    answer_healthily,
    hang,
    html,
    junk,
    reply,
    reset_before_body,
    transcript_reply,
    truncated,
)
from tests.patience import PATIENCE

URL = "https://example.com/a.mp3"


def poller_of(generation_id, seconds=20.0, *, kind=Poller, **kwargs):
    return kind(generation_id, time.time() + seconds, poll_interval=0.01, rng=lambda: 0.01, **kwargs)


def replace_key(clients):
    """Have the account's key replaced, here and where the clients look theirs up; then be healthy."""

    async def act(api, request):
        await answer_healthily(api, request)
        api.key = clients.key = "a-new-key"

    return act


def test_a_wait_ends_with_the_transcript(api, client):
    generation = client.wait(poller_of(api.create()))
    assert generation.transcript().text == " ".join(WORDS)
    assert api.count("GET") == 3


def test_a_wait_outlasts_every_kind_of_failed_poll(api, client, clients):
    clients.fields |= {"timeout": 0.3, "connect_timeout": 0.3}
    api.script(
        "GET",
        reset_before_body(),
        hang(),
        reply(500),
        reply(503, headers=[("Retry-After", "0")]),
        reply(429),
        html(502),
        html(404),
        truncated(transcript_reply()),
        reply(403),
        junk(10_000),
        reply(200, {"status": "pondering"}),
        reply(200, {"status": "completed", "result": None}),
    )
    assert client.wait(poller_of(api.create())).state is State.COMPLETED


def test_a_wait_outlasts_a_restart_of_the_server(api, client):
    class Restarting(Poller):
        def observe(self, outcome):
            if isinstance(outcome, Generation) and self.polls == 0:
                api.stop()
            elif isinstance(outcome, LaplasTransportError) and re.search(
                "refused|Cannot conn", outcome.cause
            ):
                api.start()
            return super().observe(outcome)

    poller = poller_of(api.create(), kind=Restarting)
    assert client.wait(poller).state is State.COMPLETED
    assert poller.failed_polls


def test_a_key_that_was_replaced_meanwhile_is_looked_up_once(api, client, clients):
    api.script("GET", replace_key(clients))
    assert client.wait(poller_of(api.create())).state is State.COMPLETED
    assert api.requests[-1].headers["authorization"] == "Bearer a-new-key"
    assert clients.look_ups == 2


def test_a_key_that_stays_refused_ends_a_wait(api, client):
    generation_id = api.create()
    api.key = "another"
    with pytest.raises(LaplasAuthenticationError):
        client.wait(poller_of(generation_id))
    assert api.count("GET") == 2


def test_a_failed_generation_ends_a_wait(api, client):
    generation_id = api.create()
    api.complete(generation_id, {"status": "error", "error": {"message": "not audio"}})
    with pytest.raises(LaplasGenerationFailedError, match="not audio"):
        client.wait(poller_of(generation_id))


def test_a_deadline_ends_a_wait_with_the_last_status(api, client):
    api.polls_until_done = 10_000
    with pytest.raises(LaplasGenerationTimeoutError, match=r"active|waiting"):
        client.wait(poller_of(api.create(), seconds=0.1))


@pytest.fixture(params=["blocking", "on a loop", "within a budget"])
def wait(request, clients):
    """A wait for a generation in each of the ways in which one can wait."""

    async def on_a_loop(generation_id):
        async with clients() as client:
            return await client.await_completion(generation_id, timeout=PATIENCE, poll_interval=0.01)

    def wait(generation_id):
        if request.param == "blocking":
            with clients() as client:
                return client.wait(generation_id, timeout=PATIENCE, poll_interval=0.01)
        if request.param == "on a loop":
            return asyncio.run(on_a_loop(generation_id))
        return asyncio.run(clients.rate_limited().wait_for(poller_of(generation_id)))

    return wait


def test_every_wait_counts_its_polls_and_those_that_failed(api, wait, counted):
    api.script("GET", reply(503), reply(429, headers=[("Retry-After", "0")]))
    assert wait(api.create()).state is State.COMPLETED
    assert counted == {"laplas.polls": 5, "laplas.retries": 2}


def test_a_wait_that_ends_badly_counts_its_polls_too(api, wait, counted):
    with pytest.raises(LaplasGenerationGoneError):
        wait("unknown")
    assert counted == {"laplas.polls": 1}


def test_the_time_from_the_submission_is_sent_where_that_is_known_and_the_wait_ends_well(
    api, client, counted
):
    client.wait(poller_of(api.create(), submitted_at=time.time()))
    assert counted["laplas.time_to_completion"] == 1
    with pytest.raises(LaplasGenerationTimeoutError):
        client.wait(poller_of(api.create(), seconds=-1, submitted_at=time.time()))
    assert counted["laplas.time_to_completion"] == 1


def test_a_wait_ends_early_after_its_inline_wait_and_has_polled_once_at_least(api, clients, counted):
    generation_id = api.create()
    assert clients().wait_for(poller_of(generation_id), inline_wait=0) is None
    assert (api.count("GET"), counted["laplas.polls"]) == (1, 1)
    assert clients().wait_for(poller_of(generation_id), inline_wait=20).state is State.COMPLETED


def test_waiting_blocks_until_the_transcript_is_there(api, clients):
    client = clients()
    generation = client.wait(client.submit(URL), timeout=PATIENCE, poll_interval=0.01)
    assert generation.transcript().text == " ".join(WORDS)
