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
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psutil

from tests.benchmarks.common import Comparison, Server, in_own_process, running_api

SIZES = (100, 1_000, 5_000, 10_000)
MAIN = 5_000
# How long the jobs of a CPU measurement have been waited for when it begins: looks come every six seconds or so.
WAITED = 40.0
INTERVAL = 6.0
WINDOW = 20.0
SPREAD = 2.0
IDLE = 3.0
# The measurements that targets are judged by are the medians of several rounds in turn.
ROUNDS = 3
FIRST_LOOK = 5.0

One = Callable[[str, float], Awaitable[None]]


@contextlib.asynccontextmanager
async def bare(server: Server, given: dict[str, Any]):
    """One session; each wait looks, decodes and sleeps as our schedule says."""
    import aiohttp  # noqa: PLC0415

    from airflow_provider_laplas.waiting import next_pause  # noqa: PLC0415

    # As in a triggerer: the garbage collector's pauses grow with all that the process has loaded, so both load the same.
    async with ours(server, given) as warm:
        await warm(*server.jobs(1, 0, 0), time.time())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def one(job: str, since: float) -> None:
            url = f"{server.address}/v1/stt/{job}"
            await asyncio.sleep(given["first_look"] + SPREAD * random.random())
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
                first_look=given["first_look"],
            )
            async for event in trigger.run():
                if event.payload["status"] != "completed":
                    raise RuntimeError(event.payload)

        yield one


@contextlib.asynccontextmanager
async def http_sensor(server: Server, given: dict[str, Any]):
    """What a deferrable HttpSensor waits with."""
    from airflow.providers.http.triggers.http import HttpSensorTrigger  # noqa: PLC0415

    async def one(job: str, since: float) -> None:
        await asyncio.sleep(given["first_look"] + SPREAD * random.random())
        trigger = HttpSensorTrigger(
            endpoint=f"v1/stt/{job}", http_conn_id="bench_http", poke_interval=INTERVAL
        )
        async for _ in trigger.run():
            return

    yield one


@contextlib.asynccontextmanager
async def http_event(server: Server, given: dict[str, Any]):
    """What an asset watcher over HTTP waits with."""
    from airflow.providers.http.triggers.http import HttpEventTrigger  # noqa: PLC0415

    async def one(job: str, since: float) -> None:
        await asyncio.sleep(given["first_look"] + SPREAD * random.random())
        trigger = HttpEventTrigger(
            "tests.benchmarks.checks.is_completed",
            http_conn_id="bench_plain",
            endpoint=f"v1/stt/{job}",
            poll_interval=INTERVAL,
        )
        async for _ in trigger.run():
            return

    yield one


CONTENDERS = {"bare": bare, "ours": ours, "HttpSensorTrigger": http_sensor, "HttpEventTrigger": http_event}


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

    first_look = given.pop("first_look")
    given["first_look"] = 0.0
    async with CONTENDERS[given["contender"]](server, given) as wait:
        # Imports, the connection and the first files are not what is measured.
        await wait(*server.jobs(1, 0, 0), time.time())
        given["first_look"] = first_look
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
        await asyncio.gather(*tasks)
        beating.cancel()
    done = (await asyncio.to_thread(server.ask, "/stats"))["jobs"]
    late = sorted(events[job] - done[job] for job in jobs)
    return {
        "contender": given["contender"],
        "waits": len(jobs),
        "GETs": requests,
        "CPU µs/GET": 1e6 * polling / max(requests, 1),
        "loop blocked ms": 1e3 * block,
        "of it GC ms": 1e3 * pause,
        "… to the end ms": 1e3 * heart.worst,
        "KB/wait": (memory_then - memory) / 1024 / len(jobs),
        "late median s": statistics.median(late),
        "late p95 s": late[int(0.95 * (len(late) - 1))],
        "CPU s in all": cpu() - before,
        "wall s": time.time() - began,
    }


def contend(server: Server, contender: str, waits: int, *, connection: str | None = None, **given: float):
    """Run one contender in a process of its own."""
    usual = {"first_look": 0.0, "waited": WAITED, "window": WINDOW}
    usual |= {"shortest": WINDOW + 2, "longest": WINDOW + 10}
    plain = json.dumps({"conn_type": "http", "host": server.address})
    return in_own_process(
        "waits",
        usual | {"address": server.address, "contender": contender, "waits": waits} | given,
        AIRFLOW_CONN_BENCH=connection or server.laplas,
        AIRFLOW_CONN_BENCH_HTTP=server.http,
        AIRFLOW_CONN_BENCH_PLAIN=plain,
    )


def median_row(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure."""
    return {
        name: value if isinstance(value, str) else statistics.median(row[name] for row in rows)
        for name, value in rows[0].items()
    }


def compare_waits() -> Comparison:
    """All contenders, and ours and the bare session over the number of waits."""
    result = Comparison("Waits on one event loop, budget off")
    with running_api() as server:
        for size in SIZES:
            rounds = range(ROUNDS if size == MAIN else 1)
            pairs = [[contend(server, name, size) for name in ("bare", "ours")] for _ in rounds]
            result.rows += [median_row(rows) for rows in zip(*pairs, strict=True)]
        for name, size in (("HttpSensorTrigger", 1_000), ("HttpEventTrigger", 500)):
            result.rows.append(contend(server, name, size))
    by = {(row["contender"], row["waits"]): row for row in result.rows}
    mine, theirs = by["ours", MAIN], by["bare", MAIN]
    ratio = mine["CPU µs/GET"] / theirs["CPU µs/GET"]
    result.aim(f"CPU per request, {MAIN} waits", "<= 1.5 x bare", ratio, met=ratio <= 1.5)
    ratio = mine["loop blocked ms"] / theirs["loop blocked ms"]
    result.aim(f"loop blocked, {MAIN} waits", "<= 1 x bare", ratio, met=ratio <= 1)
    result.aim("memory per wait", "<= 10 KB", mine["KB/wait"], met=mine["KB/wait"] <= 10)
    result.aim("10,000 waits complete", "10,000", by["ours", 10_000]["waits"], met=True)
    for name in ("HttpSensorTrigger", "HttpEventTrigger"):
        row = next(row for row in result.rows if row["contender"] == name)
        ratio = row["CPU µs/GET"] / mine["CPU µs/GET"]
        result.notes.append(
            f"{name} takes {ratio:.1f} x our CPU per request (with {row['waits']} waits only)."
        )
    result.notes.append(
        f"Looks about every {INTERVAL:g} s, begun within {SPREAD:g} s (first_look 0). CPU, loop and memory: {WINDOW:g} s "
        "of polling, before any job is done, without "
        "the heartbeat's own CPU time. '… to the end': with all completions; ours writes each reply to a file then."
    )
    return result


def compare_lateness(waits: int = 1_000) -> Comparison:
    """How long after its completion a job of 5 to 30 s is seen."""
    result = Comparison(f"From completed to event: {waits} jobs of 5 to 30 s, budget off")
    keys = ("contender", "waits", "GETs", "late median s", "late p95 s", "… to the end ms", "wall s")
    with running_api() as server:
        for name in ("bare", "ours"):
            row = contend(
                server, name, waits, first_look=FIRST_LOOK, waited=0.0, window=30.0, shortest=5, longest=30
            )
            result.rows.append({key: row[key] for key in keys})
    late = result.rows[1]["late median s"]
    result.aim("median", "<= 1.5 s", late, met=late <= 1.5)
    result.notes.append("Both look first after 5 to 7 s, the trigger's default.")
    return result


def compare_budget(waits: int = MAIN) -> Comparison:
    """The default budget, against an API that refuses more than 100 requests a second."""
    result = Comparison(f"Budget on: {waits} waits, an API that allows 100 requests a second")
    with running_api(limit=100) as server:
        connection = server.connection(max_requests_per_second=None)
        row = contend(
            server,
            "ours",
            waits,
            connection=connection,
            first_look=FIRST_LOOK,
            waited=0.0,
            window=10.0,
            shortest=5,
            longest=30,
        )
        seconds = {int(second): counts for second, counts in server.ask("/stats")["seconds"].items()}
    first = min(seconds)
    later = [counts for second, counts in seconds.items() if second - first >= 10]
    refused = 100 * sum(counts[2] for counts in later) / max(1, sum(counts[1] for counts in later))
    all_refused = sum(counts[2] for counts in seconds.values())
    result.rows.append(
        {
            "waits": row["waits"],
            "requests": sum(counts[1] for counts in seconds.values()),
            "most in a second": max(counts[1] for counts in seconds.values()),
            "429s": all_refused,
            "late median s": row["late median s"],
            "late p95 s": row["late p95 s"],
            "wall s": row["wall s"],
        }
    )
    result.aim("all complete", f"{waits:,}", row["waits"], met=True)
    result.aim("429s after 10 s, % of requests", "< 1", refused, met=refused < 1)
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.loads(sys.argv[1])))))  # noqa: T201
