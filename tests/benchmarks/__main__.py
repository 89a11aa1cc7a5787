"""Run the benchmarks, print a table for each and draw the plot: ``python -m tests.benchmarks [NAME …] [--json FILE] [--svg FILE]``."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.accuracy import MINUTES, compare_accuracy, compare_hour
from tests.benchmarks.batch import compare_batch
from tests.benchmarks.batches import compare_batches
from tests.benchmarks.common import machine
from tests.benchmarks.cuts import compare_cuts
from tests.benchmarks.imports import compare_imports
from tests.benchmarks.latency import compare_latency
from tests.benchmarks.masking import compare_masking
from tests.benchmarks.media import compare_media
from tests.benchmarks.plot import draw
from tests.benchmarks.upload import compare_upload
from tests.benchmarks.waits import compare_budget, compare_lateness, compare_waits

# In the order of the documentation.
COMPARISONS = {
    "waits": compare_waits,
    "lateness": compare_lateness,
    "budget": compare_budget,
    "batch": compare_batch,
    "batches": compare_batches,
    "latency": compare_latency,
    "upload": compare_upload,
    "media": compare_media,
    "cuts": compare_cuts,
    "accuracy": compare_accuracy,
    "hour": compare_hour,
    "imports": compare_imports,
    "masking": compare_masking,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all comparisons, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMPARISONS))
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument(
        "--svg",
        type=Path,
        help="draw the scaling plot of `waits` to this file; by default to one in a temporary folder",
    )
    parser.add_argument(
        "--files", type=int, nargs="+", metavar="N", help="how many files each of the `batches` has, in order"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=f"how long the recording of `accuracy` is, more than 2; by default {MINUTES}",
    )
    given = parser.parse_args(arguments)
    names = given.names or list(COMPARISONS)
    if unknown := set(names) - set(COMPARISONS):
        parser.error(
            f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(COMPARISONS)}"
        )
    if given.svg and "waits" not in names:
        parser.error("--svg draws the figures of `waits`: name it as well")
    figures = {"machine": machine(), "comparisons": {}}
    print(f"On {figures['machine']}.", flush=True)  # noqa: T201
    for name in names:
        chosen = {"batches": given.files, "accuracy": given.minutes}.get(name)
        comparison = COMPARISONS[name](*[chosen] if chosen else [])
        print(f"\n{comparison}", flush=True)  # noqa: T201
        figures["comparisons"][name] = comparison.as_json()
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        if name == "waits":
            plot = given.svg or Path(tempfile.mkdtemp(prefix="laplas-bench-")) / "waits.svg"
            draw(comparison.rows, plot)
            print(f"\nThe plot of it: {plot.resolve()}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
