"""Limits of the server's connections, which hold for clients without a key, too."""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

# Well below the usual limit of open files per process.
CONNECTIONS = 400
# One address cannot use up the server for the others. A client's process needs 64 at most.
CONNECTIONS_PER_ADDRESS = 200
REQUEST_SECONDS = 10.0


class Connection(AutoHTTPProtocol):  # type: ignore[valid-type, misc]  # chosen at run time.
    """A connection that is closed if no request's headers are complete for a while.

    That also ends a client that sends them byte by byte; Uvicorn itself only limits the time between two
    requests. Connections above the limit for their address are closed at once: they must not count as the
    server's.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin, or close if the address has too many connections."""
        super().connection_made(transport)
        self._idle_since: Any = self.cycle
        self._check = self.loop.call_later(REQUEST_SECONDS, self._look)
        same = sum(
            one.client is not None and one.client[:1] == (self.client or ())[:1] for one in self.connections
        )
        if same > CONNECTIONS_PER_ADDRESS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._check.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close if there was no request since the last look."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.cycle is self._idle_since:
            self.transport.abort()
            return
        self._idle_since = self.cycle if idle else self
        self._check = self.loop.call_later(REQUEST_SECONDS, self._look)
