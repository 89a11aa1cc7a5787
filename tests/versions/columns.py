"""The versions of Airflow that are tested, each with the packages of its month."""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Column:
    """
    One environment.

    :ivar name: its name in the matrix; the pins are in the file of that name
    :ivar airflow: the version of Airflow
    :ivar python: the version of Python, where the machine has it
    :ivar until: nothing that was published after that day is installed, with the exceptions in ``pins.py``
    :ivar oldest: whether each direct dependency is the oldest that ``pyproject.toml`` allows
    """

    name: str
    airflow: str
    python: str
    until: str
    oldest: bool = False

    @property
    def pins(self) -> Path:
        """The file with the version of every package."""
        return HERE / f"{self.name}.txt"

    def pinned(self, package: str) -> str:
        """The version of a package."""
        return re.search(rf"^{re.escape(package)}==(\S+)", self.pins.read_text(), re.MULTILINE)[1]


# Airflow 3.0 takes no Python 3.13.
COLUMNS = (
    Column("oldest", "3.0.6", "3.11", "2025-09-05", oldest=True),
    Column("3.0.6", "3.0.6", "3.11", "2025-09-05"),
    Column("3.1.8", "3.1.8", "3.12", "2026-03-18"),
    Column("3.2.2", "3.2.2", "3.11", "2026-06-05"),
    Column("3.3.2", "3.3.2", "3.13", "2026-09-24"),
)


def named(names: list[str]) -> list[Column]:
    """The columns of these names; all of them if there is none."""
    if unknown := set(names) - {column.name for column in COLUMNS}:
        raise SystemExit(
            f"There is no {', '.join(sorted(unknown))}, only {', '.join(c.name for c in COLUMNS)}."
        )
    return [column for column in COLUMNS if not names or column.name in names]
