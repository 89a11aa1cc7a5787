"""A real Airflow on this machine, all of its processes in a folder of their own."""

import base64
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from airflow_stack.cli import run_airflow
from airflow_stack.deployments import Config, Deployment, SingleMachine
from airflow_stack.processes import (
    Program,
    await_condition,
    clean_environment,
    end,
    free_port,
    interrupted_by_sigterm,
    remove_folder,
)
from airflow_stack.rest import AirflowRest, AirflowRestError

# A scheduler lets its tasks finish, and a triggerer can take ten seconds; nobody needs either here.
STOP_SECONDS = 3.0


class AirflowStack(AirflowRest):
    """
    A real Airflow with a REST client, started and ended as a whole.

    A context manager, which ends what it started on an error, on Ctrl-C and on SIGTERM too. Nothing is inherited
    from an Airflow of the user: environment variables that begin with AIRFLOW are left out.

    :param dags: the folder of DAG files
    :param deployment: the processes that it has; by default a
        :class:`~airflow_stack.deployments.SingleMachine`, else a :class:`~airflow_stack.deployments.Cluster`.
        Used once
    :param home: its AIRFLOW_HOME, empty or missing; by default a temporary folder, which is removed at the end
        unless the block failed
    :param config: laid over the configuration, as in ``{"core": {"parallelism": 8}}``
    :param environment: laid over the environment, as in ``{"AIRFLOW_CONN_LAPLAS_DEFAULT": "..."}``
    :raises ValueError: when ``home`` is not empty
    """

    def __init__(
        self,
        dags: Path,
        *,
        deployment: Deployment | None = None,
        home: Path | None = None,
        config: Config | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if home is not None and home.exists() and any(home.iterdir()):
            raise ValueError(f"{home} is not empty: an Airflow stack needs a folder of its own")
        self._home_is_ours = home is None
        self.home = (Path(tempfile.mkdtemp(prefix="airflow-stack-")) if home is None else home).resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.deployment = deployment or SingleMachine()
        self.environment = self._build_environment(
            dags.resolve(), self.deployment.prepare(self.home), config or {}, environment or {}
        )
        self._started_at: dict[str, datetime] = {}
        self._exit = ExitStack()
        self._components = {
            name: Program(
                f"airflow {name}",
                [sys.executable, "-m", "airflow", *component.command],
                log=self.home / f"{name}.log",
                environment=self.environment | component.environment,
                folder=self.home,
            )
            for name, component in self.deployment.components.items()
        }
        self._services = {name: service.program for name, service in self.deployment.services.items()}
        self._programs = self._services | self._components

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
        self._remove_services()
        if not self._home_is_ours:
            return
        if error is None:
            remove_folder(self.home)
        else:
            error.add_note(f"Airflow's logs are kept in {self.home}")

    def start(self) -> None:
        """
        Start the services, create the database, start every process and wait until all of them are healthy.

        After an error nothing of it runs any more.

        :raises ProcessDiedError: when one of them ended by itself, with the end of its log
        :raises TimeoutError: when they are not healthy in time
        """
        try:
            for name in self._services:
                self.start_process(name)
            for service in self.deployment.services.values():
                service.await_ready()
            self.deployment.create_database(self.environment)
            for name in self._components:
                self.start_process(name)
            self.await_healthy()
        except BaseException as error:
            error.add_note(f"Airflow's logs are in {self.home}")
            self.stop()
            self._remove_services()
            raise

    def stop(self) -> None:
        """End every process that is running; safe to call again."""
        end(self._components.values(), grace=STOP_SECONDS)
        end(self._services.values(), grace=STOP_SECONDS)

    @property
    def names(self) -> tuple[str, ...]:
        """What its processes are called: "scheduler", "triggerer" or "triggerer-1", "redis", ..."""
        return tuple(self._programs)

    def start_process(self, name: str) -> None:
        """Start a process, without waiting for it."""
        self._started_at[name] = datetime.now(UTC)
        self._programs[name].start()

    def kill(self, name: str) -> None:
        """End a process, and everything it started, as ``kill -9`` does."""
        self._programs[name].kill()

    def restart_ended(self) -> list[str]:
        """Start again what has ended by itself, as whoever watches them does, and return their names."""
        ended = [name for name, program in self._programs.items() if program.has_ended]
        for name in ended:
            self.start_process(name)
        return ended

    def process(self, name: str) -> Program:
        """Return a process, for its pid and its log."""
        return self._programs[name]

    def check(self) -> None:
        """Raise ``ProcessDiedError`` when a process has ended by itself."""
        for program in self._programs.values():
            program.check()

    def await_healthy(self) -> None:
        """
        Wait until :meth:`is_healthy`.

        :raises ProcessDiedError: when a process ended by itself, with the end of its log
        :raises TimeoutError: when they are not healthy in time
        """
        await_condition(
            self.is_healthy,
            what="a healthy Airflow",
            programs=self._programs.values(),
        )

    def cli(self, *arguments: str) -> str:
        """
        Run an ``airflow`` command on this stack and return what it printed to its standard output.

        :raises RuntimeError: when it fails, with the end of what it printed
        """
        return run_airflow(self.environment, *arguments)

    def is_healthy(self, since: datetime | None = None) -> bool:
        """
        Whether every component has given a sign of life since its process was started.

        :param since: and since this moment, with a time zone
        """
        try:
            if self.health()["metadatabase"]["status"] != "healthy":
                return False
            if self.environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] != "True":
                self._credentials = self._admin()
            jobs = self.jobs()
        except (requests.ConnectionError, requests.Timeout, AirflowRestError):
            return False
        # The last heartbeat of a killed process keeps counting as healthy for half a minute.
        return (
            all(
                any(
                    job.type == component.job_type
                    and job.hostname == (component.hostname or job.hostname)
                    and job.state == "running"
                    and job.latest_heartbeat >= max(self._started_at[name], since or self._started_at[name])
                    for job in jobs
                )
                for name, component in self.deployment.components.items()
                if component.job_type is not None
            )
            and not self.deployment.silent()
        )

    def _remove_services(self) -> None:
        for service in self.deployment.services.values():
            service.remove()

    def _admin(self) -> tuple[str, str]:
        passwords = json.loads((self.home / "simple_auth_manager_passwords.json.generated").read_text())
        return "admin", passwords["admin"]

    def _build_environment(
        self, dags: Path, deployed: Config, config: Config, environment: Mapping[str, str]
    ) -> dict[str, str]:
        settings: dict[str, dict[str, Any]] = {
            "core": {
                "dags_folder": dags,
                "load_examples": False,
                "dags_are_paused_at_creation": False,
                "simple_auth_manager_all_admins": True,
                "execution_api_server_url": f"{self.base_url}/execution/",
                "fernet_key": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            },
            "api": {"host": "127.0.0.1", "port": self.port, "base_url": self.base_url, "workers": 1},
            "api_auth": {"jwt_secret": secrets.token_urlsafe(64)},
            "logging": {"logging_level": "INFO", "base_log_folder": self.home / "logs"},
            # Reading files that nobody edits every few seconds takes more than all else that an idle Airflow does.
            "dag_processor": {"refresh_interval": 60, "min_file_process_interval": 60},
            # A person waits for the first task; the load of looking twice a second is nothing.
            "scheduler": {"scheduler_idle_sleep_time": 0.5},
            "usage_data_collection": {"enabled": False},
        }
        for section, options in [*deployed.items(), *config.items()]:
            settings.setdefault(section, {}).update(options)
        variables = {
            f"AIRFLOW__{section}__{option}".upper(): str(value)
            for section, options in settings.items()
            for option, value in options.items()
        }
        return clean_environment() | {"AIRFLOW_HOME": str(self.home)} | variables | dict(environment)
