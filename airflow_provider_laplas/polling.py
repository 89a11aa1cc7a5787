"""The one client that all waits of a process on the same connection share: its sockets, its look-up, its budget."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from airflow_provider_laplas import api
from airflow_provider_laplas.api import Call, Generation
from airflow_provider_laplas.errors import LaplasError, LaplasRateLimitError
from airflow_provider_laplas.hooks import LaplasHook
from airflow_provider_laplas.pacing import Pace
from airflow_provider_laplas.waiting import Wait

log = logging.getLogger(__name__)


class SharedClient:
    """
    A hook whose requests keep to the connection's budget, however many wait with it.

    :ivar hook: for requests of other kinds
    :ivar users: how many hold the client
    :ivar waits: how many waits are under way
    """

    def __init__(self, conn_id: str) -> None:
        self.hook = LaplasHook(conn_id)
        self.users = 0
        self.waits = 0
        self._pace: Pace | None = None

    async def wait_for(self, wait: Wait) -> Generation:
        """
        Wait for a generation; see :meth:`~airflow_provider_laplas.waiting.Wait.observe` for the errors that end it.

        Where more wait than the budget can serve at the schedule's pauses, all pauses grow alike.
        """
        call = api.fetch(wait.generation_id)
        self.waits += 1
        try:
            while not (generation := wait.observe(await self._look(call))):
                least = self._pace.share(self.waits) if self._pace else 0.0
                await asyncio.sleep(wait.pause(least))
        finally:
            self.waits -= 1
        return generation

    async def _look(self, call: Call[Generation]) -> Generation | LaplasError:
        try:
            pace = await self.pace()
        except LaplasError as error:
            return error
        if (delay := pace.turn()) > 0:
            await asyncio.sleep(delay)
        outcome = await self.hook.alook(call)
        if isinstance(outcome, LaplasRateLimitError):
            pace.slow_down(outcome.retry_after)
        return outcome

    async def take_turn(self) -> None:
        """Wait until the budget allows one more request."""
        delay = (await self.pace()).turn()
        if delay > 0:
            await asyncio.sleep(delay)

    async def pace(self) -> Pace:
        """Return the budget; looking the connection up is what it takes the first time."""
        if self._pace is None:
            budget = (await self.hook.asettings()).max_requests_per_second
            # Two that came at once have looked up the same; the first one's stays.
            if self._pace is None:
                self._pace = Pace(budget)
                limit = f"at most {budget:g} requests a second" if budget else "without a limit of requests"
                log.info(
                    "Connection %s: this process asks the API %s (extra max_requests_per_second).",
                    self.hook.conn_id,
                    limit,
                )
        return self._pace


# By event loop: a session belongs to the loop that opened it, and a forked child has another loop.
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedClient]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(conn_id: str) -> AsyncIterator[SharedClient]:
    """
    Lend the client that all waits of this event loop on one connection share.

    The connection is looked up once for all of them, again every few minutes, and when its key is refused; the sockets
    are closed when the last one leaves.
    """
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    client = clients.get(conn_id)
    if client is None:
        client = clients[conn_id] = SharedClient(conn_id)
    client.users += 1
    client.hook.open_session()
    try:
        yield client
    finally:
        client.users -= 1
        if client.users == 0:
            # Out of the dictionary before the first await: whoever comes now gets a client of its own.
            del clients[conn_id]
            await client.hook.close_session()
