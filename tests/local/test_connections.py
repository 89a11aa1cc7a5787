"""Connections on which nothing happens, of clients that may have no key."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_laplas.local import connections
from tests.local.conftest import Api, StubEngine, eventually, wav
from tests.patience import PATIENCE

OTHER = "127.0.0.2"
HERE = "127.0.0.1"


@contextmanager
def idle(api: Api, count: int, address: str, begin: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections from an address, on which no request is completed."""
    parts = urlsplit(api.url)
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            one = socket.create_connection((parts.hostname, parts.port), 10, source_address=(address, 0))
            opened.append(stack.enter_context(one))
            with contextlib.suppress(OSError):
                one.sendall(begin)
        yield opened


def is_closed(one: socket.socket) -> bool:
    try:
        return bool(select.select([one], [], [], 0)[0]) and one.recv(100) == b""
    except OSError:
        return True


def is_served(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=PATIENCE).status_code == 200
    except requests.ConnectionError:
        return False


def test_idle_connections_of_one_address_shut_no_other_out(api: Api):
    with idle(api, connections.CONNECTIONS + 5, OTHER) as opened:
        surplus = len(opened) - connections.CONNECTIONS_PER_ADDRESS
        eventually(lambda: sum(map(is_closed, opened)) == surplus)
        # The oldest ones.
        assert all(map(is_closed, opened[:surplus]))
        assert is_served(api.url)


def test_idle_connections_shut_no_request_of_their_own_address_out(api: Api):
    with idle(api, connections.CONNECTIONS_PER_ADDRESS, HERE):
        assert all(is_served(api.url) for _ in range(10))


def test_idle_connections_of_several_addresses_shut_no_other_out(api: Api):
    with (
        idle(api, connections.CONNECTIONS_PER_ADDRESS, OTHER),
        idle(api, connections.CONNECTIONS_PER_ADDRESS, "127.0.0.3"),
    ):
        assert all(is_served(api.url) for _ in range(10))


@pytest.mark.parametrize("begin", [b"", b"GET /health HTTP/1.1\r\nHost: "])
def test_connections_without_a_request_are_closed_and_their_address_is_served_again(
    serve, monkeypatch, begin: bytes
):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.3)
    api = serve()
    with idle(api, connections.CONNECTIONS_PER_ADDRESS, HERE, begin) as opened:
        eventually(lambda: all(map(is_closed, opened)))
        assert is_served(api.url)


def test_a_second_request_whose_headers_never_end_is_closed_too(serve, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.1)
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with idle(serve(), 1, HERE, request) as [one]:
        assert one.recv(1000).startswith(b"HTTP/1.1 200")
        one.sendall(request[:-2])
        stop = threading.Event()

        def drip():
            with contextlib.suppress(OSError):
                while not stop.wait(0.02):
                    one.sendall(b"X-A: b\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            eventually(lambda: is_closed(one))
        finally:
            stop.set()
            thread.join()


def test_a_request_that_takes_its_time_is_not_cut_off(serve, monkeypatch, engine: StubEngine):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.05)
    engine.open.clear()
    api = serve()
    timer = threading.Timer(0.5, engine.open.set)
    timer.start()
    try:
        assert api.upload(wav(), path="").status_code == 200
    finally:
        timer.cancel()
