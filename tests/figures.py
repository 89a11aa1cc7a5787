"""
Measure what the README's figures say, and write them there: ``make figures``.

Nothing else writes into the repository.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faults.json"
        subprocess.run(
            [sys.executable, "-m", "pytest", "tests/faults"],
            cwd=ROOT,
            env=os.environ | {"LAPLAS_FIGURES": str(path)},
            check=True,
        )
        README.write_text(
            replace_block(README.read_text(), "faults", faults_table(json.loads(path.read_text())))
        )


def faults_table(figures: Mapping[str, int]) -> str:
    """The suite's counts as a Markdown table, in the order in which they were first counted."""
    return "\n".join(
        ["| counted | |", "|---|---|", *(f"| {name} | {count} |" for name, count in figures.items())]
    )


def replace_block(text: str, name: str, content: str) -> str:
    """The text with what stands between the marks of that name replaced."""
    pattern = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the README has no block for {name}")
    return pattern.sub(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", text, count=1)


if __name__ == "__main__":
    main()
