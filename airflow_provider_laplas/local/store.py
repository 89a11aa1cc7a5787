"""Generations in SQLite, and their recordings beside it.

The database holds a generation's state, its options and, when it is done, its reply. What it has to work on
lies in the spool, under the generation's id: `<id>.audio` (the recording) or `<id>.url` (where to fetch it; a
signed URL is a secret, and is gone from disk as soon as it has been used).
"""

import fcntl
import json
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from airflow_provider_laplas.local.errors import SetupError

Status = Literal["waiting", "active", "completed", "error"]

TRANSITIONS: dict[Status, frozenset[Status]] = {
    "waiting": frozenset({"active"}),
    # Back to `waiting` when a server stops or dies over it.
    "active": frozenset({"completed", "error", "waiting"}),
    "completed": frozenset(),
    "error": frozenset(),
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS generations (
    id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    status TEXT NOT NULL,
    starts INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    result TEXT,
    error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS generations_by_status ON generations (status, created);
"""


@dataclass(frozen=True)
class Job:
    """A generation. `starts` counts how often it was taken up; `created` is in seconds since the epoch."""

    id: str
    created: float
    status: Status
    starts: int
    body: str
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class Store:
    """The generations of one data folder. Safe to use from several threads; one process at a time.

    folder: made with mode 0700 if missing. What is put into it is for its owner only in any case.
    retention: seconds from creation until a generation is gone. clock: the time in seconds since the epoch.
    Raises SetupError if another server holds the folder, or if it cannot be written.
    """

    def __init__(self, folder: Path, *, retention: float, clock: Callable[[], float]) -> None:
        self._retention = retention
        self._clock = clock
        self._lock = threading.RLock()
        self.spool = folder / "spool"
        database = folder / "generations.sqlite3"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.spool.mkdir(mode=0o700, exist_ok=True)
            self.spool.chmod(0o700)
            database.touch(mode=0o600)
            database.chmod(0o600)
            self._held = (folder / "lock").open("w")
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError("Another local server is using this data folder") from None
        except OSError as error:
            raise SetupError(f"The data folder cannot be used: {error.strerror}") from None
        try:
            with _usable():
                self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
                self._db.row_factory = sqlite3.Row
                self._db.execute("PRAGMA journal_mode = WAL")
                # An expired transcript is overwritten, not just unlinked.
                self._db.execute("PRAGMA secure_delete = ON")
                self._db.executescript(_SCHEMA)
        except SetupError:
            self._held.close()
            raise

    def close(self) -> None:
        """Let go of the database and of the folder."""
        with self._lock:
            self._db.close()
            self._held.close()

    @staticmethod
    def new_id() -> str:
        """Return an id for a generation to come."""
        return str(uuid.uuid4())

    def audio_path(self, generation_id: str) -> Path:
        """Return where a generation's recording lies; the id is one of ours."""
        return self.spool / f"{uuid.UUID(generation_id)}.audio"

    def url_path(self, generation_id: str) -> Path:
        """Return where the URL of a generation's recording lies until it has been fetched."""
        return self.spool / f"{uuid.UUID(generation_id)}.url"

    def part_path(self, generation_id: str) -> Path:
        """Return where a generation's recording lies while it is being fetched."""
        return self.spool / f"{uuid.UUID(generation_id)}.part"

    def discard(self, generation_id: str) -> None:
        """Delete what the spool holds for a generation."""
        for path in (self.url_path, self.part_path, self.audio_path):
            path(generation_id).unlink(missing_ok=True)

    def add(self, generation_id: str, body: str) -> None:
        """Record a new generation as `waiting`. Its recording, or the URL of it, is in the spool already."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO generations (id, created, status, body) VALUES (?, ?, 'waiting', ?)",
                (generation_id, self._clock(), body),
            )

    def get(self, generation_id: str) -> Job | None:
        """Return a generation, or None if it is unknown or expired."""
        row = self._read(
            "SELECT * FROM generations WHERE id = ? AND created > ?", generation_id, self._horizon()
        )
        return _job(row) if row else None

    def claim(self) -> Job | None:
        """Turn the oldest `waiting` generation `active` and return it, or None if there is none."""
        with self._transaction() as db:
            row = db.execute(
                "UPDATE generations SET status = 'active', starts = starts + 1 WHERE id = ("
                "  SELECT id FROM generations WHERE status = 'waiting' AND created > ?"
                "  ORDER BY created, rowid LIMIT 1"
                ") RETURNING *",
                (self._horizon(),),
            ).fetchone()
        return _job(row) if row else None

    def holds(self, job: Job) -> bool:
        """Tell whether a claimed `job` is still to be worked on: not expired, forgotten or claimed again."""
        held = "SELECT 1 FROM generations WHERE id = ? AND status = ? AND starts = ? AND created > ?"
        return self._read(held, job.id, job.status, job.starts, self._horizon()) is not None

    def complete(self, job: Job, result: dict[str, Any]) -> bool:
        """Turn a claimed generation `completed`; False if it is no longer held."""
        return self._move(job, "completed", result=json.dumps(result))

    def fail(self, job: Job, name: str, message: str, status: int) -> bool:
        """Turn a claimed generation `error`; False if it is no longer held."""
        error = {"name": name, "message": message, "status": status}
        return self._move(job, "error", error=json.dumps(error))

    def release(self, job: Job) -> bool:
        """Turn a claimed generation `waiting` again, as if it had not been started."""
        return self._move(job, "waiting", starts=job.starts - 1)

    def recover(self, max_starts: int) -> tuple[list[str], list[str]]:
        """After a start, make all `active` generations `waiting`; give up those started too often.

        Those started `max_starts` times become `error`. Also deletes what the spool holds for no generation.
        Returns the ids of both kinds. Raises SetupError if the database turns out to be unusable.
        """
        message = f"The server died {max_starts} times while it worked on this recording"
        error = json.dumps({"name": "CrashError", "message": message, "status": 500})
        with _usable(), self._transaction() as db:
            failed = db.execute(
                "UPDATE generations SET status = 'error', error = ? WHERE status = 'active' AND starts >= ?"
                " RETURNING id",
                (error, max_starts),
            ).fetchall()
            again = db.execute(
                "UPDATE generations SET status = 'waiting' WHERE status = 'active' RETURNING id"
            ).fetchall()
            wanted = {row["id"] for row in db.execute("SELECT id FROM generations WHERE status = 'waiting'")}
        for path in self.spool.iterdir():
            if path.name.split(".")[0] not in wanted:
                path.unlink(missing_ok=True)
        return [row["id"] for row in again], [row["id"] for row in failed]

    def count_waiting(self) -> int:
        """Return how many generations wait to be taken up."""
        return int(self._read("SELECT count(*) FROM generations WHERE status = 'waiting'")[0])

    def sweep(self) -> list[str]:
        """Delete expired generations and their recordings; return their ids."""
        with self._transaction() as db:
            rows = db.execute("DELETE FROM generations WHERE created <= ? RETURNING id", (self._horizon(),))
            gone = [row["id"] for row in rows.fetchall()]
        self._erase(gone)
        return gone

    def forget(self, generation_id: str) -> None:
        """Delete one generation and its recording."""
        with self._transaction() as db:
            db.execute("DELETE FROM generations WHERE id = ?", (generation_id,))
        self._erase([generation_id])

    def _erase(self, gone: list[str]) -> None:
        for generation_id in gone:
            self.discard(generation_id)
        if gone:
            with self._lock:
                # Until the log is folded in, it still holds what was deleted.
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _horizon(self) -> float:
        return self._clock() - self._retention

    def _move(self, job: Job, to: Status, **columns: str | int) -> bool:
        if to not in TRANSITIONS[job.status]:
            raise ValueError(f"A generation cannot go from {job.status} to {to}")
        settings = "".join(f", {name} = ?" for name in columns)
        with self._transaction() as db:
            # `starts` tells this claim from a later one: a worker that was given up must not write over it.
            done = db.execute(
                f"UPDATE generations SET status = ?{settings}"  # noqa: S608 - of names of ours.
                " WHERE id = ? AND status = ? AND starts = ?",
                (to, *columns.values(), job.id, job.status, job.starts),
            )
        return done.rowcount == 1

    def _read(self, query: str, *values: str | float) -> Any:
        with self._lock:
            return self._db.execute(query, values).fetchone()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # Some errors, a full disk among them, roll back by themselves.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error:
        raise SetupError("The data folder's database is damaged, full, or not this server's") from None


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    for name in ("result", "error"):
        values[name] = json.loads(values[name]) if values[name] else None
    return Job(**values)
