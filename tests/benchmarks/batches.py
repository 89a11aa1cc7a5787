"""
What a batch costs as it grows: bytes, requests, CPU time and memory, of a first run and of a later one.

``python -m tests.benchmarks batches --files 1000 10000`` is a quick run.
"""

import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.benchmarks.common import Comparison, in_own_process
from tests.benchmarks.objects import INBOX, NAMES_A_LISTING, OUT, SECONDS, Bucket, storage_of
from tests.fake_api import transcript_reply

SIZES = (1_000, 10_000, 100_000)
IN_FLIGHT = 200
"""The operator's default."""

MANY_IN_FLIGHT = 5_000
REALTIME = 1_000
"""Files of the run whose requests are counted in real time."""

SPEED = 30
"""How many times as fast as in reality the other runs go; the clocks of the batch as well."""

SUBMISSION = (0.2, 0.4)
"""Seconds that the API takes to accept a file, at least and at most."""

JOB = (5.0, 20.0)
"""Seconds that a job lasts, at least and at most."""

BUDGET = 50.0
"""Requests a second that go to the API: the connection's default."""

NOT_COUNTED = {"audio", "transcripts"}
"""What is written for its own sake; all else is the batch's memory."""

KIB, MIB = 1 << 10, 1 << 20


def compare_batches(sizes: Sequence[int] = SIZES) -> Comparison:
    """First runs of all sizes, with more files in flight, in real time and with captions, and a later run over the largest."""
    waits = {name: f"{1000 * seconds:g} ms" for name, seconds in SECONDS.items()}
    result = Comparison(
        "Batches as they grow",
        "The worker's and the trigger's half of a TranscribeBatchOperator in turn, in one process, over a folder of small "
        f"uploads, with the operator's defaults (max_in_flight={IN_FLIGHT}, formats json, default checks of the quality). The "
        f"storage counts what is asked of it, answers a GET in {waits['GET']}, a PUT in {waits['PUT']}, and lists "
        f"{NAMES_A_LISTING:,} names a request. In place of the HTTP client, whose cost is that of a wait above, something that "
        f"accepts a file in {SUBMISSION[0]:g} to {SUBMISSION[1]:g} s and has it done after {JOB[0]:g} to {JOB[1]:g} s, at "
        f"{BUDGET:g} requests a second. All these times, and the intervals of the batch, are {SPEED} times as short, except "
        "in the last two runs, in real time, in which a process that mostly sleeps pays more CPU time for each waking. Neither the storage's CPU time counts nor the bytes of the transcripts: what is written "
        "are leases, plan, journal, checkpoints, summaries, manifest and snapshot. Memory: the most that the process had, and how much "
        "that is above what it had after its imports.",
    )
    load = []
    with tempfile.TemporaryDirectory(prefix="laplas-bench-") as temporary:

        def run(
            kind: str,
            files: int,
            *,
            folder: str,
            in_flight: int = IN_FLIGHT,
            speed: float = SPEED,
            formats: Sequence[str] = ("json",),
        ) -> Any:
            Path(folder).mkdir(exist_ok=True)
            given = {"run": kind, "files": files, "in_flight": in_flight, "speed": speed, "folder": folder}
            given["formats"] = formats
            figures = in_own_process("batches", given)
            load.append(os.getloadavg()[1])
            result.rows.append(_row(kind, files, in_flight, figures))
            return figures

        first = [run("first", files, folder=f"{temporary}/{files}") for files in sizes]
        later = run("later", sizes[-1], folder=f"{temporary}/{sizes[-1]}")
        many = run("first", sizes[-1], folder=f"{temporary}/many", in_flight=min(MANY_IN_FLIGHT, sizes[-1]))
        every = run("first", sizes[-1], folder=f"{temporary}/every", in_flight=sizes[-1])
        realtime = run("first, in real time", REALTIME, folder=f"{temporary}/realtime", speed=1)
        further = run(
            "first, with srt", REALTIME, folder=f"{temporary}/srt", speed=1, formats=("json", "srt")
        )
    _judge(result, sizes, first, later, (many, every), (realtime, further))
    if max(load) > (os.cpu_count() or 1):
        result.notes.append(
            f"The machine was busy with other things meanwhile (a load of up to {max(load):.0f}), which costs CPU time, too."
        )
    return result


def _row(kind: str, files: int, in_flight: int, figures: Mapping[str, Any]) -> dict[str, Any]:
    new, requests = figures["new"], sum(figures["requests"].values())
    return {
        "run": kind,
        "files": files,
        "in flight": in_flight,
        "deferrals": figures["cycles"],
        "bytes written/file": figures["bytes"] / files,
        "requests": requests,
        "requests/new file": requests / new if new else "",
        "CPU, s": figures["cpu"],
        "CPU/file, ms": 1000 * figures["cpu"] / files,
        "memory, MiB": figures["memory"],
        "above imports, MiB": figures["growth"],
    }


def _judge(
    result: Comparison,
    sizes: Sequence[int],
    first: Sequence[Mapping[str, Any]],
    later: Mapping[str, Any],
    in_flight: Sequence[Mapping[str, Any]],
    in_real_time: Sequence[Mapping[str, Any]],
) -> None:
    each = {
        "bytes written a file": (
            [one["bytes"] / size for one, size in zip(first, sizes, strict=True)],
            2000,
            "",
        ),
        "CPU a file": (
            [1000 * one["cpu"] / size for one, size in zip(first, sizes, strict=True)],
            2.5,
            " ms",
        ),
    }
    for name, (measured, most, unit) in each.items():
        for value, size in zip(measured, sizes, strict=True):
            result.aim(f"{name}, {size:,} files", f"<= {most:,}{unit}", value, met=value <= most)
        ratio = measured[-1] / measured[0]
        result.aim(f"{name}, {sizes[-1]:,} / {sizes[0]:,}", "<= 1.2", ratio, met=ratio <= 1.2)
    many, every = in_flight
    runs = {
        "first run": first[-1],
        f"{MANY_IN_FLIGHT:,} in flight": many,
        "all in flight": every,
        "later run": later,
    }
    for name, one in runs.items():
        value = one["memory"]
        result.aim(f"memory, {sizes[-1]:,} files, {name}", "<= 400 MiB", value, met=value <= 400)
    most_requests = 2 * sizes[-1] / 1000 + 20
    asked = sum(later["requests"].values())
    result.aim(
        "requests of a later run", f"<= {most_requests:,.0f}", float(asked), met=asked <= most_requests
    )
    result.aim("CPU of a later run", "<= 25 s", later["cpu"], met=later["cpu"] <= 25)
    realtime, further = in_real_time
    # A process that mostly sleeps pays more CPU time for each waking than one that is kept busy.
    cpu = 1000 * realtime["cpu"] / REALTIME
    result.aim(f"CPU a file, {REALTIME:,} in real time", "<= 2.5 ms", cpu, met=cpu <= 2.5)
    per_file = sum(realtime["requests"].values()) / REALTIME
    result.aim(f"requests a file, {REALTIME:,} in real time", "<= 3.2", per_file, met=per_file <= 3.2)
    more = sum(further["requests"].values()) / REALTIME - per_file
    result.aim("requests for a further format", "<= 1", more, met=more <= 1.01)


# In the process that is measured


class StandIn:
    """The client, without HTTP: it takes what is submitted, and has it done after some seconds."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._reply = transcript_reply()
        self._drawn = random.Random(1)
        self._next = 0.0
        self.submitted = 0

    async def submit(
        self, audio: Any, *, model: str, options: Mapping[str, Any], before: Callable[[], Awaitable[object]]
    ) -> str:
        """Take a file."""
        await self._permit()
        await before()
        with audio.open() as file:
            file.read()
        await asyncio.sleep(self._drawn.uniform(*SUBMISSION) / self._speed)
        self.submitted += 1
        return f"{self._drawn.getrandbits(128):032x}"

    async def wait_for(self, poller: Any) -> Any:
        """Return the finished generation, once it is."""
        from airflow_provider_laplas.api.responses import Generation, State  # noqa: PLC0415

        await asyncio.sleep(self._drawn.uniform(*JOB) / self._speed)
        await self._permit()
        return Generation(poller.generation_id, "completed", State.COMPLETED, self._reply)

    async def _permit(self) -> None:
        """Wait for one of the requests that are allowed in a second."""
        now = time.monotonic()
        self._next = max(self._next + 1 / BUDGET / self._speed, now)
        if self._next > now:
            await asyncio.sleep(self._next - now)


def run_batch(given: Mapping[str, Any]) -> dict[str, Any]:
    """Run a batch as Airflow does: in a worker, in a trigger, in a worker again, until it is done."""
    # Airflow is imported in the process that is measured only, and before it is.
    from airflow_provider_laplas.results.keeping import TaskKey  # noqa: PLC0415

    task = TaskKey("bench", given["run"], "transcribe")
    bucket = Bucket(Path(given["folder"]), given["files"], given["speed"])
    client = StandIn(given["speed"])
    with _in_place(bucket, client):
        imported, cpu, began = _peak(), time.process_time(), time.monotonic()
        cycles = 0
        batch = _batch(given)
        state = batch.begin(task, 0, durable=True)
        while True:
            batch.publish(state)
            if batch.submit(state):
                state.hand_over()
                trigger = _trigger(batch, state)
                # Another process goes on with what was noted.
                del state
                asyncio.run(_fired(trigger))
                cycles += 1
                batch = _batch(given)
                state = batch.load(task)
            elif finished := batch.finish(state):
                break
        summary = batch.summarise(finished[0])
    spent, peak = time.process_time() - cpu, _peak()
    if summary["completed"] != given["files"]:
        raise RuntimeError(f"Not all are done: {summary}")
    return {
        "new": client.submitted,
        "cycles": cycles,
        "seconds": time.monotonic() - began,
        "cpu": spent - bucket.own_cpu,
        "memory": peak,
        "growth": peak - imported,
        "bytes": sum(size for kind, size in bucket.written.items() if kind not in NOT_COUNTED),
        "written": dict(bucket.written),
        "requests": dict(bucket.requests),
    }


def _trigger(batch: Any, state: Any) -> Any:
    from airflow_provider_laplas.triggers import STTBatchTrigger  # noqa: PLC0415

    return STTBatchTrigger(
        conn_id="bench",
        manifest=state.uri,
        lease_token=str(state.lease.number),
        poll_interval=10.0,
        resume_at=batch.resume_at(state),
        first_poll=0.0,
        formats=list(batch.output.formats),
        quality=asdict(batch.output.quality),
    )


async def _fired(trigger: Any) -> None:
    event = await anext(trigger.run())
    if event.payload != {"status": "waited"}:
        raise RuntimeError(f"The trigger failed: {event.payload}")


def _batch(given: Mapping[str, Any]) -> Any:
    """Return a batch with the operator's defaults."""
    from airflow_provider_laplas.api.resume import ResumePolicy  # noqa: PLC0415
    from airflow_provider_laplas.batch.batch import Batch  # noqa: PLC0415
    from airflow_provider_laplas.batch.limits import BatchLimits  # noqa: PLC0415
    from airflow_provider_laplas.batch.submit import Request  # noqa: PLC0415
    from airflow_provider_laplas.results.output import Output  # noqa: PLC0415
    from airflow_provider_laplas.transcript.quality import DEFAULT_QUALITY  # noqa: PLC0415

    limits = {"max_failed": 0, "max_files": None, "max_audio_seconds": None, "deduplicate": False}
    return Batch(
        conn_id="bench",
        audio=INBOX,
        folder=OUT,
        request=Request("m", {}, 3600.0, ResumePolicy()),
        limits=BatchLimits.check(max_in_flight=given["in_flight"], **limits),
        output=Output(tuple(given["formats"]), None, DEFAULT_QUALITY),
        poll_interval=10.0,
    )


@contextmanager
def _in_place(bucket: Bucket, client: StandIn) -> Iterator[None]:
    """Put the doubles in place of Airflow's storage and the client, and let the batch's clocks go as fast as theirs."""
    from airflow_provider_laplas import hooks, storage  # noqa: PLC0415
    from airflow_provider_laplas.batch import batch, submit, timing  # noqa: PLC0415
    from airflow_provider_laplas.manifest import summary  # noqa: PLC0415

    clocks = [(timing, name) for name in ("PATIENCE", "LEASE_VALID", "SAVE_EVERY", "HEARTBEAT")]
    clocks += [(summary, "WRITE_EVERY"), (submit, "WRITE_EVERY")]
    with ExitStack() as stack:
        stack.enter_context(patch.object(storage, "_AIRFLOW", storage_of(bucket)))
        for module in (hooks, batch):
            stack.enter_context(patch.object(module, "shared_client", lambda _: client))
        for module, name in clocks:
            seconds = getattr(module, name) / bucket.speed
            stack.enter_context(patch.object(module, name, seconds))
        yield


def _peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (MIB if sys.platform == "darwin" else KIB)


if __name__ == "__main__":
    print(json.dumps(run_batch(json.loads(sys.argv[1]))))  # noqa: T201
