"""
A world in which time, chance, the storage and the API are simulated, and only one writer runs at any time.

Writers are greenlets that run the package's real code. Whatever they do outside of themselves, which is a storage
operation, a request or a sleep, is a point: there the writer waits some time, and whoever is due first goes on. Waits
and faults are drawn from one seed, so a history is the same each time.
"""

import asyncio
import gc
import heapq
import json
import logging
import random
import re
import secrets
import sys
import time
import warnings
from asyncio import events
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import Any, BinaryIO, NoReturn
from unittest import mock

from greenlet import greenlet

from airflow_provider_laplas.backends import FileInfo
from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.storage import Storage

EPOCH = 1_800_000_000.0
FOLDER = "memory://bucket/out"
MANIFEST = f"{FOLDER}/manifest.json"
SUMMARY = f"{FOLDER}/.manifest/summary.json"
INBOX = "memory://bucket/in"
MOST_STEPS = 30_000
FOCUSES = ("/leases/", "/journal/", "/snapshots/", "/manifest.json", "/plan/", "-checkpoint.json", "POST")
"""Where faults meet, in some histories."""

_ID = re.compile(r"gen-\d+")


def version_of(fingerprint: str) -> str:
    """Return the version of the audio that a fingerprint is of; none for a web URL."""
    return fingerprint.partition("-")[2]


class Killed(BaseException):
    """The process of this writer is no more; whatever it still tries has no effect."""


class Interrupted(BaseException):
    """Airflow ends the task by an exception that is no Exception, as its time-out does."""


class BrokenPropertyError(AssertionError):
    """A history that must not be."""


@dataclass(eq=False)
class Writer:
    """
    A process that works on the batch: a worker or a trigger.

    :ivar off_loop: how many calls it makes in other threads than its own: no signal is raised there
    :ivar main: a trigger's coroutine, which is what is cancelled
    :ivar asked_stop: what a signal's handler calls
    :ivar lease_at: when it took its lease
    :ivar policy: what it does about ambiguous and expired submissions
    """

    name: str
    task: Any
    run: Callable[[], Any]
    ended: Callable[["Writer", Any, BaseException | None], None]
    phase: int = 0
    tries: int = 0
    started_at: float = 0.0
    greenlet: Any = None
    dead: bool = False
    alive: bool = True
    interrupt: bool = False
    interrupted: bool = False
    off_loop: int = 0
    main: "asyncio.Task[Any] | None" = None
    asked_stop: Callable[[], object] | None = None
    lease_at: float = -1.0
    policy: Any = None
    token: int = 0


@dataclass
class Weather:
    """
    How harsh a history is.

    :ivar latency: seconds that an operation takes, mostly
    :ivar slow: how often it takes longer
    :ivar trouble: how often an operation has a fault
    :ivar budget: faults that are left
    :ivar focus: a part of the names of those operations that have faults more often
    """

    latency: float
    slow: float
    trouble: float
    budget: int
    focus: str | None


def _always() -> bool:
    return True


class World:
    """Time, chance, and who is due next."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        rng = self.rng
        self.elapsed = 0.0
        self.weather = Weather(
            rng.choice([0.01, 0.1, 0.5]),
            rng.choice([0.02, 0.1, 0.25]),
            rng.choice([0.0, 0.02, 0.05, 0.15]),
            rng.randint(1, 8),
            rng.choice([None, None, *FOCUSES]),
        )
        self.calm = False
        self.current: Writer | None = None
        self.writers: list[Writer] = []
        self.trace: list[tuple[float, str, str]] = []
        self.faults: list[str] = []
        self.said: list[str] = []
        self.steps = 0
        self.storage = SimulatedStorage(self)
        self.outage_until = -1.0
        self.violation: str | None = None
        self.most_files = 0
        self.missed: Callable[[Writer], object] = lambda _: None
        self._heap: list[tuple[float, int, Any, int]] = []
        self._order = count()
        self._hub = greenlet.getcurrent()

    # Time

    def time(self) -> float:
        return EPOCH + self.elapsed

    def monotonic(self) -> float:
        return 1000.0 + self.elapsed

    def pause(self, seconds: float) -> None:
        """Let so much time pass for the current writer, and others go on meanwhile."""
        writer = self.current
        if writer is None:
            return
        if writer.dead:
            raise Killed
        self.steps += 1
        if self.steps > MOST_STEPS:
            self.broken(f"a batch ends: {writer.name} is still at work after {self.steps} steps")
        until = self.elapsed + seconds
        if self._heap and self._heap[0][0] <= until:
            writer.token += 1
            heapq.heappush(self._heap, (until, next(self._order), writer, writer.token))
            loop = events._get_running_loop()
            events._set_running_loop(None)
            self._hub.switch()
            events._set_running_loop(loop)
        else:
            self.elapsed = until
        if writer.dead:
            raise Killed
        if writer.interrupt and not writer.off_loop:
            writer.interrupt = False
            if writer.main is None:
                raise Interrupted
            writer.main.cancel()

    def at(self, seconds: float, action: Callable[[], object], *, when: Callable[[], bool] = _always) -> None:
        """Do something in so many seconds, if a condition holds then; else the time does not even pass."""
        heapq.heappush(self._heap, (self.elapsed + seconds, next(self._order), (action, when), 0))

    def run(self) -> None:
        """Go on until nothing more is to happen."""
        while self._heap:
            due, _, what, token = heapq.heappop(self._heap)
            if not isinstance(what, Writer):
                action, when = what
                if when():
                    self.elapsed = max(self.elapsed, due)
                    action()
            elif what.alive and token == what.token:
                self.elapsed = max(self.elapsed, due)
                self._switch_to(what)

    def broken(self, why: str) -> NoReturn:
        """End the history, from within a writer."""
        assert self.current is not None
        self.violation = why
        self.current.dead = True
        raise Killed

    def _switch_to(self, writer: Writer) -> None:
        self.current = writer
        try:
            writer.greenlet.switch()
        finally:
            self.current = None
        if self.violation is not None:
            raise BrokenPropertyError(self.violation)

    # Writers

    def spawn(self, writer: Writer) -> None:
        """Start a writer; with three at work, later."""
        if sum(each.alive for each in self.writers) >= 3:
            self.at(5.0, lambda: self.spawn(writer))
            return
        self.writers.append(writer)
        writer.started_at = self.elapsed
        writer.greenlet = greenlet(lambda: self._live(writer), self._hub)
        writer.token += 1
        self.note("starts", writer)
        heapq.heappush(self._heap, (self.elapsed, next(self._order), writer, writer.token))

    def _live(self, writer: Writer) -> None:
        result, error = None, None
        try:
            result = writer.run()
        except BaseException as raised:  # noqa: BLE001
            error = raised
        writer.alive = False
        if writer.dead:
            error = Killed()
        events._set_running_loop(None)
        self.note(f"ends: {error!r}" if error is not None else f"ends: {result!r:.200}", writer)
        if not writer.dead and error is not None:
            self.said.append(str(error))
        self.current = None
        writer.ended(writer, result, error)

    def kill(self, writer: Writer) -> None:
        """End a writer's process now."""
        if writer.alive and not writer.dead:
            self.note("is killed", writer)
            writer.dead = True
            if writer is not self.current:
                writer.token += 1
                heapq.heappush(self._heap, (self.elapsed, next(self._order), writer, writer.token))

    # Chance

    def latency(self) -> float:
        """Return how long a request takes, one way."""
        rng = self.rng
        if not self.calm and rng.random() < self.weather.slow:
            return rng.choice([1.0, 3.0, 6.0, 20.0]) * rng.random()
        return self.weather.latency * rng.random()

    def trouble(self, name: str) -> bool:
        """Tell whether this operation has a fault."""
        weather = self.weather
        often = 0.3 if weather.focus is not None and weather.focus in name else weather.trouble
        if self.calm or weather.budget <= 0 or self.rng.random() >= often:
            return False
        self.weather.budget -= 1
        return True

    def stand_still(self, least: float, most: float) -> float:
        """Return how long a process stands still. Airflow may take it for dead meanwhile."""
        seconds, writer = self.rng.uniform(least, most), self.current
        assert writer is not None
        if self.rng.random() < 0.5:
            self.at(seconds * self.rng.random() / 2, lambda: self.missed(writer))
        return seconds

    # What is known of it

    def note(self, what: str, writer: Writer | None = None) -> None:
        writer = writer or self.current
        self.trace.append((self.elapsed, writer.name if writer else "-", what))


STORAGE_FAULTS = (
    "before",
    "after",
    "late",
    "kill before",
    "kill after",
    "pause before",
    "pause after",
    "outage",
)
"""What can happen to a storage operation: an error, with the work not done, done, or done later; the process is killed
or stands still for minutes, before it is done or after; no operation of anybody works for a while."""


class SimulatedStorage(Storage):
    """Files in memory; every operation is a point."""

    exclusive = says_exclusive = True
    """Whether of several creates one succeeds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.files: dict[str, tuple[str, float, str]] = {}
        self.noted_at: dict[str, float] = {}
        self.stored: set[str] = set()
        self.shown: list[tuple[float, frozenset[tuple[str, int | None, str]]]] = []
        self._versions = count(1)

    def _operate(self, what: str, uri: str, effect: Callable[[], Any], *, writes: bool = False) -> Any:
        world = self.world
        if world.current is None:
            return effect()
        name = uri.removeprefix(FOLDER)
        fault = self._draw_fault(what, name, writes=writes)
        world.pause(
            world.stand_still(30, world.rng.choice([300, 2000]))
            if fault == "pause before"
            else world.latency()
        )
        if fault == "kill before":
            world.kill(world.current)
            raise Killed
        if fault in {"before", "late"} or world.elapsed < world.outage_until:
            if fault == "late":
                world.at(world.rng.choice([1.0, 10.0, 100.0]), lambda: self._late(what, name, effect))
            world.note(f"{what} {name}: error")
            raise LaplasStorageError(f"{uri} does not answer")
        try:
            result = effect()
        except FileNotFoundError:
            world.note(f"{what} {name}: not there")
            world.pause(world.latency())
            raise
        world.note(f"{what} {name}{f' -> {result}' if isinstance(result, bool) else ''}")
        if fault == "kill after":
            world.kill(world.current)
            raise Killed
        world.pause(
            world.stand_still(30, world.rng.choice([300, 2000]))
            if fault == "pause after"
            else world.latency()
        )
        if fault == "after":
            raise LaplasStorageError(f"{uri} does not answer")
        return result

    def _draw_fault(self, what: str, name: str, *, writes: bool) -> str:
        """Return what is wrong with this operation, mostly nothing."""
        world = self.world
        if not world.trouble(name):
            return ""
        fault = world.rng.choice(STORAGE_FAULTS)
        if not writes and fault in {"late", "after"}:
            fault = "before"
        world.note(f"[{fault}] {what} {name}")
        world.faults.append(fault)
        if fault == "outage":
            world.outage_until = world.elapsed + world.rng.choice([5.0, 15.0, 60.0])
        return fault

    def _late(self, what: str, name: str, effect: Callable[[], Any]) -> None:
        self.world.note(f"late: {what} {name}")
        effect()

    def _put(self, uri: str, text: str) -> None:
        world = self.world
        self.files[uri] = (text, world.time(), str(next(self._versions)))
        if "/.manifest/journal/" in uri:
            for generation_id in _ID.findall(text):
                self.noted_at.setdefault(generation_id, world.elapsed)
        elif uri == MANIFEST:
            content = json.loads(text)
            ambiguous = frozenset(
                (
                    record.get("part_of", record["output"]),
                    record.get("part"),
                    version_of(record["fingerprint"]),
                )
                for record in (*content["entries"], *content["unlisted"], *content.get("parts", ()))
                if record["state"] == "ambiguous"
            )
            self.shown.append((world.elapsed, ambiguous))
        elif uri == SUMMARY:
            counts = json.loads(text)["counts"]
            if any(number < 0 for number in counts.values()) or sum(counts.values()) > world.most_files:
                world.broken(f"a summary counts files, and no parts: {counts} of {world.most_files}")
        elif "/.manifest/" not in uri and uri.startswith(FOLDER):
            self.stored.update(_ID.findall(text))

    def record(self, uri: str) -> None:
        """Put a recording where it is to be transcribed, or replace it."""
        content = f"recording {self.world.rng.randint(0, 9)}"
        self.files[uri] = (content, self.world.time(), str(next(self._versions)))

    def read_text(self, uri: str) -> str:
        def read() -> str:
            try:
                return self.files[uri][0]
            except KeyError:
                raise FileNotFoundError(uri) from None

        text: str = self._operate("read", uri, read)
        return text

    def write_bytes(self, uri: str, content: bytes) -> None:
        self._operate("write", uri, lambda: self._put(uri, content.decode()), writes=True)

    def create(self, uri: str, text: str) -> bool:
        def create() -> bool:
            if self.exclusive and uri in self.files:
                return False
            self._put(uri, text)
            return True

        if not self.exclusive and self._operate("look for", uri, lambda: uri in self.files):
            return False
        writer = self.world.current
        created: bool = self._operate("create", uri, create, writes=True)
        if writer is not None and self.files[uri][0] == text:
            writer.lease_at = self.world.elapsed
        return created

    def creates_exclusively(self, uri: str) -> bool:
        return self.says_exclusive

    def delete(self, uri: str) -> None:
        self._operate("delete", uri, lambda: self.files.pop(uri, None) and None, writes=True)

    def exists(self, uri: str) -> bool:
        found: bool = self._operate("look for", uri, lambda: uri in self.files)
        return found

    def info(self, uri: str) -> FileInfo:
        def look() -> FileInfo:
            if uri not in self.files:
                raise FileNotFoundError(uri)
            return self._info(uri)

        info: FileInfo = self._operate("ask for", uri, look)
        return info

    def list_files(self, folder: str) -> dict[str, FileInfo]:
        start = f"{folder}/"
        found: dict[str, FileInfo] = self._operate(
            "list",
            folder,
            lambda: {uri.removeprefix(start): self._info(uri) for uri in self.files if uri.startswith(start)},
        )
        return found

    def _info(self, uri: str) -> FileInfo:
        text, modified, version = self.files[uri]
        return FileInfo(len(text), modified, version)

    def open(self, uri: str, info: FileInfo | None = None) -> BinaryIO:
        return BytesIO(self.read_text(uri).encode())

    def map(self, function: Callable[..., Any], *items: Any) -> list[Any]:
        return list(map(function, *items))

    async def off_loop(self, uri: str, function: Callable[..., Any], *args: Any) -> Any:
        writer, world = self.world.current, self.world
        assert writer is not None
        await self._queue()
        writer.off_loop += 1
        try:
            return function(*args)
        finally:
            writer.off_loop -= 1
            if not writer.dead and world.rng.random() < 0.2:
                await asyncio.sleep(world.latency())

    async def _queue(self) -> None:
        """Wait for a thread, while the loop goes on."""
        if self.world.rng.random() < 0.2:
            await asyncio.sleep(self.world.latency())


# Where the package gets its time and chance from


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop whose waits are points of its writer."""

    world: "World"

    def __init__(self) -> None:
        super().__init__()
        self._selector = self

    def time(self) -> float:
        return _world().elapsed

    def select(self, timeout: float | None) -> tuple[()]:
        world = _world()
        if timeout is None and world.current is not None and not world.current.dead:
            world.broken("a batch ends: a writer waits for what will never happen")
        if timeout:
            world.pause(timeout)
        elif world.current is not None and world.current.dead:
            raise Killed
        return ()

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> Any:
        """Run a function as in a thread: when its turn comes, while the loop goes on."""
        return self.create_task(self._run_as_in_a_thread(func, args))

    async def _run_as_in_a_thread(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        world = _world()
        writer = world.current
        assert writer is not None
        await asyncio.sleep(world.latency())
        writer.off_loop += 1
        try:
            return func(*args)
        finally:
            writer.off_loop -= 1

    def _process_events(self, event_list: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    # Set for a whole thread, in which here are several loops.
    def _asyncgen_firstiter_hook(self, agen: object) -> None:
        pass

    def _asyncgen_finalizer_hook(self, agen: object) -> None:
        pass

    async def shutdown_asyncgens(self) -> None:
        pass

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        pass

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        pass


class SimulatedPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes simulated loops."""

    _loop_factory = SimulatedLoop


_WORLDS: list[World] = []


def _world() -> World:
    return _WORLDS[-1]


class _Said(logging.Handler):
    """Keeps the errors that are logged."""

    def emit(self, record: logging.LogRecord) -> None:
        world = _world()
        message = record.getMessage()
        world.note(f"logs: {message}")
        if world.current is None or not world.current.dead:
            world.said.append(message)


@dataclass
class Patches:
    """What is replaced in the package and in Python while histories are run."""

    world: "Callable[[], World]" = field(default=_world)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace it."""
        log = logging.getLogger("airflow_provider_laplas")
        handler, level, propagate = _Said(), log.level, log.propagate
        policy = asyncio.get_event_loop_policy()
        with ExitStack() as stack:
            for target, name, value in (
                (time, "time", lambda: _world().time()),
                (time, "monotonic", lambda: _world().monotonic()),
                (time, "sleep", lambda seconds: _world().pause(seconds)),
                (secrets, "token_hex", lambda size: f"{random.getrandbits(8 * size):0{2 * size}x}"),
            ):
                stack.enter_context(mock.patch.object(target, name, value))
            # What a writer leaves that was killed ends when it is collected, which must not be within a history.
            stack.enter_context(mock.patch.object(sys, "unraisablehook"))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", RuntimeWarning)
            gc.collect()
            gc.freeze()
            gc.disable()
            stack.callback(gc.enable)
            stack.callback(gc.unfreeze)
            asyncio.set_event_loop_policy(SimulatedPolicy())
            stack.callback(asyncio.set_event_loop_policy, policy)
            log.addHandler(handler)
            log.setLevel(logging.ERROR)
            log.propagate = False
            silenced = logging.getLogger("asyncio")
            stack.callback(silenced.setLevel, silenced.level)
            silenced.setLevel(logging.CRITICAL + 1)
            try:
                yield
            finally:
                gc.collect()
                log.removeHandler(handler)
                log.setLevel(level)
                log.propagate = propagate


@contextmanager
def inhabited(seed: int) -> Iterator[World]:
    """Make a world the one that the package lives in."""
    world = World(seed)
    state = random.getstate()
    random.seed(seed)
    _WORLDS.append(world)
    try:
        yield world
    finally:
        for writer in world.writers:
            writer.dead = True
            if writer.alive:
                writer.ended = lambda *_: None
                world.current = writer
                writer.greenlet.throw(Killed)
        _WORLDS.pop()
        random.setstate(state)
