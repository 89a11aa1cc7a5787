"""Every call ends, whatever the server does not do, in both directions."""

import contextlib
import os
import ssl

import psutil
import pytest

from airflow_provider_laplas.client.client import ATTEMPTS
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasTooLargeError,
    LaplasTransportError,
)
from airflow_stack.processes import await_condition
from tests.fake_api import (
    FakeAPI,
    drip,
    drip_chunk_sizes,
    drip_head,
    drip_headers,
    drip_interim_responses,
    drip_until_closed,
    hang,
    read_slowly,
    reply,
    stall,
    stop_reading,
    transcript_reply,
)
from tests.wire.client.conftest import OnALoop

URL = "https://example.com/a.mp3"
IMPATIENT = {"connect_timeout": 0.2, "timeout": 0.2}
# Where another attempt has to succeed, also on a busy machine.
PATIENT = {"connect_timeout": 0.8, "timeout": 0.8}
UNENDING = {
    "nothing": hang(),
    "headers": drip_headers(),
    "interim responses": drip_interim_responses(),
    "chunk sizes": drip_chunk_sizes(),
    "body": drip(transcript_reply()),
    "body until closed": drip_until_closed(),
}


@pytest.fixture(params=list(UNENDING))
def unending(request):
    return UNENDING[request.param]


@pytest.fixture
def large(tmp_path):
    """More than the system's buffers take."""
    path = tmp_path / "large.mp3"
    path.write_bytes(bytes(30_000_000))
    return path


def connections_to(api):
    found = psutil.Process(os.getpid()).net_connections("tcp")
    return [
        each for each in found if each.raddr and each.raddr.port == api.port and each.status != "CLOSE_WAIT"
    ]


def all_closed(api):
    await_condition(lambda: not connections_to(api), what="the end of the client's connections")


def test_a_fetch_ends_however_its_answer_drips(api, client, clients, unending):
    clients.fields |= IMPATIENT
    api.script("GET", *[unending] * ATTEMPTS)
    with pytest.raises(LaplasTransportError, match="No answer came"):
        client.fetch(api.create())
    assert api.count("GET") == ATTEMPTS


def test_a_fetch_that_had_to_be_ended_does_not_spoil_the_next(api, client, clients, unending):
    clients.fields |= PATIENT
    api.script("GET", unending)
    assert client.fetch(api.create()).status == "waiting"


def test_a_submission_whose_answer_drips_is_ambiguous(api, client, clients, unending):
    clients.fields |= IMPATIENT
    api.script("POST", unending)
    with pytest.raises(LaplasAmbiguousSubmitError, match="no whole reply came within"):
        client.submit(URL)
    assert api.count("POST") == 1


@pytest.mark.parametrize("size", [0, 1_000_000])
def test_an_upload_that_the_server_stops_reading_was_not_taken_and_is_sent_again(
    api, client, clients, large, size
):
    clients.fields |= PATIENT | {"min_upload_bytes_per_second": 1e7}
    api.script("POST", stop_reading(size))
    assert client.submit(large) in api.generations
    assert api.count("POST") == 2
    assert len(api.generations) == 1
    all_closed(api)


def test_an_upload_that_no_server_reads_ends_and_leaves_no_connection(api, client, clients, large):
    clients.fields |= IMPATIENT | {"min_upload_bytes_per_second": 1e7}
    api.script("POST", *[stop_reading()] * ATTEMPTS)
    with pytest.raises(LaplasTransportError, match="nothing of the request was taken for") as caught:
        client.submit(large)
    assert not caught.value.sent
    all_closed(api)


@pytest.mark.parametrize(
    "size", [1000, 200_000, 300_000, 600_000, 1_000_000, 3_000_000, 6_000_000, 9_000_000]
)
def test_an_upload_that_arrives_after_all_is_not_made_twice(api, client, clients, tmp_path, size):
    clients.fields |= IMPATIENT | {"min_upload_bytes_per_second": 1e9}
    path = tmp_path / "a.mp3"
    path.write_bytes(bytes(size))
    api.script("POST", stall(0.6))
    with contextlib.suppress(LaplasAmbiguousSubmitError):
        client.submit(path)
    await_condition(lambda: api.generations, what="the submission")
    await_condition(lambda: not api.open_connections, what="the end of all connections")
    assert len(api.generations) == 1


def test_an_upload_below_the_lowest_rate_is_given_up(api, client, clients, large):
    clients.fields |= {"connect_timeout": 0.2, "timeout": 0.5, "min_upload_bytes_per_second": 1e8}
    api.script("POST", *[read_slowly(300_000, 0.05)] * ATTEMPTS)
    with pytest.raises(LaplasTransportError, match="more slowly than 1e\\+08 bytes a second") as caught:
        client.submit(large)
    assert not caught.value.sent
    assert not api.generations


def test_a_long_upload_above_the_lowest_rate_takes_longer_than_the_time_for_a_reply(
    api, client, clients, large
):
    clients.fields |= {"connect_timeout": 0.5, "timeout": 1}
    api.script("POST", read_slowly(1_000_000, 0.1))
    client.submit(large)
    assert api.count("POST") == 1


def test_an_answer_to_an_upload_that_is_not_read_to_its_end_is_the_answer(api, clients, large):
    """On an event loop: a blocking client does not read before it has sent everything."""
    clients.fields |= IMPATIENT | {"min_upload_bytes_per_second": 1e7}
    api.script("POST", stop_reading(first=reply(413)))
    with pytest.raises(LaplasTooLargeError):
        OnALoop(clients).submit(large)
    assert api.count("POST") == 1
    all_closed(api)


def test_a_proxy_whose_answer_drips_is_given_up(client, clients):
    with FakeAPI() as proxy:
        clients.url = "https://laplas.invalid"
        clients.fields |= IMPATIENT | {"proxy": proxy.url.removesuffix("/v1")}
        proxy.script("CONNECT", *[drip_head(b"HTTP/1.1 200 OK\r\nX-Header: ", b"a")] * ATTEMPTS)
        with pytest.raises(LaplasTransportError):
            client.submit(URL)
        all_closed(proxy)


def test_the_same_over_tls(client, clients, certificate, large):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FakeAPI(tls=context) as api:
        clients.url = api.url
        clients.fields |= {
            "connect_timeout": 2,
            "timeout": 0.3,
            "verify": str(certificate),
            "min_upload_bytes_per_second": 1e7,
        }
        api.script("POST", stop_reading(1_000_000), drip_headers())
        with pytest.raises(LaplasAmbiguousSubmitError, match="no whole reply came within"):
            client.submit(large)
        assert api.count("POST") == 2
        all_closed(api)
        api.script("GET", drip_headers(), drip_chunk_sizes())
        assert client.fetch(api.create()).status == "waiting"
