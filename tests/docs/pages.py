"""The documentation as the tests read it: its pages, and the code in them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
}


def _blocks(language: str) -> dict[str, str]:
    return {
        f"{name}:{number}": code
        for name, text in PAGES.items()
        for number, code in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        )
    }


PYTHON = _blocks("python")
DAGS = {name: code for name, code in PYTHON.items() if re.search(r"^with DAG\(|^@dag\b", code, re.MULTILINE)}
"""test_dags.py runs them; test_pages.py, and tests/wire/client/test_docs.py, run the others."""

SHELL = _blocks("bash")
"""test_local_server.py runs those of the local server's page; test_pages.py runs the others."""

YAML, DOCKERFILES = _blocks("yaml"), _blocks("dockerfile")
"""test_kubernetes.py checks them."""

NOT_RUN = {
    "make": "takes minutes, and `make test` is what runs this; its targets are looked for in a dry run",
    "docker": "needs Docker; the image is the one of the values",
    "helm": "needs a cluster; the values are checked against what the chart takes",
    "kubectl": "needs a cluster; the secret is the one of the values",
    "pip": "needs a package index; extras and packages are looked for in what the project declares",
}
"""Commands that no test runs, and why."""


def commands(code: str) -> str:
    """What is run of a block of shell commands."""
    return "\n".join(line for line in code.splitlines() if line.partition(" ")[0] not in NOT_RUN)


def environment(home: Path) -> dict[str, str]:
    """What a user has who installed this project, and nothing of the one who runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(ROOT)}


def run_commands(code: str, folder: Path, *, seconds: float = 60) -> tuple[str, dict[str, str]]:
    """Run a block of shell commands in a folder, and return what it printed and what it exported."""
    told = "\necho\npython -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    given = environment(folder)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(code) + told],
        cwd=folder,
        env=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed, _, last = done.stdout.rstrip().rpartition("\n")
    of_bash = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}
    return printed, {
        name: value for name, value in json.loads(last).items() if name not in given.keys() | of_bash
    }
