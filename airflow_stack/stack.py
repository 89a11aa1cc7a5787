"""A real Airflow on this machine: four processes on SQLite, in a folder of their own."""

import atexit
import base64
import functools
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from airflow_stack.processes import (
    Program,
    await_condition,
    clean_environment,
    end,
    free_port,
    interrupted_by_sigterm,
    remove_folder,
    tail,
)
from airflow_stack.rest import AirflowRest, AirflowRestError

START_SECONDS = 180.0
# A scheduler lets its tasks finish, and a triggerer can take ten seconds; nobody needs either here.
STOP_SECONDS = 3.0

COMMANDS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
}
# The component that each process reports on in Airflow's health.
HEARTBEATS = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}

Config = Mapping[str, Mapping[str, Any]]


class AirflowStack(AirflowRest):
    """
    A real Airflow with a REST client, started and ended as a whole.

    A context manager, which ends what it started on an error, on Ctrl-C and on SIGTERM too. Nothing is inherited
    from an Airflow of the user: environment variables that begin with AIRFLOW are left out.

    :param dags: the folder of DAG files
    :param home: its AIRFLOW_HOME, empty or missing; by default a temporary folder, which is removed at the end
        unless the block failed
    :param config: laid over the configuration, as in ``{"core": {"parallelism": 8}}``
    :param environment: laid over the environment, as in ``{"AIRFLOW_CONN_LAPLAS_DEFAULT": "..."}``
    :param start_timeout: seconds in which everything has to be healthy
    :raises ValueError: when ``home`` is not empty
    """

    def __init__(
        self,
        dags: Path,
        *,
        home: Path | None = None,
        config: Config | None = None,
        environment: Mapping[str, str] | None = None,
        start_timeout: float = START_SECONDS,
    ) -> None:
        if home is not None and home.exists() and any(home.iterdir()):
            raise ValueError(f"{home} is not empty: an Airflow stack needs a folder of its own")
        self._home_is_ours = home is None
        self.home = (Path(tempfile.mkdtemp(prefix="airflow-stack-")) if home is None else home).resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.environment = self._build_environment(dags.resolve(), config or {}, environment or {})
        self._start_timeout = start_timeout
        self._started_at: dict[str, datetime] = {}
        self._exit = ExitStack()
        self._programs = {
            name: Program(
                f"airflow {name}",
                [sys.executable, "-m", "airflow", *command],
                log=self.home / f"{name}.log",
                environment=self.environment,
                folder=self.home,
            )
            for name, command in COMMANDS.items()
        }

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            exits.enter_context(interrupted_by_sigterm())
            self.start()
            self._exit = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._exit:
            self.stop()
        if not self._home_is_ours:
            return
        if error is None:
            remove_folder(self.home)
        else:
            error.add_note(f"Airflow's logs are kept in {self.home}")

    def start(self) -> None:
        """
        Create the database, start the four processes and wait until all of them are healthy.

        After an error nothing of it runs any more.

        :raises ProcessDiedError: when one of them ended by itself, with the end of its log
        :raises TimeoutError: when they are not healthy in time
        """
        database = self.home / "airflow.db"
        try:
            if not database.exists():
                _copy_database(_template_database(), database)
            for name in COMMANDS:
                self.start_process(name)
            self.await_healthy()
            if self.environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] != "True":
                self._credentials = self._admin()
        except BaseException as error:
            error.add_note(f"Airflow's logs are in {self.home}")
            self.stop()
            raise

    def stop(self) -> None:
        """End every process that is running; safe to call again."""
        end(self._programs.values(), grace=STOP_SECONDS)

    def start_process(self, name: str) -> None:
        """Start one of "api-server", "scheduler", "triggerer", "dag-processor", without waiting for it."""
        self._started_at[name] = datetime.now(UTC)
        self._programs[name].start()

    def kill(self, name: str) -> None:
        """End one of the four, and everything it started, as ``kill -9`` does."""
        self._programs[name].kill()

    def process(self, name: str) -> Program:
        """Return one of the four, for its pid and its log."""
        return self._programs[name]

    def check(self) -> None:
        """Raise ``ProcessDiedError`` when one of the four has ended by itself."""
        for program in self._programs.values():
            program.check()

    def await_healthy(self, timeout: float | None = None) -> None:
        """
        Wait until every component has given a sign of life since its process was started.

        :param timeout: seconds, by default the stack's ``start_timeout``
        :raises ProcessDiedError: when a process ended by itself, with the end of its log
        :raises TimeoutError: when they are not healthy in time
        """
        await_condition(
            self._is_healthy,
            timeout=self._start_timeout if timeout is None else timeout,
            what="a healthy Airflow",
            programs=self._programs.values(),
        )

    def cli(self, *arguments: str, timeout: float = 120) -> str:
        """
        Run an ``airflow`` command on this stack and return what it printed to its standard output.

        :param timeout: seconds
        :raises RuntimeError: when it fails, with the end of what it printed
        """
        return _airflow(self.environment, *arguments, timeout=timeout)

    def _is_healthy(self) -> bool:
        try:
            health = self.health()
        except (requests.ConnectionError, requests.Timeout, AirflowRestError):
            return False
        return health["metadatabase"]["status"] == "healthy" and all(
            self._has_beaten(health[component], component, self._started_at[name])
            for name, component in HEARTBEATS.items()
        )

    @staticmethod
    def _has_beaten(report: Mapping[str, Any], component: str, since: datetime) -> bool:
        # The last heartbeat of a killed process keeps counting as healthy for half a minute.
        beat: str | None = report.get(f"latest_{component}_heartbeat")
        return (
            report.get("status") == "healthy" and beat is not None and datetime.fromisoformat(beat) >= since
        )

    def _admin(self) -> tuple[str, str]:
        passwords = json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())
        return "admin", passwords["admin"]

    def _build_environment(
        self, dags: Path, config: Config, environment: Mapping[str, str]
    ) -> dict[str, str]:
        settings: dict[str, dict[str, Any]] = {
            "core": {
                "dags_folder": dags,
                "load_examples": False,
                "executor": "LocalExecutor",
                "parallelism": 4,
                "dags_are_paused_at_creation": False,
                "simple_auth_manager_all_admins": True,
                "execution_api_server_url": f"{self.base_url}/execution/",
                "fernet_key": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            },
            "database": {"sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}"},
            "api": {"host": "127.0.0.1", "port": self.port, "base_url": self.base_url, "workers": 1},
            "api_auth": {"jwt_secret": secrets.token_urlsafe(64)},
            "logging": {"logging_level": "INFO", "base_log_folder": self.home / "logs"},
            "dag_processor": {"refresh_interval": 10, "min_file_process_interval": 10},
            # A person waits for the first task; the load of looking twice a second is nothing.
            "scheduler": {"scheduler_idle_sleep_time": 0.5},
            "usage_data_collection": {"enabled": False},
        }
        for section, options in config.items():
            settings.setdefault(section, {}).update(options)
        variables = {
            f"AIRFLOW__{section}__{option}".upper(): str(value)
            for section, options in settings.items()
            for option, value in options.items()
        }
        return clean_environment() | {"AIRFLOW_HOME": str(self.home)} | variables | dict(environment)


@functools.cache
def _template_database() -> Path:
    """Return a migrated database without any content, made once in each process: migrating takes ten seconds."""
    folder = Path(tempfile.mkdtemp(prefix="airflow-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environment = clean_environment() | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
    }
    _airflow(environment, "db", "migrate", timeout=START_SECONDS)
    return folder / "airflow.db"


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)


def _airflow(environment: Mapping[str, str], *arguments: str, timeout: float) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env=environment,
        cwd=environment["AIRFLOW_HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if run.returncode:
        shown = tail(run.stdout + run.stderr)
        raise RuntimeError(f"airflow {' '.join(arguments)} ended with status {run.returncode}:\n{shown}")
    return run.stdout
