"""
One call, one answer: the sockets of a client, and the settings that they are opened with.

``send`` (requests) and ``asend`` (aiohttp) each carry one :class:`~airflow_provider_laplas.api.calls.Call` to the API and
its answer back. Nothing is repeated here.
"""

import asyncio
import logging
import time
from typing import Any, Self, TypeVar

import aiohttp
import requests

from airflow_provider_laplas.api.calls import Call
from airflow_provider_laplas.api.responses import Response
from airflow_provider_laplas.client.http import RequestSettings, aexchange, exchange
from airflow_provider_laplas.client.settings import ConnectionSettings, SettingsSource
from airflow_provider_laplas.errors import LaplasTransportError

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_UP_EVERY = 300.0
"""Seconds after which a long-lived client looks its settings up again, to notice a key that was replaced."""

MAX_CONNECTIONS = 64
"""Sockets that all waits of one client share."""


class Sender:
    """
    Send calls with settings that are looked up: at the first use, and on the event loop again after some minutes.

    :param source: where the settings are looked up
    :param look_up_every: seconds. Default 300
    """

    def __init__(self, source: SettingsSource, *, look_up_every: float = LOOK_UP_EVERY) -> None:
        self._source = source
        self._look_up_every = look_up_every
        self._known: RequestSettings | None = None
        self._looked_up_at = 0.0
        self._looking_up = asyncio.Lock()
        self._requests: requests.Session | None = None
        self._aiohttp: aiohttp.ClientSession | None = None

    # The settings

    @property
    def settings(self) -> ConnectionSettings:
        """
        The settings, looked up at the first use.

        :raises LaplasConfigurationError: saying which field is wrong
        """
        return self.request_settings().settings

    async def asettings(self) -> ConnectionSettings:
        """Return :attr:`settings` without holding up the event loop; they are looked up again after some minutes."""
        return (await self.arequest_settings()).settings

    def request_settings(self) -> RequestSettings:
        """Return what all requests have in common, worked out of the settings once."""
        if self._known is None:
            self._known = RequestSettings(self._source.look_up())
            self._looked_up_at = time.monotonic()
        return self._known

    async def arequest_settings(self) -> RequestSettings:
        """Do what :meth:`request_settings` does, on the event loop; looked up again after some minutes."""
        # Without the lock: thousands of polls a second come by here, and one look-up in five minutes.
        if self._known is not None and time.monotonic() - self._looked_up_at < self._look_up_every:
            return self._known
        async with self._looking_up:
            if self._known is None or time.monotonic() - self._looked_up_at >= self._look_up_every:
                settings = await self._alook_up()
                self._looked_up_at = time.monotonic()
                if self._known is None or settings != self._known.settings:
                    self._known = await asyncio.to_thread(RequestSettings, settings)
            return self._known

    async def _alook_up(self) -> ConnectionSettings:
        try:
            return await self._source.alook_up()
        except LaplasTransportError as error:
            # Where they are kept may be restarting, which must not end what waits: go on with what is known.
            if self._known is None:
                raise
            log.warning("The settings could not be looked up again, so they stay as they are. %s", error)
            return self._known.settings

    # The sockets

    def new_session(self) -> requests.Session:
        """Return a new blocking session with the key, and the TLS and proxy settings."""
        return self.request_settings().session()

    def close(self) -> None:
        """Close the blocking session, if one was opened. The client stays usable."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    def open_session(self) -> None:
        """Keep the event loop's sockets open between requests, until :meth:`close_session`."""
        if self._aiohttp is None:
            self._aiohttp = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS))

    async def close_session(self) -> None:
        """Close what :meth:`open_session` opened."""
        if self._aiohttp is not None:
            session, self._aiohttp = self._aiohttp, None
            await session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self.open_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close_session()

    # One call, one answer

    def send(self, call: Call[T]) -> T:
        """
        Send a call once and return its value.

        :raises LaplasError: the typed error of the answer, or of its absence
        """
        return call.read(self.receive(call), secrets=self.request_settings().secrets)

    async def asend(self, call: Call[T]) -> T:
        """
        Send a call once and return its value, on the event loop.

        :raises LaplasError: the typed error of the answer, or of its absence
        """
        using = await self.arequest_settings()
        if call.submits or self._aiohttp is None:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
                answer = await aexchange(session, call, using)
        else:
            answer = await aexchange(self._aiohttp, call, using)
        return call.read(answer, secrets=using.secrets)

    def receive(self, call: Call[Any]) -> Response:
        """Send a call once and return its answer, whatever it says."""
        using = self.request_settings()
        if not call.submits:
            self._requests = self._requests or using.session()
            return exchange(self._requests, call, using)
        # A submission goes over a connection of its own: on a kept one that the server just closed, it could not be
        # told whether the server had taken it.
        with using.session() as session:
            return exchange(session, call, using)

    def forget(self, used: RequestSettings) -> None:
        """Have the settings looked up again, as the key may have been replaced since."""
        # Of many waits that share the client and see the same refusal, the first one forgets for all.
        if self._known is used:
            self._known = None
            self.close()
