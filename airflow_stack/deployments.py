"""What a stack's Airflow consists of: the processes of one machine on SQLite, or a cluster."""

import atexit
import functools
import shutil
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_stack.cli import run_airflow
from airflow_stack.hostname import VARIABLE
from airflow_stack.processes import clean_environment
from airflow_stack.services import PostgreSQL, Redis, Service

PING_SECONDS = 1.0

Config = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Component:
    """
    A process of Airflow.

    :ivar command: the arguments of ``airflow``
    :ivar job_type: Airflow's name of the job whose heartbeats say that it lives; None if it has none
    :ivar hostname: the name that it gives itself; None for the machine's
    """

    command: Sequence[str]
    job_type: str | None = None
    hostname: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What is laid over the stack's environment."""
        return {} if self.hostname is None else {VARIABLE: self.hostname}


SCHEDULER = Component(["scheduler", "--skip-serve-logs"], "SchedulerJob")
DAG_PROCESSOR = Component(["dag-processor"], "DagProcessorJob")
API_SERVER = Component(["api-server"])
TRIGGERER = ("triggerer", "--skip-serve-logs")


class Deployment(ABC):
    """
    The processes of an Airflow, and what they stand on.

    :ivar components: by the name that the stack calls them
    :ivar services: the servers below them, after :meth:`prepare`
    """

    components: Mapping[str, Component]
    services: Mapping[str, Service]

    @abstractmethod
    def prepare(self, home: Path) -> Config:
        """Make the services for an AIRFLOW_HOME, without starting them, and return the configuration."""

    @abstractmethod
    def create_database(self, environment: Mapping[str, str]) -> None:
        """Have a migrated database, once the services run."""

    def silent(self) -> set[str]:
        """Return the names of the components without a job that do not answer."""
        return set()


@dataclass
class SingleMachine(Deployment):
    """LocalExecutor on SQLite: the least that runs every feature."""

    components: Mapping[str, Component] = field(
        default_factory=lambda: {
            "api-server": API_SERVER,
            "scheduler": SCHEDULER,
            "triggerer": Component(TRIGGERER, "TriggererJob"),
            "dag-processor": DAG_PROCESSOR,
        }
    )
    services: Mapping[str, Service] = field(default_factory=dict)

    def prepare(self, home: Path) -> Config:
        """Return the configuration."""
        self._database = home / "airflow.db"
        return {
            "core": {"executor": "LocalExecutor", "parallelism": 4},
            "database": {"sql_alchemy_conn": f"sqlite:///{self._database}"},
        }

    def create_database(self, environment: Mapping[str, str]) -> None:  # a copy needs none
        """Copy a migrated database, which is made once in each process."""
        if self._database.exists():
            return
        with (
            closing(sqlite3.connect(_template_database())) as original,
            closing(sqlite3.connect(self._database)) as copy,
        ):
            original.backup(copy)


class Cluster(Deployment):
    """
    CeleryExecutor on PostgreSQL and Redis, as on several machines: each worker and triggerer has its own host name.

    Needs the extra ``cluster``.

    :param workers: how many; each runs ``concurrency`` tasks
    :param triggerers: how many
    :param concurrency: tasks that one worker runs at a time
    """

    def __init__(self, *, workers: int = 2, triggerers: int = 2, concurrency: int = 4) -> None:
        self.workers = [f"worker-{number + 1}" for number in range(workers)]
        self.triggerers = [f"triggerer-{number + 1}" for number in range(triggerers)]
        self._concurrency = concurrency
        self.components = {"api-server": API_SERVER, "scheduler": SCHEDULER, "dag-processor": DAG_PROCESSOR}
        self.components |= {
            name: Component(TRIGGERER, "TriggererJob", hostname=name) for name in self.triggerers
        }
        self.components |= {
            # The folder of the logs is everybody's; a worker writes the file with its process id into AIRFLOW_HOME.
            name: Component(
                [
                    *("celery", "worker", "--celery-hostname", name, "--pid", f"{name}.pid"),
                    *("--skip-serve-logs", "--without-gossip", "--without-mingle"),
                ],
                hostname=name,
            )
            for name in self.workers
        }

    def prepare(self, home: Path) -> Config:
        """Make PostgreSQL's data and Redis' settings, and return the configuration."""
        self.postgresql, self.redis = PostgreSQL(home), Redis(home)
        self.services = {"postgresql": self.postgresql, "redis": self.redis}
        return {
            "core": {
                "executor": "CeleryExecutor",
                "parallelism": self._concurrency * len(self.workers),
                "hostname_callable": "airflow_stack.hostname.hostname",
            },
            "database": {"sql_alchemy_conn": self.postgresql.url},
            "celery": {
                "broker_url": self.redis.url,
                "result_backend": f"db+{self.postgresql.url}",
                "worker_concurrency": self._concurrency,
            },
            "celery_broker_transport_options": {"visibility_timeout": 86400},
        }

    def create_database(self, environment: Mapping[str, str]) -> None:
        """Migrate PostgreSQL's."""
        run_airflow(environment, "db", "migrate")

    def silent(self) -> set[str]:
        """Return the workers that do not answer to a ping of Celery's."""
        import kombu.pools  # noqa: PLC0415  # an extra
        from celery import Celery  # noqa: PLC0415

        try:
            with Celery(broker=self.redis.url, set_as_current=False) as app:
                answers = app.control.ping(timeout=PING_SECONDS)
        except Exception:  # noqa: BLE001  # Redis is away, or has been since a connection was kept
            kombu.pools.reset()  # type: ignore[no-untyped-call]  # Kombu leaves it untyped.
            return set(self.workers)
        return set(self.workers) - {name.partition("@")[2] for answer in answers for name in answer}


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
    run_airflow(environment, "db", "migrate")
    return folder / "airflow.db"
