"""The hook over a real wire: Airflow's connection, Airflow's errors, and the client that waits share."""

import asyncio
import inspect
import json
import logging
import pickle
import time

import pytest
import requests

from airflow_provider_laplas import exceptions
from airflow_provider_laplas.airflow_compat import METRICS, AirflowException, AirflowFailException
from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.api.responses import State
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasAuthenticationError,
    LaplasConfigurationError,
    LaplasGenerationTimeoutError,
    LaplasTransportError,
    LaplasValidationError,
)
from airflow_provider_laplas.hooks import LaplasHook, shared_client
from tests.fake_api import KEY, WORDS, answer_healthily, error_body, reply, reset_after_body, until_closed
from tests.patience import PATIENCE
from tests.wire.conftest import connect, counting_look_ups

URL = "https://example.com/a.mp3"


def finished(value):
    """The value itself, or what a coroutine returns."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def wait_for(generation_id, conn_id="laplas_default"):
    async def wait():
        poller = Poller(generation_id, time.time() + 30, 0.01, rng=lambda: 0.01)
        return await shared_client(conn_id).wait_for(poller)

    return asyncio.run(wait())


# The errors


def refusal():
    response = requests.Response()
    response.status_code = 401
    response._content = json.dumps(error_body(401)).encode()
    return response


QUICK = {"timeout": 0.0, "poll_interval": 0.01}
REFUSED, UNREACHABLE = LaplasAuthenticationError, LaplasTransportError
# How each public member is used; and what it raises where the key is refused, and where the server is away: None for a
# member that asks the server nothing.
MEMBERS = {
    "settings": (lambda hook: hook.settings, None, None),
    "asettings": (lambda hook: hook.asettings(), None, None),
    "submit": (lambda hook: hook.submit(URL), REFUSED, UNREACHABLE),
    "asubmit": (lambda hook: hook.asubmit(URL), REFUSED, UNREACHABLE),
    "fetch": (lambda hook: hook.fetch("g"), REFUSED, UNREACHABLE),
    "afetch": (lambda hook: hook.afetch("g"), REFUSED, UNREACHABLE),
    "wait": (lambda hook: hook.wait("g", **QUICK), REFUSED, LaplasGenerationTimeoutError),
    "await_completion": (
        lambda hook: hook.await_completion("g", **QUICK),
        REFUSED,
        LaplasGenerationTimeoutError,
    ),
    "transcribe": (lambda hook: hook.transcribe(URL), REFUSED, UNREACHABLE),
    "get_conn": (lambda hook: hook.get_conn(), None, None),
    "check_response": (lambda hook: hook.check_response(refusal()), REFUSED, REFUSED),
}
RAISE_NOTHING = {"test_connection", "close"}
PUBLIC = [
    name
    for name, value in vars(LaplasHook).items()
    if not name.startswith("_") and (callable(value) or isinstance(value, property))
]


FAULTS = ["no connection", "a failed look-up", "a refused key", "no server"]


def set_up_fault(fault, api, monkeypatch):
    """Return a hook that meets the fault."""
    if fault == "a failed look-up":
        counting_look_ups(monkeypatch, *range(1000))
        monkeypatch.setattr(LaplasHook, "get_connection", classmethod(broken_look_up))
    elif fault == "a refused key":
        api.key = "another"
    elif fault == "no server":
        api.stop()
    hook = LaplasHook("nowhere" if fault == "no connection" else "laplas_default")
    hook.client.pause = lambda failures, error: 0.0
    return hook


def broken_look_up(cls, conn_id):
    raise ConnectionError(f"Airflow's API server is restarting; {URL}?X-Amz-Signature=5f3a")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in RAISE_NOTHING])
def test_whatever_people_use_of_the_hook_raises_the_airflow_form_of_every_error(
    api, name, fault, monkeypatch
):
    use, refused, unreachable = MEMBERS[name]
    kind = {
        "no connection": LaplasConfigurationError,
        "a failed look-up": LaplasTransportError,
        "a refused key": refused,
        "no server": unreachable,
    }[fault]
    if fault == "a failed look-up" and unreachable is LaplasGenerationTimeoutError:
        kind = unreachable
    hook = set_up_fault(fault, api, monkeypatch)

    if kind is None:
        finished(use(hook))
        return
    with pytest.raises(kind) as caught:
        finished(use(hook))
    assert isinstance(caught.value, AirflowException)
    assert type(caught.value) is getattr(exceptions, kind.__name__)
    assert "5f3a" not in str(caught.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_testing_a_connection_raises_nothing(api, fault, monkeypatch):
    good, said = set_up_fault(fault, api, monkeypatch).test_connection()
    assert not good
    assert said


@pytest.mark.parametrize("submit", [LaplasHook.submit, LaplasHook.asubmit])
def test_a_plain_task_that_submits_is_not_retried_where_that_would_pay_again(api, submit):
    api.script("POST", reset_after_body())
    with pytest.raises(LaplasAmbiguousSubmitError) as caught:
        finished(submit(LaplasHook(), URL))
    assert isinstance(caught.value, AirflowFailException)
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message


def test_the_hooks_own_run_raises_typed_errors_and_keeps_the_key_safe(api, hook):
    hook.method = "GET"
    assert hook.run(f"/stt/{api.create()}").json()["status"] == "waiting"
    api.script("GET", reply(400, error_body(400, f"{KEY} cannot do this")))
    with pytest.raises(LaplasValidationError) as caught:
        hook.run("/nowhere")
    assert isinstance(caught.value, AirflowException)
    assert KEY not in str(caught.value)


# The connection


def test_testing_a_good_connection_submits_nothing(api, hook):
    assert hook.test_connection() == (True, "The API answers and accepts the key.")
    assert api.count("POST") == 0


def test_testing_a_connection_without_a_key_says_so(api, monkeypatch):
    api.key = ""
    connect(monkeypatch, api)
    assert LaplasHook().test_connection()[1].startswith("The connection has no API key")


@pytest.mark.parametrize("member", ["fetch", "afetch"])
def test_a_configuration_error_names_the_connections_field(monkeypatch, member):
    monkeypatch.setenv(
        "AIRFLOW_CONN_LAPLAS_DEFAULT",
        '{"conn_type": "laplas", "host": "http://example.com", "password": "k"}',
    )
    with pytest.raises(LaplasConfigurationError, match="allow_http"):
        finished(MEMBERS[member][0](LaplasHook()))


@pytest.mark.parametrize(
    "fetch",
    [
        LaplasHook.fetch,
        LaplasHook.afetch,
        lambda hook, generation_id: hook.run(f"/stt/{generation_id}"),
    ],
    ids=["fetch", "afetch", "run"],
)
def test_unknown_extras_are_never_sent_as_headers(api, hook, monkeypatch, fetch):
    connect(monkeypatch, api, x_secret="canary")
    hook.method = "GET"
    finished(fetch(hook, api.create()))
    assert "canary" not in str(api.requests[-1].headers)


@pytest.mark.parametrize("submit", [LaplasHook.submit, LaplasHook.asubmit])
def test_audio_in_airflows_object_storage_is_uploaded(api, hook, submit, tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"sound")
    generation_id = finished(submit(hook, f"file://{tmp_path}/a.mp3"))
    assert generation_id in api.generations
    assert b"sound" in api.requests[-1].body


def replace_key(monkeypatch):
    """Have the account's key replaced, here and in Airflow's connection; then be healthy."""

    async def act(api, request):
        await answer_healthily(api, request)
        api.key = "a-new-key"
        connect(monkeypatch, api)

    return act


@pytest.mark.parametrize("how", ["blocking", "shared"])
def test_a_key_that_was_replaced_meanwhile_is_looked_up_in_airflow(api, hook, monkeypatch, how):
    api.script("GET", replace_key(monkeypatch))
    generation_id = api.create()
    done = (
        hook.wait(generation_id, poll_interval=0.01, timeout=PATIENCE)
        if how == "blocking"
        else wait_for(generation_id)
    )
    assert done.transcript().text == " ".join(WORDS)
    assert api.requests[-1].headers["authorization"] == "Bearer a-new-key"


def test_the_hook_keeps_its_sockets_open_on_an_event_loop_until_its_block_ends(api):
    async def scenario():
        async with LaplasHook() as hook:
            generation_ids = [await hook.asubmit(URL) for _ in range(2)]
            states = [(await hook.await_completion(one, poll_interval=0.01)).state for one in generation_ids]
            assert api.open_connections == 1
        await until_closed(api)
        return states

    assert asyncio.run(scenario()) == [State.COMPLETED] * 2


def test_what_is_done_is_counted_in_airflows_metrics(api, hook):
    assert hook.client.metrics is METRICS


# The client that waits share


def test_all_waits_of_a_loop_on_one_connection_share_a_client_until_the_last_one_leaves(
    api, look_ups, caplog
):
    async def scenario():
        clients = [shared_client("laplas_default") for _ in range(2)]
        other = shared_client("another")
        pollers = [Poller(api.create(), time.time() + 30, 0.01, rng=lambda: 0.01) for _ in range(20)]
        done = await asyncio.gather(*map(clients[0].wait_for, pollers))
        await until_closed(api)
        again = shared_client("laplas_default")
        # Whoever kept the first one may go on with it; the new one stays.
        await clients[0].wait_for(Poller(api.create(), time.time() + 30, 0.01, rng=lambda: 0.01))
        assert clients[0] is clients[1]
        assert other not in clients
        assert again not in clients
        assert shared_client("laplas_default") is again
        return [generation.state for generation in done]

    with caplog.at_level(logging.INFO):
        assert asyncio.run(scenario()) == [State.COMPLETED] * 20
    assert look_ups == ["laplas_default"]
    assert "Connection laplas_default: this process asks the API at most 50 requests a second" in caplog.text


def test_two_loops_have_a_client_each(api):
    async def one():
        return shared_client("laplas_default")

    first = asyncio.run(one())
    assert asyncio.run(one()) is not first


def test_a_connection_that_is_missing_ends_a_wait_by_name(api):
    with pytest.raises(LaplasConfigurationError, match="no connection `nowhere`"):
        wait_for(api.create(), conn_id="nowhere")


def test_a_first_look_up_in_airflow_that_fails_does_not_end_a_wait(api, monkeypatch, caplog):
    calls = counting_look_ups(monkeypatch, 1, 2)
    assert wait_for(api.create()).state is State.COMPLETED
    assert len(calls) == 3
    assert "Connection laplas_default could not be looked up" in caplog.text
