"""A database connection from an Airflow hook, for the constant statements in ``statements``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any, Protocol

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.sql.statements import DIALECTS, Dialect

ROWS_AT_ONCE = 5000
"""Rows per batch."""


class SqlHook(Protocol):
    """The required interface of a hook, which every ``DbApiHook`` of the common SQL provider has."""

    conn_name_attr: str
    supports_autocommit: bool

    @property
    def placeholder(self) -> str:
        """The placeholder for a value in a statement."""

    @property
    def dialect_name(self) -> str:
        """SQLAlchemy's name of the database."""

    def get_conn(self) -> Any:
        """Return a new connection."""

    def set_autocommit(self, conn: Any, autocommit: bool, /) -> Any:
        """Switch autocommit on or off."""


class Connection:
    """An open connection, for statements with ``?`` as the placeholder."""

    def __init__(self, dialect: Dialect, placeholder: str, connection: Any, cursor: Any) -> None:
        self.dialect = dialect
        self.commit = connection.commit
        self._placeholder = placeholder
        self._cursor = cursor

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run a statement."""
        self._cursor.execute(self._text(statement), parameters)

    def fetch(self, statement: str, *parameters: Any) -> list[Sequence[Any]]:
        """Run a statement and return its rows."""
        self.execute(statement, *parameters)
        # The connection's extra may select a cursor that returns rows as dicts.
        return [tuple(row.values()) if isinstance(row, Mapping) else row for row in self._cursor.fetchall()]

    def insert(self, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
        """Run a statement for many rows, in batches."""
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            if self.dialect.arrays:
                self.execute(statement, *map(list, zip(*batch, strict=True)))
            else:
                self._cursor.executemany(self._text(statement), batch)

    def _text(self, statement: str) -> str:
        return statement.replace("?", self._placeholder)


@contextmanager
def connect(hook: SqlHook) -> Iterator[Connection]:
    """Open a connection. Uncommitted changes are rolled back when it closes."""
    dialect = DIALECTS.get(hook.dialect_name)
    if dialect is None:
        raise LaplasArgumentError(
            f"`{hook.conn_name_attr}` must be a connection to SQLite or PostgreSQL, not to {hook.dialect_name}.",
            argument=hook.conn_name_attr,
        )
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)
        opened = Connection(dialect, hook.placeholder, connection, cursor)
        for statement in dialect.open:
            opened.execute(statement)
        yield opened
