"""A PostgreSQL server of the tests' own, from a wheel; a plugin, as more than one suite uses it."""

import itertools

import pytest

from airflow_stack.processes import end
from airflow_stack.services import DATABASE, PostgreSQL


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    """A server on a socket in a temporary folder, ended with the session."""
    server = PostgreSQL(tmp_path_factory.mktemp("postgresql"))
    try:
        server.program.start()
        server.await_ready()
        yield server
    finally:
        end([server.program])
        server.remove()


@pytest.fixture(scope="session")
def new_schema(postgresql):
    """Make an empty schema and return a connection for Airflow that has it as its default."""
    numbers = itertools.count()

    def make():
        name = f"test_{next(numbers)}"
        postgresql.execute(f"CREATE SCHEMA {name}")
        return {
            "conn_type": "postgres",
            "host": str(postgresql.folder),
            "login": "postgres",
            "schema": DATABASE,
            "extra": {"options": f"-c search_path={name}"},
        }

    return make
