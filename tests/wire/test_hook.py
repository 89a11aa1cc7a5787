"""The hook over a real wire, blocking and on an event loop, against a server that misbehaves on request."""

import asyncio
import contextlib
import gzip
import io
import json
import os
import pickle
import re
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from airflow.sdk.exceptions import AirflowFailException
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from airflow_provider_laplas import api as core
from airflow_provider_laplas.audio import open_upload
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasAuthenticationError,
    LaplasConfigurationError,
    LaplasCreditsError,
    LaplasError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
    LaplasRateLimitError,
    LaplasTooLargeError,
    LaplasTransportError,
    LaplasValidationError,
)
from airflow_provider_laplas.hooks import ATTEMPTS, LaplasHook
from airflow_provider_laplas.polling import shared_client
from airflow_provider_laplas.waiting import Wait
from tests.fake_api import (
    KEY,
    WORDS,
    FakeAPI,
    drip,
    error_body,
    hang,
    html,
    junk,
    reply,
    reset_after_body,
    reset_before_body,
    reset_in_body,
    stall,
    transcript_reply,
    truncated,
)
from tests.wire.conftest import connect

URL = "https://example.com/a.mp3"


class Blocking:
    """The hook as a plain Python task uses it."""

    def submit(self, audio, **kwargs):
        with LaplasHook() as hook:
            return hook.submit(audio, **kwargs)

    def fetch(self, generation_id):
        with LaplasHook() as hook:
            return hook.fetch(generation_id)

    def wait(self, wait):
        with LaplasHook() as hook:
            return hook.wait_for(wait)


def submit_with_budget(audio):
    """As a batch submits."""

    async def submit():
        return await shared_client("laplas_default").submit(audio, model="m", options={})

    return asyncio.run(submit())


class OnALoop:
    """The hook as the triggerer uses it."""

    def submit(self, audio, **kwargs):
        return asyncio.run(self._with_hook("asubmit", audio, **kwargs))

    def fetch(self, generation_id):
        return asyncio.run(self._with_hook("afetch", generation_id))

    def wait(self, wait):
        return asyncio.run(self._wait(wait))

    async def _wait(self, wait):
        return await shared_client("laplas_default").wait_for(wait)

    async def _with_hook(self, method, *args, **kwargs):
        async with LaplasHook() as hook:
            return await getattr(hook, method)(*args, **kwargs)


@pytest.fixture(params=[Blocking, OnALoop], ids=["blocking", "async"])
def client(request):
    return request.param()


@pytest.fixture
def audio(tmp_path):
    path = tmp_path / "größe 1.mp3"
    path.write_bytes(os.urandom(700_000))
    return path


def parts_of(request):
    """The parts of a multipart request, read by a parser that is not ours."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + request.body, policy=policy.HTTP)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


def wait_for(generation_id, seconds=20.0, **kwargs):
    return Wait(generation_id, time.time() + seconds, poll_interval=0.01, rng=lambda: 0.01, **kwargs)


# Submitting


def test_a_url_is_submitted_as_json_with_the_options(api, client):
    generation_id = client.submit(URL, model="m", options={"diarize": True, "tag": ["a"], "language": None})
    assert generation_id in api.generations
    request = api.requests[-1]
    assert (request.method, request.path) == ("POST", "/v1/stt/create")
    assert request.json == {"model": "m", "url": URL, "diarize": True, "tag": ["a"]}
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_a_file_is_uploaded_with_its_length_its_name_and_the_options_as_form_fields(api, client, audio):
    assert client.submit(audio, options={"diarize": True, "tag": ["a", "b"]}) in api.generations
    request = api.requests[-1]
    assert int(request.headers["content-length"]) == len(request.body)
    assert parts_of(request) == [
        ("model", None, b"#g1_whisper-medium"),
        ("diarize", None, b"true"),
        ("tag", None, b"a"),
        ("tag", None, b"b"),
        ("audio", "größe 1.mp3", audio.read_bytes()),
    ]


def test_an_object_storage_uri_is_uploaded(api, client, audio):
    client.submit(f"file://{audio}")
    assert parts_of(api.requests[-1])[-1] == ("audio", "größe 1.mp3", audio.read_bytes())


def test_the_other_part_name_is_tried_once_and_remembered(api, client, audio):
    api.script("POST", reply(400, error_body(400, "One of url or file is required")))
    client.submit(audio)
    client.submit(audio)
    names = [parts_of(request)[-1][0] for request in api.requests]
    assert names == ["audio", "file", "file"]


def test_another_part_name_that_is_refused_too_ends_in_the_apis_error(api, client, audio):
    refusal = reply(400, error_body(400, "One of url or file is required"))
    api.script("POST", refusal, refusal)
    with pytest.raises(LaplasValidationError):
        client.submit(audio)
    assert api.count("POST") == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        reset_after_body(),
        reply(500),
        html(502),
        reply(504),
        reply(201, {}),
        reply(201, b"<"),
        truncated({"generation_id": "x" * 40}),
    ],
)
def test_a_submission_that_may_have_been_taken_is_sent_once_and_is_ambiguous(api, client, behaviour):
    api.script("POST", behaviour)
    with pytest.raises(LaplasAmbiguousSubmitError, match="usage page"):
        client.submit(URL)
    assert api.count("POST") == 1


def test_an_upload_that_is_cut_before_its_end_was_not_taken_and_is_sent_again(api, client, tmp_path):
    path = tmp_path / "large.mp3"
    path.write_bytes(b"x" * 30_000_000)
    api.script("POST", reset_in_body(100_000))
    client.submit(path)
    assert api.count("POST") == 2
    assert len(api.generations) == 1


def test_audio_that_cannot_be_opened_submits_nothing_and_is_not_ambiguous(api, client):
    def refuse():
        raise PermissionError("not yours")

    with pytest.raises(LaplasTransportError, match="nothing was submitted") as caught:
        client.submit(core.Upload("a.mp3", 1000, "audio/mpeg", refuse))
    assert not caught.value.sent
    assert not api.requests


def test_a_server_that_takes_an_upload_slowly_is_given_the_time(api, client, monkeypatch, tmp_path):
    connect(monkeypatch, api, connect_timeout=0.2, timeout=5)
    path = tmp_path / "large.mp3"
    path.write_bytes(b"x" * 30_000_000)
    api.script("POST", stall(0.6))
    client.submit(path)
    assert api.count("POST") == 1


def test_a_submission_to_a_port_that_speaks_no_tls_was_never_sent(monkeypatch, client, api):
    connection = {
        "conn_type": "laplas",
        "host": api.url.replace("http:", "https:"),
        "password": "k",
        "extra": {"connect_timeout": 0.2, "timeout": 0.2},
    }
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", json.dumps(connection))
    with pytest.raises(LaplasTransportError) as caught:
        client.submit(URL)
    assert not caught.value.sent


def test_a_submission_that_is_never_answered_is_ambiguous(api, client, monkeypatch):
    connect(monkeypatch, api, timeout=0.3)
    api.script("POST", hang())
    with pytest.raises(LaplasAmbiguousSubmitError):
        client.submit(URL)
    assert api.count("POST") == 1


def test_a_submission_is_repeated_after_429(api, client):
    api.script("POST", reply(429), reply(429, headers=[("Retry-After", "0")]))
    assert client.submit(URL) in api.generations
    assert api.count("POST") == 3
    assert len(api.generations) == 1


def test_repeating_ends_in_the_typed_error(api, client):
    api.script("POST", *[reply(429)] * ATTEMPTS)
    with pytest.raises(LaplasRateLimitError):
        client.submit(URL)
    assert api.count("POST") == ATTEMPTS


def test_a_submission_is_repeated_where_no_connection_was_made(api, client, monkeypatch):
    pause = core.backoff

    def start_then_pause(*args, **kwargs):
        if api.port in refused:
            refused.clear()
            api.start()
        return pause(*args, **kwargs)

    api.stop()
    refused = {api.port}
    monkeypatch.setattr(core, "backoff", start_then_pause)
    assert client.submit(URL) in api.generations
    assert api.count("POST") == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, LaplasValidationError),
        (401, LaplasAuthenticationError),
        (403, LaplasCreditsError),
        (413, LaplasTooLargeError),
        (422, LaplasValidationError),
    ],
)
def test_a_refused_submission_is_sent_once(api, client, status, kind):
    api.script("POST", reply(status))
    with pytest.raises(kind, match=f"req-{status}"):
        client.submit(URL)
    assert api.count("POST") == 1


@pytest.mark.parametrize(
    "audio",
    [
        None,
        "",
        " ",
        "None",
        7,
        b"bytes",
        "http://",
        "https://exa mple.com/a",
        "/no/such/file.mp3",
        "file:///no/such.mp3",
        "/",
    ],
)
def test_audio_that_cannot_be_submitted_is_refused_by_name(api, client, audio):
    with pytest.raises(LaplasArgumentError, match="`audio`"):
        client.submit(audio)
    assert not api.requests


def test_an_empty_file_is_refused(api, client, tmp_path):
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(LaplasArgumentError, match="empty"):
        client.submit(tmp_path / "empty.mp3")


def test_a_file_that_shrinks_while_it_is_uploaded_submits_nothing(api, client):
    upload = core.Upload("a.mp3", 1000, "audio/mpeg", lambda: io.BytesIO(b"x" * 10))
    with pytest.raises(LaplasArgumentError, match="shorter"):
        client.submit(upload)
    assert not api.generations


def test_a_storage_that_fails_while_it_is_read_submits_nothing_and_may_be_tried_again(api, client):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the bucket is on fire")

    sources = [Failing(), io.BytesIO(b"x" * 1000)]
    client.submit(core.Upload("a.mp3", 1000, "audio/mpeg", lambda: sources.pop(0)))
    assert not sources
    assert len(api.generations) == 1


def test_a_file_that_grows_while_it_is_uploaded_is_sent_as_it_was(api, client, audio):
    upload = open_upload(audio)
    with audio.open("ab") as file:
        file.write(b"more")
    client.submit(upload)
    assert len(parts_of(api.requests[-1])[-1][2]) == 700_000


# Looking


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
def test_a_look_is_repeated_until_there_is_an_answer(api, client, behaviour):
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


def test_a_reply_that_is_too_large_is_refused_while_it_is_read(api, client, monkeypatch):
    connect(monkeypatch, api, max_reply_bytes=100_000)
    api.script("GET", junk(10_000_000))
    with pytest.raises(LaplasConfigurationError, match="max_reply_bytes"):
        client.fetch(api.create())
    assert api.count("GET") == 1


def test_a_reply_that_drips_is_given_up(api, client, monkeypatch):
    connect(monkeypatch, api, timeout=0.2, connect_timeout=0.2)
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


def test_unknown_extras_are_never_sent_as_headers(api, client, monkeypatch):
    connect(monkeypatch, api, x_secret="canary")
    client.fetch(api.create())
    assert "canary" not in str(api.requests[-1].headers)


# Waiting


def test_a_wait_ends_with_the_transcript(api, client):
    generation = client.wait(wait_for(api.create()))
    assert generation.transcript().text == " ".join(WORDS)
    assert api.count("GET") == 3


def test_a_wait_outlasts_every_kind_of_failed_look(api, client, monkeypatch):
    connect(monkeypatch, api, timeout=0.3, connect_timeout=0.3)
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
    assert client.wait(wait_for(api.create())).state is core.State.COMPLETED


def test_a_wait_outlasts_a_restart_of_the_server(api, client, monkeypatch):
    generation_id = api.create()
    judged = Wait.observe

    def restart_in_between(self, outcome):
        if api.count("GET") == 1 and isinstance(outcome, core.Generation):
            api.stop()
        elif isinstance(outcome, LaplasTransportError) and re.search("refused|Cannot connect", outcome.cause):
            api.start()
        return judged(self, outcome)

    monkeypatch.setattr(Wait, "observe", restart_in_between)
    assert client.wait(wait_for(generation_id)).state is core.State.COMPLETED


def test_a_key_that_was_replaced_meanwhile_is_looked_up_once(api, client, monkeypatch):
    generation_id = api.create()
    judged = Wait.observe

    def rotate(self, outcome):
        if api.key == KEY:
            api.key = "a-new-key"
            connect(monkeypatch, api)
        return judged(self, outcome)

    monkeypatch.setattr(Wait, "observe", rotate)
    assert client.wait(wait_for(generation_id)).state is core.State.COMPLETED
    assert [r.headers["authorization"] for r in api.requests][-1] == "Bearer a-new-key"


def test_a_key_that_stays_refused_ends_a_wait(api, client):
    generation_id = api.create()
    api.key = "another"
    with pytest.raises(LaplasAuthenticationError):
        client.wait(wait_for(generation_id))
    assert api.count("GET") == 2


def test_a_failed_generation_ends_a_wait(api, client):
    generation_id = api.create()
    api.complete(generation_id, {"status": "error", "error": {"message": "not audio"}})
    with pytest.raises(LaplasGenerationFailedError, match="not audio"):
        client.wait(wait_for(generation_id))


def test_a_deadline_ends_a_wait_with_the_last_status(api, client):
    api.looks_until_done = 10_000
    with pytest.raises(LaplasGenerationTimeoutError, match=r"active|waiting"):
        client.wait(wait_for(api.create(), seconds=0.1))


@pytest.fixture(params=["hook", "hook on a loop", "shared client"])
def wait(request):
    """A wait for a generation, up to a number of seconds, in each of the ways in which one can wait."""

    async def on_a_loop(generation_id, seconds):
        async with LaplasHook() as hook:
            return await hook.await_generation(generation_id, timeout=seconds, poll_interval=0.01)

    def wait(generation_id, seconds=20.0):
        if request.param == "hook":
            with LaplasHook() as hook:
                return hook.wait(generation_id, timeout=seconds, poll_interval=0.01)
        if request.param == "hook on a loop":
            return asyncio.run(on_a_loop(generation_id, seconds))
        return OnALoop().wait(wait_for(generation_id, seconds))

    return wait


def test_every_wait_counts_its_looks_and_those_that_failed(api, wait, counted):
    api.script("GET", reply(503), reply(429, headers=[("Retry-After", "0")]))
    assert wait(api.create()).state is core.State.COMPLETED
    assert counted == {"laplas.polls": 5, "laplas.retries": 2}


def test_a_wait_that_ends_badly_counts_its_looks_too(api, wait, counted):
    with pytest.raises(LaplasGenerationGoneError):
        wait("unknown")
    assert counted == {"laplas.polls": 1}


def test_the_time_from_the_submission_is_sent_where_that_is_known_and_the_wait_ends_well(
    api, client, counted
):
    client.wait(wait_for(api.create(), submitted_at=time.time()))
    assert counted["laplas.time_to_completion"] == 1
    with pytest.raises(LaplasGenerationTimeoutError):
        client.wait(wait_for(api.create(), seconds=-1, submitted_at=time.time()))
    assert counted["laplas.time_to_completion"] == 1


def test_a_wait_is_left_after_its_stay_and_has_looked_once_at_least(api, hook, counted):
    generation_id = api.create()
    assert hook.wait_for(wait_for(generation_id), stay=0) is None
    assert (api.count("GET"), counted["laplas.polls"]) == (1, 1)
    assert hook.wait_for(wait_for(generation_id), stay=20).state is core.State.COMPLETED


@pytest.mark.parametrize("submit", [Blocking().submit, OnALoop().submit, submit_with_budget])
def test_a_submission_that_is_sent_again_is_counted(api, submit, counted):
    api.script("POST", *[reply(429, headers=[("Retry-After", "0")])] * 2)
    submit(URL)
    assert counted["laplas.retries"] == 2


# The rest


def test_the_legacy_call_returns_the_transcript_itself(api, hook, audio):
    assert hook.transcribe(URL).text == " ".join(WORDS)
    assert hook.transcribe(audio).text == " ".join(WORDS)
    assert {request.path for request in api.requests} == {"/v1/stt"}


def test_a_legacy_call_that_times_out_is_ambiguous(api, hook):
    api.script("POST", reply(504, error_body(504, "Generation timeout")))
    with pytest.raises(LaplasAmbiguousSubmitError, match="Generation timeout"):
        hook.transcribe(URL)


def test_waiting_blocks_until_the_transcript_is_there(api, hook):
    generation = hook.wait(hook.submit(URL), timeout=30, poll_interval=0.01)
    assert generation.transcript().text == " ".join(WORDS)


def test_the_hooks_own_run_raises_typed_errors_and_keeps_the_key_safe(api, hook):
    hook.method = "GET"
    assert hook.run(f"/stt/{api.create()}").json()["status"] == "waiting"
    api.script("GET", reply(400, error_body(400, f"{KEY} cannot do this")))
    with pytest.raises(LaplasValidationError) as caught:
        hook.run("/nowhere")
    assert KEY not in str(caught.value)


def test_testing_a_good_connection_submits_nothing(api, hook):
    assert hook.test_connection() == (True, "The API answers and takes the key.")
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
def test_testing_a_bad_connection_says_what_is_wrong(api, hook, behaviour, says):
    api.script("GET", behaviour)
    good, message = hook.test_connection()
    assert not good
    assert says in message
    assert KEY not in message


def test_testing_an_unreachable_host_says_so(hook, api):
    api.stop()
    good, message = hook.test_connection()
    assert not good
    assert "cannot be reached" in message


def test_testing_a_connection_without_a_key_says_so(api, monkeypatch):
    api.key = ""
    connect(monkeypatch, api)
    assert LaplasHook().test_connection()[1].startswith("The connection has no API key")


def test_a_plain_task_that_submits_is_not_retried_where_that_would_pay_again(api, client):
    api.script("POST", reset_after_body())
    with pytest.raises(LaplasAmbiguousSubmitError) as caught:
        client.submit(URL)
    assert isinstance(caught.value, AirflowFailException)
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message


def test_the_connections_proxy_comes_before_the_environments(api, client, monkeypatch):
    with FakeAPI() as proxy, FakeAPI() as other:
        monkeypatch.setenv("HTTP_PROXY", other.url)
        monkeypatch.setenv("no_proxy", "")
        connect(monkeypatch, api, proxy=proxy.url.removesuffix("/v1"))
        proxy.script("GET", reply(200, {"status": "active"}))
        assert client.fetch("x").status == "active"
        assert not other.requests


def test_a_host_name_that_does_not_exist_was_never_reached(monkeypatch, client):
    monkeypatch.setenv(
        "AIRFLOW_CONN_LAPLAS_DEFAULT",
        '{"conn_type": "laplas", "host": "https://laplas.invalid", "password": "k"}',
    )
    with pytest.raises(LaplasTransportError) as caught:
        client.submit(URL)
    assert not caught.value.sent


@pytest.fixture
def untrusted_server(tmp_path):
    """A TLS server whose certificate nobody signed; it answers nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
    )
    certificate = builder.sign(key, hashes.SHA256())
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

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
    untrusted_server, monkeypatch, client
):
    url, received = untrusted_server
    connection = {"conn_type": "laplas", "host": url, "password": "k"}
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", json.dumps(connection))
    with pytest.raises(LaplasTransportError) as caught:
        client.submit(URL)
    assert not caught.value.sent
    assert not any(received)


def test_a_configuration_error_names_the_connections_field(monkeypatch, client):
    monkeypatch.setenv(
        "AIRFLOW_CONN_LAPLAS_DEFAULT",
        '{"conn_type": "laplas", "host": "http://example.com", "password": "k"}',
    )
    with pytest.raises(LaplasConfigurationError, match="allow_http"):
        client.fetch("x")
