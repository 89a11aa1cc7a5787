"""
Install each version of Airflow in an environment of its own, and test it there, two at a time: ``make test-versions``.

The environments stay in ``--cache``; one is made again when its pins have changed.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.paths import ROOT
from tests.versions.columns import Column, named
from tests.versions.matrix import outcomes

SUITES = ("tests/versions", "tests/unit", "tests/wire", "tests/sql")
TAIL_LINES = 100
PROCESSES = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.versions", description="Test every version of Airflow.")
    parser.add_argument("columns", nargs="*", help="by default all")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / ".venv" / "versions", help="where the environments are"
    )
    parser.add_argument("--json", type=Path, help="where the results are written")
    parser.add_argument("--at-once", type=int, default=2)
    given = parser.parse_args()
    columns = named(given.columns)
    processes = PROCESSES // min(given.at_once, len(columns)) or 1
    with ThreadPoolExecutor(given.at_once) as pool:
        results = dict(
            zip(
                (c.name for c in columns),
                pool.map(lambda c: run(c, given.cache, processes), columns),
                strict=True,
            )
        )
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))
    for name, result in results.items():
        print(f"{name:8} {summary(result)}")
    sys.exit(any(result["status"] for result in results.values()))


def run(column: Column, cache: Path, processes: int) -> dict[str, Any]:
    """Install a column and run its suites, and say what came of it."""
    begun = time.monotonic()
    python = install(column, cache)
    installed = time.monotonic()
    report, log = (cache / f"{column.name}.{kind}" for kind in ("xml", "log"))
    report.unlink(missing_ok=True)
    command = [
        *(python, "-m", "pytest", "--numprocesses", str(processes), "-p", "no:cacheprovider"),
        *(f"--junitxml={report}", *SUITES),
    ]
    # Airflow's own settings, where the one who tests uses it.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    with log.open("wb") as output:
        tested = subprocess.run(
            command, cwd=ROOT, env=kept, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    result = {
        "python": version_of(python),
        "status": tested.returncode,
        "install_seconds": round(installed - begun, 1),
        "test_seconds": round(time.monotonic() - installed, 1),
        **outcomes(report),
    }
    print(f"{column.name:8} {summary(result)}", flush=True)
    if tested.returncode:
        lines = log.read_text(errors="replace").splitlines()
        print("\n".join(lines[-TAIL_LINES:]), f"\nAll of it: {log}", flush=True)
    return result


def summary(result: dict[str, Any]) -> str:
    suites = ", ".join(f"{name} {count}" for name, count in result["passed"].items())
    said = "failed" if result["status"] else "passed"
    return (
        f"{said} on Python {result['python']}: installed in {result['install_seconds']} s, tested in "
        f"{result['test_seconds']} s, passed: {suites}"
    )


def install(column: Column, cache: Path) -> Path:
    """Return the interpreter of a column's environment, which is made if it is not there as it has to be."""
    base = interpreter(column.python)
    home = cache / column.name
    python, stamp = home / "bin" / "python", home / "installed"
    inputs = "".join(file.read_text() for file in (column.pins, ROOT / "pyproject.toml"))
    wanted = f"{version_of(base)} {hashlib.sha256(inputs.encode()).hexdigest()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    print(f"{column.name:8} is installed on Python {version_of(base)}", flush=True)
    subprocess.run([base, "-m", "venv", home], check=True)
    # Without a look at what depends on what, which the pins have settled.
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--compile-bytecode", "--no-deps"]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    what = ["--requirement", column.pins, "--editable", ROOT]
    # uv takes a tenth of the time, but knows nothing of an index that pip is configured with.
    if subprocess.run([*uv, "--python", python, *what], check=False).returncode:
        print(f"{column.name:8} cannot be installed with uv: pip does it", flush=True)
        subprocess.run([*pip, *what], check=True)
    stamp.write_text(wanted)
    return python


def interpreter(version: str) -> Path:
    """An interpreter of that version, if this machine has one, or else the one that runs this."""
    candidates = [
        shutil.which(f"python{version}"),
        *sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python")),
    ]
    for candidate in filter(None, candidates):
        if version_of(Path(candidate)).startswith(f"{version}."):
            return Path(candidate)
    print(f"This machine has no Python {version}: {version_of(Path(sys.executable))} stands in.", flush=True)
    return Path(sys.executable)


def version_of(python: Path) -> str:
    """Its full version; empty where it does not run, as a name that pyenv has put on the path."""
    code = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
