"""The simulated API, and a client of it with the errors of the real one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.api.responses import RETENTION, Generation, State
from airflow_provider_laplas.api.retry import as_submit_error
from airflow_provider_laplas.errors import (
    LaplasCreditsError,
    LaplasGenerationGoneError,
    LaplasRateLimitError,
    LaplasServerError,
    LaplasTransportError,
    LaplasValidationError,
)
from tests.simulation.recordings import Sent
from tests.simulation.world import World, Writer

ATTEMPTS = 3

POST_FAULTS = (
    "answer lost",
    "answer lost",
    "5xx",
    "not sent",
    "429",
    "422",
    "403",
    "kill",
    "long",
    "very long",
)
"""What can happen to a submission. ``kill``: the writer dies while it waits for the answer."""


@dataclass
class Post:
    """
    A submission that the API has accepted.

    :ivar asked_at: when its writer asked whether it may submit
    :ivar delivered_to: the writer that got the id
    """

    generation_id: str
    sent: Sent
    writer: Writer
    asked_at: float
    sent_at: float
    accepted_at: float
    ready_at: float
    fails: bool
    delivered_to: Writer | None = None

    @property
    def url(self) -> str:
        """Of the file."""
        return self.sent.url

    def state(self, now: float) -> str:
        if now >= self.accepted_at + RETENTION:
            return "gone"
        if now < self.ready_at:
            return "active"
        return "failed" if self.fails else "completed"

    @property
    def reply(self) -> dict[str, Any]:
        alternative = {"transcript": str(self.sent), "confidence": 0.9, "words": []}
        result = {"metadata": {"duration": 3.5}, "results": {"channels": [{"alternatives": [alternative]}]}}
        return {"status": "completed", "id": self.generation_id, "result": result}


class API:
    """All generations, in the order in which they were accepted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.posts: list[Post] = []
        self.by_id: dict[str, Post] = {}
        self.longest = world.rng.choice([10.0, 60.0, 600.0])
        self.failing = world.rng.choice([0.0, 0.0, 0.2])

    def accept(self, sent: Sent, writer: Writer, asked_at: float, sent_at: float) -> Post:
        rng, now = self.world.rng, self.world.elapsed
        takes = 5000.0 if not self.world.calm and rng.random() < 0.01 else rng.random() * self.longest
        post = Post(
            f"gen-{len(self.posts) + 1}",
            sent,
            writer,
            asked_at,
            sent_at,
            now,
            now + takes,
            rng.random() < self.failing,
        )
        self.posts.append(post)
        self.by_id[post.generation_id] = post
        self.world.note(f"POST {sent} accepted as {post.generation_id}", writer)
        return post


def _response(kind: type[Any], status: int) -> Any:
    return kind(f"The API answered {status}.", status=status)


class Client:
    """What a writer calls; it has the methods of ``RateLimitedClient`` that a batch uses."""

    def __init__(self, api: API, writer: Writer) -> None:
        self._api, self._writer, self._world = api, writer, api.world

    async def submit(
        self,
        audio: str | Upload,
        *,
        model: str,
        options: Mapping[str, Any],
        before: Callable[[], Awaitable[object]],
    ) -> str:
        for attempt in range(1, ATTEMPTS + 1):
            # The rate limiter's permit.
            await asyncio.sleep(self._world.latency())
            asked_at = self._world.elapsed
            await before()
            try:
                return await self._send(Sent.read(audio), asked_at)
            except LaplasRateLimitError:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(2.0)
        raise AssertionError

    async def _send(self, sent: Sent, asked_at: float) -> str:
        world, writer, rng = self._world, self._writer, self._world.rng
        sent_at = world.elapsed
        fault = rng.choice(POST_FAULTS) if world.trouble("POST") else ""
        if fault:
            world.note(f"[{fault}] POST {sent}")
            world.faults.append(fault)
        await asyncio.sleep(world.stand_still(5, 500) if fault == "very long" else world.latency())
        match fault:
            case "not sent":
                raise as_submit_error(LaplasTransportError("refused", sent=False))
            case "429":
                raise _response(LaplasRateLimitError, 429)
            case "422":
                raise _response(LaplasValidationError, 422)
            case "403":
                raise _response(LaplasCreditsError, 403)
        post = self._api.accept(sent, writer, asked_at, sent_at)
        if fault == "kill":
            world.at(world.latency() * rng.random(), lambda: world.kill(writer))
        await asyncio.sleep(
            world.stand_still(1, 120) if fault in {"long", "answer lost"} else world.latency()
        )
        if fault == "answer lost":
            raise as_submit_error(LaplasTransportError("reset", sent=True))
        if fault == "5xx":
            raise as_submit_error(_response(LaplasServerError, 502))
        world.note(f"is told {post.generation_id}", writer)
        post.delivered_to = writer
        return post.generation_id

    async def wait_for(self, poller: Poller) -> Generation:
        world = self._world
        poller.clock, poller.rng = world.time, world.rng.random
        pause = 0.0
        while True:
            await asyncio.sleep(pause + world.latency())
            generation = poller.observe(self._poll(poller.generation_id))
            if generation is not None:
                return generation
            pause = poller.pause()

    def _poll(self, generation_id: str) -> Any:
        world = self._world
        if world.trouble("GET"):
            world.note(f"[poll fails] {generation_id}")
            return world.rng.choice(
                [LaplasTransportError("reset", sent=True), _response(LaplasServerError, 503)]
            )
        post = self._api.by_id[generation_id]
        state = post.state(world.elapsed)
        if state != "active":
            world.note(f"polls {generation_id}: {state}")
        match state:
            case "gone":
                return LaplasGenerationGoneError(f"{generation_id} is gone", generation_id=generation_id)
            case "failed":
                return Generation(generation_id, "failed", State.FAILED, {}, "no audio")
            case "completed":
                return Generation(generation_id, "completed", State.COMPLETED, post.reply)
        return Generation(generation_id, "active", State.PENDING, {})
