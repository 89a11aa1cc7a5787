"""A file of 1 GiB, uploaded by the hook and by curl to the same server, which throws it away."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.common import Comparison, MemoryGrowth, Server, in_own_process, running_api

SIZE = 1 << 30
ROUNDS = 3


def with_hook(given: dict[str, Any]) -> dict[str, float]:
    """Upload by the hook, watching this process's memory."""
    # Airflow is imported in the process that uploads only.
    from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

    with LaplasHook("bench") as hook:
        hook.submit(given["small"])
        with MemoryGrowth() as growth:
            began = time.perf_counter()
            hook.submit(given["file"])
            seconds = time.perf_counter() - began
    return {"seconds": seconds, "growth": growth.mebibytes}


def with_curl(server: Server, file: Path) -> float:
    """Upload by curl and return the seconds that it says it took."""
    said = subprocess.run(
        [
            *("curl", "-sS", "-o", "/dev/null", "-w", "%{time_total}", "-H", "Authorization: Bearer key"),
            *("-F", f"file=@{file}", "-F", "model=m", f"{server.address}/v1/stt/create"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(said.stdout)


def compare_upload() -> Comparison:
    """Time beside curl's, and memory."""
    result = Comparison(
        "Upload of 1 GiB",
        "The same file to the same server on this machine, which throws it away: the network is not what is measured. "
        f"Times are medians of {ROUNDS} uploads in turn, memory is the most that any of them took.",
    )
    if not shutil.which("curl"):
        result.notes.append("Left out: there is no curl.")
        return result
    mine, theirs = [], []
    with running_api() as server, tempfile.TemporaryDirectory() as folder:
        file, small = Path(folder) / "talk.wav", Path(folder) / "small.wav"
        small.write_bytes(b"RIFF" + bytes(1000))
        with file.open("wb") as handle:
            handle.truncate(SIZE)
        for _ in range(ROUNDS):
            theirs.append(with_curl(server, file))
            given = {"file": str(file), "small": str(small)}
            mine.append(in_own_process("upload", given, AIRFLOW_CONN_BENCH=server.connection()))
    seconds, growth = statistics.median(one["seconds"] for one in mine), max(one["growth"] for one in mine)
    curl = statistics.median(theirs)
    result.rows += [
        {"uploading with": "curl -F", "seconds": curl, "GiB/s": 1 / curl, "memory growth, MiB": ""},
        {
            "uploading with": "LaplasHook.submit",
            "seconds": seconds,
            "GiB/s": 1 / seconds,
            "memory growth, MiB": growth,
        },
    ]
    result.aim("time", "<= 1.5 x curl", seconds / curl, met=seconds / curl <= 1.5)
    result.aim("memory growth", "<= 64 MiB", growth, met=growth <= 64)
    return result


if __name__ == "__main__":
    print(json.dumps(with_hook(json.loads(sys.argv[1]))))  # noqa: T201
