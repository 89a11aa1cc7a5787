"""Recordings that lie in the simulated storage, and what stands in for their preparation: no audio is needed for that."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, ClassVar

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.media.plan import MediaPart, MediaPlan, Piece
from tests.simulation.world import INBOX, Killed, World

SECONDS = 1000.0
"""Of each recording."""

FAULTS = ("cannot be used", "cannot be used", "kill", "kill", "stands still", "no extra")
"""What can happen while a recording is planned, or a part of it is made."""


@dataclass(frozen=True)
class Sent:
    """
    What of which recording an upload is.

    :ivar url: where the recording lies
    :ivar version: of the recording, as its fingerprint has it
    :ivar start: seconds; of a whole recording 0
    :ivar end: seconds
    :ivar part: its number, None for a whole recording
    """

    url: str
    version: str = ""
    start: float = 0.0
    end: float = SECONDS
    part: int | None = None

    def __str__(self) -> str:
        if not self.version:
            return self.url
        which = "whole" if self.part is None else f"part {self.part}"
        return f"{self.url}@{self.version} {which} {self.start:g}-{self.end:g}"

    @classmethod
    def read(cls, audio: str | Upload) -> "Sent":
        """Return what an upload is of; one that was not prepared is a whole recording."""
        if isinstance(audio, str):
            return cls(audio)
        if isinstance(audio, _Part):
            return audio.sent
        return cls(f"{INBOX}/{audio.name}", _version(audio))

    def overlaps(self, other: "Sent") -> bool:
        """Tell whether both have audio in common."""
        same = (self.url, self.version) == (other.url, other.version)
        return same and self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class _Part(Upload):
    sent: Sent = Sent("")


def _version(upload: Upload) -> str:
    return f"{upload.size}-{upload.version}"


class Preparation:
    """
    Has the methods of :class:`~airflow_provider_laplas.media.preparation.Preparation`.

    :ivar cuts: the settings on which it depends where a recording is cut
    """

    settings: ClassVar[Any] = SimpleNamespace(fetch=False)

    def __init__(self, world: World, cuts: int) -> None:
        self._world = world
        self.cuts = cuts

    def plan(self, upload: Upload, source: str) -> MediaPlan:
        self._work(f"plan {upload.name}")
        drawn = random.Random(f"{upload.name} {_version(upload)}")
        count = drawn.choice([1, 2, 3, 4, 5])
        ends = [SECONDS]
        if count > 1:
            drawn = random.Random(f"{self.cuts} {upload.name} {_version(upload)}")
            ends = [*sorted(drawn.sample(range(100, 900), count - 1 + self.cuts)), SECONDS]
        parts = tuple(MediaPart((Piece(*each),), "") for each in pairwise([0.0, *map(float, ends)]))
        return MediaPlan("encode", 0, "opus", ".ogg", 1, SECONDS, upload.size, parts)

    @contextmanager
    def prepared(self, upload: Upload, plan: MediaPlan, part: int) -> Iterator[Upload]:
        self._work(f"prepare {upload.name} part {part}")
        (piece,) = plan.parts[part].pieces
        number = None if plan.is_whole else part
        sent = Sent(f"{INBOX}/{upload.name}", _version(upload), piece.start, piece.end, number)
        yield _Part(upload.name, 1, "audio/ogg", BytesIO, sent=sent)

    def _work(self, what: str) -> None:
        world = self._world
        fault = world.rng.choice(FAULTS) if world.trouble(what) else ""
        world.note(f"[{fault}] {what}" if fault else what)
        if fault:
            world.faults.append(fault)
        world.pause(world.stand_still(5, 500) if fault == "stands still" else 2 * world.latency())
        match fault:
            case "cannot be used":
                raise LaplasArgumentError("`audio` is damaged.", argument="audio")
            case "no extra":
                raise RuntimeError("a library is missing")
            case "kill":
                assert world.current is not None
                world.kill(world.current)
                raise Killed
