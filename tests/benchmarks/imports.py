"""What a DAG file pays for importing our operators and sensors."""

import importlib
import json
import statistics
import sys
import time
from typing import Any

from tests.benchmarks.common import Comparison, in_own_process

ROUNDS = 5
BASES = ("airflow.sdk", "airflow.sdk.bases.operator", "airflow.sdk.bases.sensor", "airflow.triggers.base")
NAMES = ("BaseOperator", "BaseSensorOperator", "Context", "ObjectStoragePath", "conf")
OURS = ("airflow_provider_laplas.operators", "airflow_provider_laplas.sensors")
HEAVY = ("aiohttp", "requests", "fastapi", "faster_whisper", "av")


def time_imports() -> dict[str, Any]:
    """Import the bases, then ours, and say how long each took and what heavy module came with ours."""
    began = time.perf_counter()
    for module in BASES:
        importlib.import_module(module)
    compat = importlib.import_module("airflow.providers.common.compat.sdk")
    for name in NAMES:
        getattr(compat, name)
    there = set(sys.modules)
    middle = time.perf_counter()
    for module in OURS:
        importlib.import_module(module)
    end = time.perf_counter()
    added = set(sys.modules) - there
    heavy = [name for name in HEAVY if name in added]
    return {"bases": middle - began, "ours": end - middle, "modules": len(added), "heavy": heavy}


def compare_imports() -> Comparison:
    """Several runs, each in a new process."""
    result = Comparison(
        "Import of operators and sensors",
        "What a DAG file pays for importing them, beside the base classes of Airflow that every provider needs. "
        f"Medians of {ROUNDS} runs, each in a new process. Heavy are {', '.join(HEAVY)}.",
    )
    runs = [in_own_process("imports", {}) for _ in range(ROUNDS)]
    mine = 1e3 * statistics.median(run["ours"] for run in runs)
    result.rows.append(
        {
            "Airflow's base classes, ms": 1e3 * statistics.median(run["bases"] for run in runs),
            "ours on top, ms": mine,
            "modules added": runs[0]["modules"],
            "heavy ones among them": ", ".join(runs[0]["heavy"]) or "none",
        }
    )
    result.aim("ours on top", "<= 50 ms", mine, met=mine <= 50)
    return result


if __name__ == "__main__":
    print(json.dumps(time_imports()))  # noqa: T201
