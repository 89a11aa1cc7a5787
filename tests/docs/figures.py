"""
Measure what the documentation's figures say, and write them there: ``make figures``, or some of them, as with
``make figures NAMES=versions``. Those of the cluster have to be named (``NAMES=cluster``), and take half an hour; so have
the pictures (``NAMES=screenshots``), which need Chromium.

Nothing else writes into the repository. A figure stands between two marks, ``<!-- figures: NAME -->`` and
``<!-- end -->``, in whichever page it is read.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.common import Comparison, table
from tests.paths import ROOT
from tests.versions.matrix import matrix

PLOT = ROOT / "docs" / "waits.svg"
PICTURES = ROOT / "docs" / "images"


def main(names: Sequence[str]) -> None:
    """Measure those that are named; by default, all that need no cluster."""
    unknown = [name for name in names if name not in MEASURE]
    if unknown:
        sys.exit(f"There is no {', '.join(unknown)}, only {', '.join(MEASURE)}.")
    with tempfile.TemporaryDirectory() as folder:
        for name in names or ("bench", "faults", "versions"):
            write(name, MEASURE[name](Path(folder) / f"{name}.json"))


def measure_bench(file: Path) -> str:
    run("tests.benchmarks", "--json", str(file), "--svg", str(PLOT))
    return bench_tables(json.loads(file.read_text()))


def measure_faults(file: Path) -> str:
    run("pytest", "tests/faults", "--numprocesses", "3", environment={"LAPLAS_FIGURES": str(file)})
    return faults_table(json.loads(file.read_text()))


def measure_cluster(file: Path) -> str:
    run("pytest", "tests/cluster", environment={"LAPLAS_FIGURES": str(file), "CLUSTER_FULL": "1"})
    headings, *rows = json.loads(file.read_text())
    return table(headings, rows)


def measure_versions(file: Path) -> str:
    run("tests.versions", "--json", str(file))
    return matrix(json.loads(file.read_text()))


def measure_screenshots(_: Path) -> str:
    # Playwright is installed for this one only.
    from tests.ui.browser.documented import PICTURES as SHOWN  # noqa: PLC0415

    run("tests.ui.browser.documented", str(PICTURES))
    return pictures(SHOWN)


MEASURE = {
    "bench": measure_bench,
    "faults": measure_faults,
    "cluster": measure_cluster,
    "versions": measure_versions,
    "screenshots": measure_screenshots,
}


def run(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    command = [sys.executable, "-m", module, *arguments]
    subprocess.run(command, cwd=ROOT, env=os.environ | dict(environment or {}), check=True)


def bench_tables(figures: Mapping[str, Any]) -> str:
    """What every comparison measured, with the settings it ran with, as Markdown."""
    measured = [Comparison(**comparison).measured for comparison in figures["comparisons"].values()]
    return "\n\n".join([f"Measured on {figures['machine']}.", *measured])


def faults_table(figures: Mapping[str, int]) -> str:
    """The suite's counts as Markdown, in the order in which it names them."""
    return table(["counted", ""], [[name, f"{count:,}"] for name, count in figures.items()])


def pictures(shown: Mapping[str, str]) -> str:
    """The pictures as Markdown, each below what it shows."""
    return "\n\n".join(f"{text}:\n\n![{text}](images/{name}.png)" for name, text in shown.items())


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def write(name: str, content: str) -> None:
    """Put the content between the marks of that name, in the page that has them."""
    [page] = [page for page in pages() if f"<!-- figures: {name} -->" in page.read_text()]
    page.write_text(replace_block(page.read_text(), name, content))


def replace_block(text: str, name: str, content: str) -> str:
    """The text with what stands between the marks of that name replaced."""
    pattern = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", text, count=1)


if __name__ == "__main__":
    main(sys.argv[1:])
