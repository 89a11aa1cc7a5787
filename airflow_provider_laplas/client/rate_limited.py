"""One client for many waits on an event loop, which share its connections, settings and rate limit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.api.responses import Generation
from airflow_provider_laplas.client.client import ATTEMPTS, Audio, LaplasClient
from airflow_provider_laplas.client.rate_limiter import AdaptiveRate, RateLimiter, Turn
from airflow_provider_laplas.errors import LaplasError, LaplasRateLimitError

log = logging.getLogger(__name__)


class RateLimitedClient:
    """
    A client that keeps all its requests within ``max_requests_per_second``, however many waits share it.

    It belongs to one event loop. Its connections stay open while there are waits. The settings are looked up once for
    all waits, then every few minutes and when the key is rejected.

    :param client: sends the requests
    :param name: its name in the log
    :param when_idle: called when the last wait has ended, before the connections are closed
    """

    def __init__(
        self,
        client: LaplasClient,
        *,
        name: str = "The client",
        when_idle: Callable[["RateLimitedClient"], object] | None = None,
    ) -> None:
        self._client = client
        self._name = name
        self._when_idle = when_idle
        self._limiter = RateLimiter(AdaptiveRate(0.0))
        self._budget: float | None = None
        self._waits = 0

    async def wait_for(self, poller: Poller) -> Generation:
        """
        Wait for a generation; see :meth:`~airflow_provider_laplas.api.poller.Poller.observe` for errors that end it.

        If there are more waits than the rate limit allows for, polls are late, and are made in the order in which they
        were due. The last poll is made at the deadline, whatever the rate limit says.
        """
        self._waits += 1
        self._client.open_session()
        turn = Turn(self._limiter)
        at_deadline = asyncio.get_running_loop().call_later(max(poller.left(), 0.0), turn.take)
        try:
            while error := await self._connect():
                poller.observe(error)
                await asyncio.sleep(poller.pause())
            pause = 0.0
            while True:
                await turn.come(after=pause)
                generation = poller.observe(await self._poll(poller.generation_id))
                if generation is not None:
                    return generation
                pause = poller.pause()
        finally:
            at_deadline.cancel()
            self._client.metrics.waited(*poller.counted())
            self._waits -= 1
            if self._waits == 0:
                # Before the first await, so that a new wait gets a client of its own.
                if self._when_idle is not None:
                    self._when_idle(self)
                await self._client.close_session()

    async def submit(
        self,
        audio: Audio,
        *,
        model: str,
        options: Mapping[str, Any],
        before: Callable[[], Awaitable[object]] | None = None,
    ) -> str:
        """
        Submit within the rate limit; see :meth:`~airflow_provider_laplas.client.client.LaplasClient.submit` for errors.

        A 429 lowers the rate for the whole process, and the submission waits for another permit.

        :param before: awaited right before each request; if it raises, nothing is sent
        """
        for attempt in count(1):
            if error := await self._connect():
                raise error
            await self._limiter.acquire()
            if before is not None:
                await before()
            try:
                return await self._client.asubmit(audio, model=model, options=options, repeat_refused=False)
            except LaplasRateLimitError as refused:
                if attempt == ATTEMPTS:
                    raise
                self._limiter.rate.slow_down(refused.retry_after)
                self._client.metrics.retried()
                await asyncio.sleep(self._client.pause(attempt, refused))
        raise AssertionError("count() never ends")

    async def _poll(self, generation_id: str) -> Generation | LaplasError:
        if error := await self._connect():
            return error
        outcome = await self._client.apoll(generation_id)
        if isinstance(outcome, LaplasRateLimitError):
            self._limiter.rate.slow_down(outcome.retry_after)
        return outcome

    async def _connect(self) -> LaplasError | None:
        """Look up the settings if that is due, apply their rate limit, and return the error, if any."""
        try:
            budget = (await self._client.asettings()).max_requests_per_second
        except LaplasError as error:
            return error
        if budget != self._budget:
            self._budget, self._limiter.rate = budget, AdaptiveRate(budget)
            log.info(
                "%s: this process asks the API %s (max_requests_per_second).",
                self._name,
                f"at most {budget:g} requests a second" if budget else "without a limit of requests",
            )
        return None
