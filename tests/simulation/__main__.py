"""Runs histories, and prints the seed and the trace of one that breaks a property."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.faults_back import FAULTS
from tests.simulation.histories import History, prepared, run

CHUNK = 250


def _run_chunk(start: int, fault: str | None, stop: int, *, parts: bool) -> tuple[list[History], int]:
    begin, steps = start, 0
    found = []
    with prepared(fault):
        for seed in range(begin, min(begin + CHUNK, stop)):
            history = run(seed, parts=parts)
            steps += history.steps
            if history.broken:
                found.append(history)
    return found, steps


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of the first one")
    parser.add_argument("--faults-back", choices=FAULTS, metavar="NAME", help=f"one of {', '.join(FAULTS)}")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--parts", action="store_true", help="recordings that are submitted in parts")
    given = parser.parse_args()
    if given.histories == 1:
        with prepared(given.faults_back):
            history = run(given.seed, parts=given.parts, trace=True)
        print(*history.trace, sep="\n")
        print(f"Seed {given.seed}: {history.broken or 'all properties hold'}")
        return int(history.broken is not None)
    began = time.perf_counter()
    stop = given.seed + given.histories
    found: list[History] = []
    steps = 0
    with ProcessPoolExecutor(given.processes) as processes:
        work = partial(_run_chunk, fault=given.faults_back, stop=stop, parts=given.parts)
        for some, took in processes.map(work, range(given.seed, stop, CHUNK)):
            found += some
            steps += took
    seconds = time.perf_counter() - began
    print(f"{given.histories} histories, seeds {given.seed} to {stop - 1}: {steps} steps in {seconds:.0f} s.")
    if not found:
        print("All properties hold.")
        return 0
    shortest = min(found, key=lambda history: len(history.trace))
    print(*shortest.trace, sep="\n")
    for why, count in Counter(str(history.broken).partition(":")[0] for history in found).most_common():
        seeds = [history.seed for history in found if str(history.broken).startswith(why)]
        print(f"{count} break '{why}': seeds {', '.join(map(str, seeds[:10]))}")
    print(f"Above, the shortest: seed {shortest.seed}: {shortest.broken}")
    print(
        f"Again: python -m tests.simulation --histories 1 --seed {shortest.seed}{' --parts' if given.parts else ''}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
