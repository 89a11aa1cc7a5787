"""Run the benchmarks and print a table for each: ``python -m tests.benchmarks [NAME …] [--json FILE] [--svg FILE]``."""

import argparse
import json
from pathlib import Path

from tests.benchmarks.batch import compare_batch
from tests.benchmarks.imports import compare_imports
from tests.benchmarks.latency import compare_latency
from tests.benchmarks.plot import draw
from tests.benchmarks.upload import compare_upload
from tests.benchmarks.waits import compare_budget, compare_lateness, compare_waits

COMPARISONS = {
    "imports": compare_imports,
    "upload": compare_upload,
    "waits": compare_waits,
    "lateness": compare_lateness,
    "budget": compare_budget,
    "batch": compare_batch,
    "latency": compare_latency,
}


def main() -> None:
    """Run all comparisons, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMPARISONS))
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--svg", type=Path, help="draw the scaling plot of `waits` to this file")
    given = parser.parse_args()
    names = given.names or list(COMPARISONS)
    if unknown := set(names) - set(COMPARISONS):
        parser.error(
            f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(COMPARISONS)}"
        )
    if given.svg and "waits" not in names:
        parser.error("--svg draws the figures of `waits`: name it as well")
    figures = {}
    for name in names:
        comparison = COMPARISONS[name]()
        print(comparison, flush=True)  # noqa: T201
        figures[name] = comparison.as_json()
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    if given.svg:
        draw(figures["waits"]["rows"], given.svg)


if __name__ == "__main__":
    main()
