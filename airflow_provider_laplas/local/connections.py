"""Limits of the server's connections, which hold for clients without a key, too."""

import asyncio
from collections.abc import Iterable
from itertools import count
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

# Well below the usual limit of open files per process.
CONNECTIONS = 400
# One address cannot use up the server for the others. A client's process needs 64 at most.
CONNECTIONS_PER_ADDRESS = 200
REQUEST_SECONDS = 10.0
# Uvicorn answers 503 from the limit on, and a closed connection counts a moment longer.
_SPARE = 20
_NUMBERS = count()


class Connection(AutoHTTPProtocol):  # type: ignore[valid-type, misc]  # chosen at run time.
    """A connection that is closed if no request's headers are complete for a while.

    That also ends a client that sends them byte by byte; Uvicorn itself only limits the time between two
    requests. Where an address, or the server, has too many, the oldest one that has sent no request makes room: whoever
    has one to send is served, also behind a proxy, where all clients have one address.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin, and make room if there are too many connections."""
        super().connection_made(transport)
        self._number = next(_NUMBERS)
        self._idle_since: Any = self.cycle
        self._check = self.loop.call_later(REQUEST_SECONDS, self._look)
        address = (self.client or ())[:1]
        same = [one for one in self.connections if (one.client or ())[:1] == address]
        if len(same) > CONNECTIONS_PER_ADDRESS:
            self._make_room(same)
        elif len(self.connections) > CONNECTIONS - _SPARE:
            self._make_room(self.connections)

    def _make_room(self, among: Iterable["Connection"]) -> None:
        idle = [one for one in among if one is not self and one.is_idle]
        # One that a client keeps for its next request comes after those that have sent none.
        oldest = min(idle, key=lambda one: (one.cycle is not None, one.number), default=self)
        oldest.transport.abort()

    @property
    def number(self) -> int:
        """Counts the connections."""
        return self._number

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._check.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close if there was no request since the last look."""
        if self.is_idle and self.cycle is self._idle_since:
            self.transport.abort()
            return
        self._idle_since = self.cycle if self.is_idle else self
        self._check = self.loop.call_later(REQUEST_SECONDS, self._look)
