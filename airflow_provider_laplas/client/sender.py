"""
Sends single calls, and manages a client's settings and connections.

``send`` (requests) and ``asend`` (aiohttp) each send one :class:`~airflow_provider_laplas.api.calls.Call` and read its
response. There are no retries here.
"""

import asyncio
import logging
import time
from typing import Any, Self, TypeVar

import aiohttp
import requests

from airflow_provider_laplas.api.calls import Call
from airflow_provider_laplas.api.responses import Response
from airflow_provider_laplas.client.deadlines import Sockets
from airflow_provider_laplas.client.http import RequestSettings, aexchange, exchange
from airflow_provider_laplas.client.settings import ConnectionSettings, SettingsSource
from airflow_provider_laplas.errors import LaplasError

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_UP_EVERY = 300.0
"""Seconds after which a long-lived client looks up its settings again, to pick up a replaced key."""

PARSED_ON_LOOP = 1024 * 1024
"""Bytes of the longest reply that is parsed on the event loop, which takes a few milliseconds."""

MAX_CONNECTIONS = 64
"""The most connections of one client, shared by all its waits."""


class Sender:
    """
    Sends calls. Settings are looked up on first use and, on the event loop, again every few minutes.

    :param source: provides the settings
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

    # Settings

    @property
    def settings(self) -> ConnectionSettings:
        """
        The settings, looked up on first use.

        :raises LaplasConfigurationError: saying which field is wrong
        """
        return self.request_settings().settings

    async def asettings(self) -> ConnectionSettings:
        """Return :attr:`settings` without blocking the event loop; they are looked up again every few minutes."""
        return (await self.arequest_settings()).settings

    def request_settings(self) -> RequestSettings:
        """Return what all requests share, derived from the settings."""
        if self._known is None:
            self._known = RequestSettings(self._source.look_up())
            self._looked_up_at = time.monotonic()
        return self._known

    async def arequest_settings(self) -> RequestSettings:
        """Do what :meth:`request_settings` does, on the event loop; looked up again every few minutes."""
        # The fast path takes no lock: every poll runs it, but the lookup is needed only every few minutes.
        if self._known is not None and time.monotonic() - self._looked_up_at < self._look_up_every:
            return self._known
        async with self._looking_up:
            if self._known is None or time.monotonic() - self._looked_up_at >= self._look_up_every:
                settings = await self._alook_up()
                self._looked_up_at = time.monotonic()
                if self._known is None or settings != self._known.settings:
                    self._known = await self._derived(settings)
            return self._known

    async def _derived(self, settings: ConnectionSettings) -> RequestSettings:
        try:
            return await asyncio.to_thread(RequestSettings, settings)
        except LaplasError as error:
            # Such as a file of certificates that is gone.
            if self._known is None:
                raise
            log.warning(
                "The settings that were looked up cannot be used; keeping the current ones. %s", error
            )
            return self._known

    async def _alook_up(self) -> ConnectionSettings:
        try:
            return await self._source.alook_up()
        except LaplasError as error:
            # An outage of the settings' source must not end the waits: keep the known settings. Of a secrets backend that is
            # away, Airflow says that there is no such connection.
            if self._known is None:
                raise
            log.warning("The settings could not be looked up again; keeping the current ones. %s", error)
            return self._known.settings

    # Connections

    def new_session(self) -> requests.Session:
        """Return a new blocking session with the key, and the TLS and proxy settings."""
        return self.request_settings().session()

    def close(self) -> None:
        """Close the blocking session, if one was opened. The client stays usable."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    def open_session(self) -> None:
        """Keep connections on the event loop open between requests, until :meth:`close_session`."""
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

    # Calls

    def send(self, call: Call[T]) -> T:
        """
        Send a call once and return its value.

        :raises LaplasError: the typed error of the response, or a transport error
        """
        return call.read(self.receive(call), secrets=self.request_settings().secrets)

    async def asend(self, call: Call[T]) -> T:
        """
        Send a call once and return its value, on the event loop.

        :raises LaplasError: the typed error of the response, or a transport error
        """
        using = await self.arequest_settings()
        if call.submits or self._aiohttp is None:
            sockets = Sockets()
            connector = aiohttp.TCPConnector(force_close=True, socket_factory=sockets)
            async with aiohttp.ClientSession(connector=connector) as session:
                try:
                    answer = await aexchange(session, call, using)
                finally:
                    sockets.cut()
        else:
            answer = await aexchange(self._aiohttp, call, using)
        if len(answer.body) > PARSED_ON_LOOP:
            return await asyncio.to_thread(call.read, answer, secrets=using.secrets)
        return call.read(answer, secrets=using.secrets)

    def receive(self, call: Call[Any]) -> Response:
        """Send a call once and return its response, whatever its status."""
        using = self.request_settings()
        if not call.submits:
            self._requests = self._requests or using.session()
            return exchange(self._requests, call, using)
        # A submission gets a new connection: if the server had just closed a kept-alive one, nobody could tell whether
        # it had accepted the submission.
        with using.session() as session:
            return exchange(session, call, using)

    def forget(self, used: RequestSettings) -> None:
        """Discard the settings, so that they are looked up again: the key may have been replaced."""
        # Many waits may see the same rejected key; only the first discards the settings.
        if self._known is used:
            self._known = None
            self.close()
