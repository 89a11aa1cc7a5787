"""What a batch costs as it grows: bytes, requests, CPU time and memory, of a first run and of a later one."""

import asyncio
import json
import logging
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.common import Comparison, in_own_process, show
from tests.benchmarks.objects import INBOX, OUT, Bucket, storage_of
from tests.fake_api import transcript_reply

SIZES = (1_000, 10_000, 100_000)
IN_FLIGHT = 200
"""The operator's default."""

SUBMISSION = (0.2, 0.4)
"""Seconds that the API takes to accept a file, at least and at most."""

JOB = (5.0, 20.0)
"""Seconds that a job lasts, at least and at most."""

SPEED = 30
"""How many times as fast as in reality the larger runs go; the clocks of the batch as well."""

BUDGET = 50.0
"""Requests a second that go to the API: the connection's default."""

BOOKKEEPING = ("leases", "plan", "journal", "checkpoint", "summary", "manifest")

KIB, MIB = 1 << 10, 1 << 20


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


def run_batch(given: dict[str, Any]) -> dict[str, Any]:
    """Run a batch as Airflow does: in a worker, in a trigger, in a worker again, until it is done."""
    # Airflow is imported in the process that is measured only, and before it is.
    from airflow_provider_laplas import storage, triggers  # noqa: PLC0415
    from airflow_provider_laplas.batch import batch as steps  # noqa: PLC0415
    from airflow_provider_laplas.results.keeping import TaskKey  # noqa: PLC0415

    speed, task = given["speed"], TaskKey("bench", given["run"], "transcribe")
    bucket, client = Bucket(Path(given["folder"]), given["files"], speed), StandIn(speed)
    patched_storage = storage_of(bucket)
    with _patched(speed, patched_storage, client):
        memory, cpu, began = _peak(), time.process_time(), time.monotonic()
        cycles, peaks = 0, {"imported": memory}
        batch = _batch(given)
        state = batch.begin(task, 0, durable=True)
        peaks["begin"] = _peak()
        while True:
            batch.publish(state)
            peaks["publish"] = _peak()
            if batch.submit(state):
                state.hand_over()
                peaks["submit"] = _peak()
                trigger = triggers.STTBatchTrigger(
                    conn_id="bench",
                    manifest=state.uri,
                    lease_token=str(state.lease.number),
                    poll_interval=10.0,
                    resume_at=batch.resume_at(state),
                    first_poll=0.0,
                    only_json=batch.output.only_json,
                    quality=asdict(batch.output.quality),
                )
                del state
                event = asyncio.run(_fired(trigger))
                assert event.payload == {"status": "waited"}, event.payload
                cycles += 1
                peaks["wait"] = _peak()
                batch = _batch(given)
                state = batch.load(task)
            elif finished := batch.finish(state):
                break
        summary = batch.summarise(finished[0])
    spent, peak = time.process_time() - cpu, _peak()
    assert summary["completed"] == given["files"], summary
    return {
        "new": client.submitted,
        "cycles": cycles,
        "seconds": time.monotonic() - began,
        "cpu": spent - bucket.own_cpu,
        "storage_cpu": bucket.own_cpu,
        "peaks": peaks | {"finish": peak},
        "written": dict(bucket.written),
        "requests": dict(bucket.requests),
    }


async def _fired(trigger: Any) -> Any:
    return await anext(trigger.run())


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
        output=Output(("json",), None, DEFAULT_QUALITY),
        poll_interval=10.0,
    )


@contextmanager
def _patched(speed: float, storage: Any, client: StandIn) -> Iterator[None]:
    """Put the doubles in place of Airflow's storage and the client, and let the batch's clocks run faster."""
    from unittest.mock import patch  # noqa: PLC0415

    from airflow_provider_laplas import hooks, storage as storages  # noqa: PLC0415
    from airflow_provider_laplas.batch import batch as steps, timing  # noqa: PLC0415
    from airflow_provider_laplas.manifest import summary  # noqa: PLC0415

    clocks = [(timing, name) for name in ("PATIENCE", "LEASE_VALID", "SAVE_EVERY", "HEARTBEAT")]
    clocks.append((summary, "WRITE_EVERY"))
    with patch.object(storages, "_AIRFLOW", storage), patch.object(hooks, "shared_client", lambda _: client):
        with patch.object(steps, "shared_client", lambda _: client):
            before = [getattr(module, name) for module, name in clocks]
            for (module, name), seconds in zip(clocks, before, strict=True):
                setattr(module, name, seconds / speed)
            yield
            for (module, name), seconds in zip(clocks, before, strict=True):
                setattr(module, name, seconds)


def _peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (MIB if sys.platform == "darwin" else KIB)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given.get("profile"):
        import cProfile
        import pstats
        import threading

        # 3.12 and later profile all threads; here those of the executors as well.
        profile = cProfile.Profile()
        profile.enable()
        result = run_batch(given)
        profile.disable()
        profile.dump_stats(given["profile"])
    else:
        result = run_batch(given)
    print(json.dumps(result))  # noqa: T201
