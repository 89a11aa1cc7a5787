"""One question and its answer: replies, proxies, certificates, and the check of a connection."""

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import threading
from dataclasses import replace

import pytest

from airflow_provider_laplas.api import calls
from airflow_provider_laplas.client.client import ATTEMPTS
from airflow_provider_laplas.errors import (
    LaplasConfigurationError,
    LaplasError,
    LaplasGenerationGoneError,
    LaplasTransportError,
)
from tests.fake_api import (
    KEY,
    FakeAPI,
    drip,
    error_body,
    html,
    junk,
    reply,
    reset_before_body,
    transcript_reply,
    truncated,
)

URL = "https://example.com/a.mp3"


@pytest.mark.parametrize(("size", "on_loop"), [(1_000, True), (2_000_000, False)])
def test_a_large_reply_is_not_parsed_on_the_event_loop(api, clients, size, on_loop):
    generation_id, threads = api.create(), []
    fetch = calls.fetch(generation_id)

    def decode(body, secrets):
        threads.append(threading.current_thread())
        return fetch.decode(body, secrets)

    async def ask():
        async with clients() as client:
            return await client.asend(replace(fetch, decode=decode))

    api.script("GET", reply(200, {"status": "active", "text": "x" * size}))
    assert asyncio.run(ask()).status == "active"
    assert [thread is threading.current_thread() for thread in threads] == [on_loop]


def test_no_error_repeats_what_is_secret_in_a_proxy_or_an_audio_url(api, client, clients):
    private = "https://me:p4ssw0rd@example.com/a.mp3?id=c4nary-7f3a"
    with FakeAPI() as proxy:
        clients.fields |= {"proxy": proxy.url.removesuffix("/v1").replace("//", "//me:Pr0xyPass@")}
        proxy.script("POST", reply(407, error_body(407, f"pr0xypass, {clients.key}, p4ssw0rd, C4NARY-7F3A")))
        with pytest.raises(LaplasError) as caught:
            client.submit(private)
    assert "***, ***, ***, ***" in str(caught.value)
    with pytest.raises(LaplasTransportError) as caught:
        client.submit(private)
    assert "Pr0xyPass" not in f"{caught.value} {vars(caught.value)}"


@pytest.mark.parametrize(
    "behaviour",
    [
        reply(500),
        reply(429),
        html(502),
        truncated(transcript_reply()),
        reset_before_body(),
        junk(1000),
        reply(200, []),
    ],
)
def test_a_fetch_is_repeated_until_there_is_an_answer(api, client, behaviour):
    generation_id = api.create()
    api.script("GET", behaviour, behaviour)
    assert client.fetch(generation_id).status == "waiting"
    assert api.count("GET") == 3


def test_an_unknown_generation_is_gone(api, client):
    with pytest.raises(LaplasGenerationGoneError, match="b5c7"):
        client.fetch("b5c7")
    assert api.count("GET") == 1


@pytest.mark.parametrize("generation_id", ["../create", "a?b=c", "a#b", "a/b", "ü", "%2e%2e", "a b"])
def test_no_id_changes_the_request(api, client, generation_id):
    with pytest.raises(LaplasGenerationGoneError):
        client.fetch(generation_id)
    path = api.requests[-1].path
    assert path.startswith("/v1/stt/")
    assert not set(path.removeprefix("/v1/stt/")) & set("/?# ")


def test_a_reply_that_is_too_large_is_refused_while_it_is_read(api, client, clients):
    clients.fields |= {"max_reply_bytes": 100_000}
    api.script("GET", junk(10_000_000))
    with pytest.raises(LaplasConfigurationError, match="max_reply_bytes"):
        client.fetch(api.create())
    assert api.count("GET") == 1


def test_a_reply_that_drips_is_given_up(api, client, clients):
    clients.fields |= {"timeout": 0.2, "connect_timeout": 0.2}
    api.script("GET", *[drip(transcript_reply())] * ATTEMPTS)
    with pytest.raises(LaplasTransportError):
        client.fetch(api.create())


def test_a_compressed_reply_is_read(api, client):
    raw = gzip.compress(json.dumps({"status": "active", "padding": "x" * 300_000}).encode())
    api.script("GET", reply(200, raw, headers=[("Content-Encoding", "gzip")]))
    assert client.fetch(api.create()).status == "active"


def test_a_redirect_is_not_followed(api, client):
    with FakeAPI() as other:
        api.script("GET", reply(302, {}, headers=[("Location", f"{other.url}/stt/x")]))
        with pytest.raises(LaplasError, match="redirects"):
            client.fetch(api.create())
        assert not other.requests


def test_the_key_is_not_replaced_by_an_entry_in_netrc(api, client, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client.fetch(api.create())
    assert api.requests[-1].headers["authorization"] == f"Bearer {KEY}"


def test_the_connections_proxy_comes_before_the_environments(api, client, monkeypatch, clients):
    with FakeAPI() as proxy, FakeAPI() as other:
        monkeypatch.setenv("HTTP_PROXY", other.url)
        monkeypatch.setenv("no_proxy", "")
        clients.fields |= {"proxy": proxy.url.removesuffix("/v1")}
        proxy.script("GET", reply(200, {"status": "active"}))
        assert client.fetch("x").status == "active"
        assert not other.requests


def test_a_host_name_that_does_not_exist_was_never_reached(client, clients):
    clients.url = "https://laplas.invalid"
    with pytest.raises(LaplasTransportError) as caught:
        client.submit(URL)
    assert not caught.value.sent


@pytest.fixture
def untrusted_server(certificate):
    """A TLS server whose certificate nobody signed; it answers nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def accept():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
                received.append(wrapped.recv(1))

    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}", received
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_certificate_that_is_not_trusted_is_refused_before_anything_is_sent(
    untrusted_server, client, clients
):
    clients.url, received = untrusted_server
    with pytest.raises(LaplasTransportError) as caught:
        client.submit(URL)
    assert not caught.value.sent
    assert not any(received)


def test_testing_a_good_connection_submits_nothing(api, clients):
    assert clients().check() == (True, "The API answers and accepts the key.")
    assert api.count("POST") == 0


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (reply(401), "refuses the key"),
        (reply(403), "out of credits"),
        (reply(503), "cannot serve right now"),
        (html(404), "not like a Laplas API"),
        (html(200), "not like a Laplas API"),
        (reply(404, {"detail": "Not Found"}), "not like a Laplas API"),
    ],
)
def test_testing_a_bad_connection_says_what_is_wrong(api, clients, behaviour, says):
    api.script("GET", behaviour)
    good, message = clients().check()
    assert not good
    assert says in message
    assert KEY not in message


def test_testing_an_unreachable_host_says_so(api, clients):
    api.stop()
    good, message = clients().check()
    assert not good
    assert "cannot be reached" in message
