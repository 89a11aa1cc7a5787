"""
Thousands of waits on one event loop: a bare session, our trigger, and the HTTP provider's two.

Each contender imports what it needs in its own process, so that none carries another's memory.
"""

import asyncio
import contextlib
import gc
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import psutil

from tests.benchmarks.common import BARE, OURS, Comparison, Server, in_own_process, running_api, show

SIZES = (100, 1_000, 5_000, 10_000)
# At one size every contender runs; at another the targets are judged, by the medians of several rounds in turn.
BESIDE = 1_000
MAIN = 5_000
ROUNDS = 3
# How long the jobs of a CPU measurement have been waited for when it begins: polls come every six seconds or so.
WAITED = 40.0
INTERVAL = 6.0
WINDOW = 20.0
SPREAD = 2.0
IDLE = 3.0
FIRST_POLL = 5.0
# A wait that has not ended so long after the window is counted as one that never does.
PATIENCE = 600.0

One = Callable[[str, float], Awaitable[None]]


async def only_event(trigger: Any) -> Any:
    """Run a trigger to its end and return what its event carries; without exactly one event it is an error."""
    (event,) = [event async for event in trigger.run()]
    return event.payload


@contextlib.asynccontextmanager
async def bare(server: Server, given: dict[str, Any]):
    """One session; each wait polls, decodes and sleeps as our schedule says."""
    import aiohttp  # noqa: PLC0415

    from airflow_provider_laplas.api.poller import next_pause  # noqa: PLC0415

    # As in a triggerer: the garbage collector's pauses grow with all that the process has loaded, so both load the same.
    async with ours(server, given) as warm:
        await warm(*server.jobs(1, 0, 0), time.time())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def one(job: str, since: float) -> None:
            url = f"{server.address}/v1/stt/{job}"
            await asyncio.sleep(given["first_poll"] + SPREAD * random.random())
            while True:
                async with session.get(url) as answer:
                    if json.loads(await answer.read())["status"] == "completed":
                        return
                await asyncio.sleep(next_pause(time.time() - since))

        yield one


@contextlib.asynccontextmanager
async def ours(server: Server, given: dict[str, Any]):
    """Our trigger, with its transcripts written to a folder."""
    from airflow_provider_laplas.triggers import STTCompletionTrigger  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        task = {"dag_id": "bench", "run_id": "bench", "task_id": "bench", "map_index": -1}

        async def one(job: str, since: float) -> None:
            trigger = STTCompletionTrigger(
                conn_id="bench",
                generation_id=job,
                deadline=time.time() + 3600,
                submitted_at=since,
                results_path=f"file://{folder}",
                task=task,
                first_poll=given["first_poll"],
            )
            payload = await only_event(trigger)
            if payload["status"] != "completed":
                raise RuntimeError(payload)

        yield one


def with_trigger(given: dict[str, Any], trigger: type[Any], **arguments: Any) -> One:
    """Wait with a trigger of the HTTP provider, from the time of our first look on."""

    async def one(job: str, since: float) -> None:
        await asyncio.sleep(given["first_poll"] + SPREAD * random.random())
        await only_event(trigger(endpoint=f"v1/stt/{job}", **arguments))

    return one


@contextlib.asynccontextmanager
async def http_sensor(server: Server, given: dict[str, Any]):
    """What a deferrable HttpSensor waits with."""
    from airflow.providers.http.triggers.http import HttpSensorTrigger  # noqa: PLC0415

    yield with_trigger(given, HttpSensorTrigger, http_conn_id="bench_http", poke_interval=INTERVAL)


@contextlib.asynccontextmanager
async def http_event(server: Server, given: dict[str, Any]):
    """What an asset watcher over HTTP waits with."""
    from airflow.providers.http.triggers.http import HttpEventTrigger  # noqa: PLC0415

    check = "tests.benchmarks.checks.is_completed"
    yield with_trigger(
        given, HttpEventTrigger, response_check_path=check, http_conn_id="bench_plain", poll_interval=INTERVAL
    )


CONTENDERS = {BARE: bare, OURS: ours, "HttpSensorTrigger": http_sensor, "HttpEventTrigger": http_event}


class Heart:
    """A task that wants to beat every 10 ms, and how late it was at worst."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def beat(self) -> None:
        while True:
            due = time.perf_counter() + 0.01
            await asyncio.sleep(0.01)
            self.worst = max(self.worst, time.perf_counter() - due)


class Collections:
    """The longest pause of the garbage collector, which stops every event loop alike."""

    def __init__(self) -> None:
        self.worst = self._began = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: Any) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.worst = max(self.worst, time.perf_counter() - self._began)


def cpu() -> float:
    """Return this process's CPU seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(given: dict[str, Any]) -> dict[str, Any]:
    """Run one contender and return its figures."""
    server = Server(given["address"])
    heart = Heart()
    events: dict[str, float] = {}

    async def one(job: str, since: float) -> None:
        await wait(job, since)
        events[job] = time.time()

    first_poll = given.pop("first_poll")
    given["first_poll"] = 0.0
    async with CONTENDERS[given["contender"]](server, given) as wait:
        # Imports, the connection and the first files are not what is measured.
        await wait(*server.jobs(1, 0, 0), time.time())
        given["first_poll"] = first_poll
        gc.collect()
        memory = psutil.Process().memory_info().rss
        beating = asyncio.create_task(heart.beat())
        # The heartbeat's own CPU time, which would weigh on few waits only.
        idle = cpu()
        await asyncio.sleep(IDLE)
        idle = (cpu() - idle) / IDLE
        jobs = await asyncio.to_thread(server.jobs, given["waits"], given["shortest"], given["longest"])
        since = time.time() - given["waited"]
        heart.worst, collections = 0.0, Collections()
        began, before, asked = time.time(), cpu(), server.ask("/gets")
        tasks = []
        for n, job in enumerate(jobs):
            tasks.append(asyncio.create_task(one(job, since)))
            if n % 100 == 99:
                await asyncio.sleep(0)
        await asyncio.sleep(given["window"])
        polling = cpu() - before - idle * (time.time() - began)
        memory_then = psutil.Process().memory_info().rss
        block, pause = heart.worst, collections.worst
        requests = await asyncio.to_thread(server.ask, "/gets") - asked
        await tell_failures(tasks)
        beating.cancel()
    done = (await asyncio.to_thread(server.ask, "/stats"))["jobs"]
    late = sorted(seen - done[job] for job, seen in events.items())
    return {
        "waiting with": given["contender"],
        "waits": len(jobs),
        "completed": len(events),
        "requests": requests,
        "CPU/request, µs": 1e6 * polling / max(requests, 1),
        "loop blocked, ms": 1e3 * block,
        "garbage collector, ms": 1e3 * pause,
        "blocked to the end, ms": 1e3 * heart.worst,
        "memory/wait, KB": (memory_then - memory) / 1024 / len(jobs),
        "late, median s": statistics.median(late),
        "late, 95 % within s": late[int(0.95 * (len(late) - 1))],
        "seconds": time.time() - began,
    }


async def tell_failures(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let all waits end, and say on the terminal how many did not, and why."""
    ended, hanging = await asyncio.wait(tasks, timeout=PATIENCE)
    for task in hanging:
        task.cancel()
    errors = [error for task in ended if (error := task.exception())]
    if hanging:
        print(f"{len(hanging)} waits did not end.", file=sys.stderr)  # noqa: T201
    if errors:
        print(f"{len(errors)} waits failed, one with {errors[0]!r}.", file=sys.stderr)  # noqa: T201


def chosen(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return a part of a row."""
    return {name: row[name] for name in columns}


def contend(server: Server, contender: str, waits: int, *, connection: str | None = None, **given: float):
    """Run one contender in a process of its own."""
    usual = {"first_poll": 0.0, "waited": WAITED, "window": WINDOW}
    usual |= {"shortest": WINDOW + 2, "longest": WINDOW + 10}
    return in_own_process(
        "waits",
        usual | {"address": server.address, "contender": contender, "waits": waits} | given,
        **server.connections(connection or server.connection()),
    )


def median_row(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure, but of the completed waits the fewest: a loss is not averaged away."""
    medians = {
        name: value if isinstance(value, str) else statistics.median(row[name] for row in rows)
        for name, value in rows[0].items()
    }
    return medians | {"completed": min(row["completed"] for row in rows)}


def compare_waits(sizes: Sequence[int] = SIZES, main: int = MAIN, beside: int = BESIDE) -> Comparison:
    """Ours and the bare session over the number of waits, and all contenders at one number."""
    result = Comparison(
        "Waits on one event loop",
        f"Each contender waits in a process of its own, with one poll of each job about every {INTERVAL:g} s and no budget "
        "of requests (max_requests_per_second 0). HttpSensorTrigger is what a deferrable HttpSensor waits with, "
        "HttpEventTrigger what an asset watcher over HTTP waits with. CPU time, the longest block of the loop, the "
        f"garbage collector's longest pause and memory are those of {WINDOW:g} s of polling, in which no job is done; "
        "to the end: with all completions, each of which ours writes to a file and the others do not. "
        f"{main:,} waits: medians of {ROUNDS} rounds; all other rows: one round.",
    )
    columns = (
        *("waiting with", "waits", "completed", "requests", "CPU/request, µs", "loop blocked, ms"),
        *("garbage collector, ms", "blocked to the end, ms", "memory/wait, KB"),
    )
    with running_api() as server:
        for size in sizes:
            names = CONTENDERS if size == beside else (BARE, OURS)
            rounds = range(ROUNDS if size == main else 1)
            measured = [[contend(server, name, size) for name in names] for _ in rounds]
            result.rows += [chosen(median_row(rows), columns) for rows in zip(*measured, strict=True)]
    by = {(row["waiting with"], row["waits"]): row for row in result.rows}
    mine, theirs = by[OURS, main], by[BARE, main]
    ratio = mine["CPU/request, µs"] / theirs["CPU/request, µs"]
    result.aim(f"CPU per request, {main:,} waits", "<= 1.5 x bare", ratio, met=ratio <= 1.5)
    ratio = mine["loop blocked, ms"] / theirs["loop blocked, ms"]
    result.aim(f"loop blocked, {main:,} waits", "<= 1 x bare", ratio, met=ratio <= 1)
    result.aim("memory per wait", "<= 10 KB", mine["memory/wait, KB"], met=mine["memory/wait, KB"] <= 10)
    aim_all_completed(result, by[OURS, max(sizes)])
    times = {
        name: by[name, beside]["CPU/request, µs"] / by[OURS, beside]["CPU/request, µs"]
        for name in CONTENDERS
        if name != OURS
    }
    beside_ours = ", ".join(f"{name} {show(ratio)} times" for name, ratio in times.items())
    result.notes.append(f"CPU time per request beside ours, at {beside:,} waits: {beside_ours}.")
    return result


def aim_all_completed(result: Comparison, row: Mapping[str, Any]) -> None:
    """Note whether as many waits have completed as were begun."""
    begun, completed = row["waits"], row["completed"]
    result.aim(f"{begun:,} waits complete", f"{begun:,}", completed, met=completed == begun)


def compare_lateness(waits: int = 1_000) -> Comparison:
    """How long after its completion a job of 5 to 30 s is seen."""
    result = Comparison(
        "From completed to seen",
        f"How long after its completion a job of 5 to 30 s is seen, with {waits:,} waits begun at once and no budget of "
        "requests. Both poll first after 5 to 7 s, the trigger's default, and then at the trigger's pauses. "
        "Blocked to the end: the longest block of the event loop, with all completions.",
    )
    columns = (
        *("waiting with", "waits", "completed", "requests", "late, median s", "late, 95 % within s"),
        *("blocked to the end, ms", "seconds"),
    )
    with running_api() as server:
        for name in (BARE, OURS):
            row = contend(
                server, name, waits, first_poll=FIRST_POLL, waited=0.0, window=30.0, shortest=5, longest=30
            )
            result.rows.append(chosen(row, columns))
    late = result.rows[1]["late, median s"]
    result.aim("median", "<= 1.5 s", late, met=late <= 1.5)
    return result


def compare_budget(waits: int = MAIN) -> Comparison:
    """The default budget, against an API that refuses more than 100 requests a second."""
    result = Comparison(
        "With the default budget of requests",
        f"{waits:,} waits for jobs of 5 to 30 s, begun at once, with max_requests_per_second as it comes (50), against an "
        "API that answers 429 to more than 100 requests a second.",
    )
    with running_api(limit=100) as server:
        connection = server.connection(max_requests_per_second=None)
        row = contend(
            server,
            OURS,
            waits,
            connection=connection,
            first_poll=FIRST_POLL,
            waited=0.0,
            window=10.0,
            shortest=5,
            longest=30,
        )
        seconds = {int(second): counts for second, counts in server.ask("/stats")["seconds"].items()}
    first = min(seconds)
    later = [counts for second, counts in seconds.items() if second - first >= 10]
    refused = 100 * sum(counts[2] for counts in later) / max(1, sum(counts[1] for counts in later))
    result.rows.append(
        chosen(row, ("waiting with", "waits", "completed"))
        | {
            "requests": sum(counts[1] for counts in seconds.values()),
            "most in a second": max(counts[1] for counts in seconds.values()),
            "429s": sum(counts[2] for counts in seconds.values()),
            "429s after 10 s, %": refused,
        }
        | chosen(row, ("late, median s", "late, 95 % within s", "seconds"))
    )
    aim_all_completed(result, row)
    result.aim("429s after 10 s, % of requests", "< 1", refused, met=refused < 1)
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.loads(sys.argv[1])))))  # noqa: T201
