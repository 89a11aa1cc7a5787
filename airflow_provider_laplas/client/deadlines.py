"""
The end of every exchange: when it is due, and how it is brought about.

The time-outs of the HTTP libraries start anew with every byte, or do not apply while a request is sent. So a socket is shut
down at the exchange's deadline, whatever the library waits for then.
"""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from requests_toolbelt.adapters.socket_options import TCPKeepAliveAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from airflow_provider_laplas.client.multipart import CHUNK, Body

_BUFFERED = 1024 * 1024
"""Bytes of an upload that may still be under way once the last one has been handed to the system."""

_LONGEST_SLEEP = 3600.0


class Deadline:
    """
    When an exchange must have ended. It moves on as the body is sent.

    It starts to count when it is made. All times are in seconds.

    :param body: what is sent; None if the exchange has no body
    :param connect: to open a connection
    :param reply: for the whole reply, once the body is sent
    :param rate: bytes per second; a slower upload is given up
    :param clock: that of the body
    """

    def __init__(
        self,
        body: Body | None,
        *,
        connect: float,
        reply: float,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._began = clock()
        self._body = body
        self._connect, self._reply, self._rate = connect, reply, rate
        self._pause = reply + (min(CHUNK, body.len) / rate if body else 0.0)

    def left(self) -> float:
        """Return the seconds that are left; 0 or less if it is over."""
        return self._due() - self._clock()

    @property
    def reason(self) -> str:
        """What was not done in time."""
        body = self._body
        if body is None or body.complete:
            return f"no whole reply came within {self._reply:g} s"
        if body.moved_at is None:
            return f"no connection was made within {self._connect + self._pause:.3g} s"
        if body.len <= CHUNK or self._due() < self._slowest():
            return f"nothing of the request was taken for {self._pause:.3g} s"
        return f"the request was taken more slowly than {self._rate:g} bytes a second"

    def _due(self) -> float:
        body, start = self._body, self._began + self._connect
        if body is None:
            return start + self._reply
        moved = body.moved_at or start
        if body.complete:
            # The rest is sent as slowly as what was before it.
            share = min(_BUFFERED / max(body.len, 1), 1.0)
            return moved + self._reply + share * (moved - self._began)
        return min(moved + self._pause, self._slowest())

    def _slowest(self) -> float:
        return (
            self._began + self._connect + self._reply + (self._body.len / self._rate if self._body else 0.0)
        )


# On an event loop


class Sockets:
    """Makes the sockets of one aiohttp session, and can cut them off."""

    def __init__(self) -> None:
        self._made: list[socket.socket] = []

    def __call__(self, address: tuple[Any, ...]) -> socket.socket:
        """Make a socket for an address, as returned by ``getaddrinfo``."""
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        self._made.append(made)
        return made

    def cut(self) -> None:
        """Shut the sockets down. A transport that is only closed waits until the server has read what was sent."""
        for made in self._made:
            _shut(made)


@asynccontextmanager
async def ended_by(deadline: Deadline) -> AsyncIterator[None]:
    """
    Cancel what is done within, once the deadline has passed.

    :raises TimeoutError: with the deadline's reason
    """
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(None)
    timer: asyncio.Handle | None = None

    def look() -> None:
        nonlocal timer
        left = deadline.left()
        if left > 0:
            timer = loop.call_later(min(left, _LONGEST_SLEEP), look)
        else:
            limit.reschedule(loop.time())

    try:
        async with limit:
            look()
            try:
                yield
            finally:
                if timer is not None:
                    timer.cancel()
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(deadline.reason) from None
        raise


# Blocking


class Watchdog:
    """
    Shuts down the socket of the exchange that is made within, once its deadline has passed.

    It only works for sessions with the :class:`Adapter`.

    :raises TimeoutError: at its exit, with the deadline's reason
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._connection: HTTPConnection | None = None
        self._socket: Any = None
        self._expired = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="laplas-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._before = _WATCHDOG.set(self)
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        _WATCHDOG.reset(self._before)
        self._over.set()
        self._thread.join()
        # Not in place of an interrupt. Without an error, the reply may have been cut.
        if self._expired and (error is None or isinstance(error, Exception)):
            raise TimeoutError(self.deadline.reason) from None

    def note(self, connection: HTTPConnection) -> None:
        """Take note of the connection that the exchange uses."""
        self._connection = connection
        if connection.sock is not None:
            # A connection forgets its socket when the server has announced to close it; the response has it then.
            self._socket = connection.sock
            # urllib3 applies the time-out of connecting until the request is sent.
            connection.timeout = None
            connection.sock.settimeout(None)

    def _watch(self) -> None:
        while (left := self.deadline.left()) > 0:
            if self._over.wait(min(left, _LONGEST_SLEEP)):
                return
        self._expired = True
        # Again and again: there may be no socket yet, or another one after the TLS handshake.
        while not self._over.is_set():
            for each in (self._socket, self._connection and self._connection.sock):
                # Of TLS within TLS, urllib3 gives an object of its own.
                _shut(getattr(each, "socket", each))
            self._over.wait(0.5)


_WATCHDOG: ContextVar[Watchdog | None] = ContextVar("laplas_watchdog", default=None)


class _Watched(HTTPConnection):
    def connect(self) -> None:
        watchdog = _WATCHDOG.get()
        if watchdog is None:
            super().connect()
            return
        watchdog.note(self)
        super().connect()
        watchdog.note(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        if watchdog := _WATCHDOG.get():
            watchdog.note(self)
        super().request(*args, **kwargs)


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class Adapter(TCPKeepAliveAdapter):  # type: ignore[misc]  # the library has no types.
    """Sends requests on connections that a :class:`Watchdog` can shut down, and with TCP keep-alive."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have the pools make such connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Have the pools of a proxy make such connections."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS = {"http": _Pool, "https": _HTTPSPool}


def _shut(made: Any) -> None:
    if isinstance(made, socket.socket):
        with suppress(OSError):
            # Not the method of a TLS socket, which would change it while another thread reads from it.
            socket.socket.shutdown(made, socket.SHUT_RDWR)
