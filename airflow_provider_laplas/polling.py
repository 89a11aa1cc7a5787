"""The one client that all waits of an event loop on the same connection share: its sockets, its look-up, its budget."""

import asyncio
import logging
from collections.abc import Mapping
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from airflow_provider_laplas import api
from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api import Generation
from airflow_provider_laplas.errors import LaplasError, LaplasRateLimitError
from airflow_provider_laplas.hooks import ATTEMPTS, LaplasHook
from airflow_provider_laplas.pacing import Pace, Turns
from airflow_provider_laplas.waiting import Wait

log = logging.getLogger(__name__)


class SharedClient:
    """
    A hook whose requests keep to the connection's budget, however many wait with it.

    It belongs to one event loop. Its sockets are open as long as somebody waits; the connection is looked up once for
    all waits, again every few minutes, and when its key is refused.

    :ivar hook: for requests of other kinds
    """

    def __init__(self, conn_id: str) -> None:
        self.hook = LaplasHook(conn_id)
        self._turns = Turns(Pace(0.0))
        self._budget: float | None = None
        self._waits = 0

    async def wait_for(self, wait: Wait) -> Generation:
        """
        Wait for a generation; see :meth:`~airflow_provider_laplas.waiting.Wait.observe` for the errors that end it.

        Where more wait than the budget can serve at the schedule's pauses, looks come in the order in which they were
        due, whether the wait is old or new.
        """
        self._waits += 1
        self.hook.open_session()
        try:
            while error := await self._connect():
                wait.observe(error)
                await asyncio.sleep(wait.pause())
            pause = 0.0
            while True:
                await self._turns.turn(after=pause)
                generation = wait.observe(await self._look(wait.generation_id))
                if generation is not None:
                    return generation
                pause = wait.pause()
        finally:
            METRICS.waited(*wait.counted())
            self._waits -= 1
            if self._waits == 0:
                # Before the first await: whoever comes now gets a client of its own.
                _forget(self)
                await self.hook.close_session()

    async def submit(self, audio: Any, *, model: str, options: Mapping[str, Any]) -> str:
        """
        Submit within the budget; see :meth:`~airflow_provider_laplas.hooks.LaplasHook.submit` for the errors.

        A 429 slows the whole process down, and the submission takes another turn.
        """
        for attempt in count(1):
            if error := await self._connect():
                raise error
            await self._turns.turn()
            try:
                return await self.hook.asubmit(audio, model=model, options=options, repeat_refused=False)
            except LaplasRateLimitError as refused:
                if attempt == ATTEMPTS:
                    raise
                self._turns.pace.slow_down(refused.retry_after)
                METRICS.retried()
                await asyncio.sleep(api.backoff(attempt, refused))
        raise AssertionError("count() never ends")

    async def _look(self, generation_id: str) -> Generation | LaplasError:
        if error := await self._connect():
            return error
        outcome = await self.hook.alook(generation_id)
        if isinstance(outcome, LaplasRateLimitError):
            self._turns.pace.slow_down(outcome.retry_after)
        return outcome

    async def _connect(self) -> LaplasError | None:
        """Look the connection up where that is due, take over its budget, and return what went wrong."""
        try:
            budget = (await self.hook.asettings()).max_requests_per_second
        except LaplasError as error:
            return error
        if budget != self._budget:
            self._budget, self._turns.pace = budget, Pace(budget)
            log.info(
                "Connection %s: this process asks the API %s (extra max_requests_per_second).",
                self.hook.conn_id,
                f"at most {budget:g} requests a second" if budget else "without a limit of requests",
            )
        return None


# By event loop: a session belongs to the loop that opened it, and a forked child has another loop.
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedClient]] = WeakKeyDictionary()


def shared_client(conn_id: str) -> SharedClient:
    """Return the client that all waits of this event loop on one connection share; a new one where nobody waits."""
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in clients:
        clients[conn_id] = SharedClient(conn_id)
    return clients[conn_id]


def _forget(client: SharedClient) -> None:
    clients = _shared.get(asyncio.get_running_loop(), {})
    if clients.get(client.hook.conn_id) is client:
        del clients[client.hook.conn_id]
