"""What the benchmarks share: the server, a contender in a process of its own, and how results are shown."""

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Self

import psutil

from airflow_stack.processes import await_condition, clean_environment, free_port
from tests.paths import ROOT

BARE, OURS = "bare aiohttp session", "STTCompletionTrigger"
"""The two that are compared at every number of waits, by the names that tables and plot give them."""


@dataclass
class Comparison:
    """
    One table.

    The documentation has what was measured; the aims it is judged by are for whoever runs the benchmarks.

    :ivar settings: what it ran with, without which the figures say nothing
    :ivar rows: a figure for each column, by the column's name
    :ivar targets: name, target, measured, and whether it is met
    :ivar notes: what the figures come to
    """

    title: str
    settings: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[tuple[str, str, str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def aim(self, name: str, target: str, measured: float, *, met: bool) -> None:
        """Note a target and what came of it."""
        self.targets.append((name, target, show(measured), met))

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @property
    def measured(self) -> str:
        """Return what was measured, and how, as Markdown."""
        parts = [f"### {self.title}", paragraph(self.settings)]
        if self.rows:
            columns = list(dict.fromkeys(name for row in self.rows for name in row))
            parts.append(table(columns, [[show(row.get(name, "")) for name in columns] for row in self.rows]))
        return "\n\n".join([*parts, *map(paragraph, self.notes)])

    @property
    def judged(self) -> str:
        """Return the targets, and whether they are met, as Markdown."""
        rows = [[name, target, got, "yes" if met else "NO"] for name, target, got, met in self.targets]
        return table(["target", "aim", "measured", "met"], rows)

    def __str__(self) -> str:
        return f"{self.measured}\n\n{self.judged}" if self.targets else self.measured


def show(value: Any) -> str:
    """Return a figure with three digits that count."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def paragraph(text: str) -> str:
    """Return a text in lines as long as the documentation's."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def machine() -> str:
    """Return what every benchmark ran on."""
    airflow, http = (version(name) for name in ("apache-airflow", "apache-airflow-providers-http"))
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, Airflow {airflow}, "
        f"apache-airflow-providers-http {http}"
    )


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = [columns, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


@dataclass(frozen=True)
class Server:
    """The address of a running API."""

    address: str

    def connection(self, **extra: Any) -> str:
        """Return a connection of our provider, without its budget of requests, as Airflow's environment variable."""
        extra = {"max_requests_per_second": 0} | extra
        return json.dumps(
            {"conn_type": "laplas", "host": f"{self.address}/v1", "password": "key", "extra": extra}
        )

    def connections(self, laplas: str) -> dict[str, str]:
        """Return our connection and the HTTP provider's two, one of which gets 404 for what is not done, as variables."""
        return {
            "AIRFLOW_CONN_BENCH": laplas,
            "AIRFLOW_CONN_BENCH_HTTP": json.dumps({"conn_type": "http", "host": f"{self.address}/missing"}),
            "AIRFLOW_CONN_BENCH_PLAIN": json.dumps({"conn_type": "http", "host": self.address}),
        }

    def ask(self, path: str, *, post: bool = False) -> Any:
        """Return the JSON of an answer."""
        request = urllib.request.Request(self.address + path, data=b"" if post else None)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def jobs(self, count: int, shortest: float, longest: float) -> list[str]:
        """Begin so many jobs."""
        return self.ask(f"/jobs?count={count}&shortest={shortest}&longest={longest}", post=True)


@contextmanager
def running_api(*, shortest: float = 0, longest: float = 0, limit: float = 0) -> Iterator[Server]:
    """Run the API in a process of its own."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.benchmarks.api", str(port)),
            *("--shortest", str(shortest), "--longest", str(longest), "--limit", str(limit)),
        ],
        cwd=ROOT,
    )
    try:
        await_condition(lambda: listens(port), timeout=20, what="the API", pause=0.05)
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Say whether somebody does, on the loopback address."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class MemoryGrowth:
    """
    Watches this process's memory for as long as a block lasts.

    :ivar mebibytes: how much larger it was than at the beginning, at most; once the block has ended
    """

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before = self._most = self._now()
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()
        self.mebibytes = (max(self._most, self._now()) - self._before) / (1 << 20)

    def _now(self) -> int:
        resident: int = self._process.memory_info().rss
        return resident

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self._most = max(self._most, self._now())


def in_own_process(module: str, arguments: Mapping[str, Any], **environment: str) -> dict[str, Any]:
    """Run one of the benchmarks' modules, which reads JSON as its argument, and return the JSON it prints last."""
    with tempfile.TemporaryDirectory() as home:
        run = subprocess.run(
            [sys.executable, "-m", f"tests.benchmarks.{module}", json.dumps(arguments)],
            cwd=ROOT,
            env=clean_environment()
            | {"AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}
            | environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if run.returncode:
        raise RuntimeError(f"{module} {arguments} failed:\n{run.stdout[-1000:]}")
    return json.loads(run.stdout.strip().splitlines()[-1])
