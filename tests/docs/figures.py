"""
Measure what the documentation's figures say, and write them there: ``make figures``, or one of them, as with
``make figures NAMES=versions``.

Nothing else writes into the repository. A figure stands between two marks, ``<!-- figures: NAME -->`` and
``<!-- end -->``, in whichever page it is read.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.common import Comparison, table
from tests.paths import ROOT
from tests.versions.matrix import matrix

PLOT = ROOT / "docs" / "waits.svg"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or MEASURES:
            MEASURES[name](Path(folder) / f"{name}.json")


def bench(figures: Path) -> None:
    run("tests.benchmarks", "--json", str(figures), "--svg", str(PLOT))
    write("bench", bench_tables(json.loads(figures.read_text())))


def faults(figures: Path) -> None:
    run("pytest", "tests/faults", "--numprocesses", "3", environment={"LAPLAS_FIGURES": str(figures)})
    write("faults", faults_table(json.loads(figures.read_text())))


def versions(figures: Path) -> None:
    run("tests.versions", "--json", str(figures))
    write("versions", matrix(json.loads(figures.read_text())))


MEASURES = {"bench": bench, "faults": faults, "versions": versions}


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
    main()
