"""Stores generations in SQLite, and their recordings in a spool folder.

The database contains a generation's state, its options and, once it is done, its reply. The spool contains
its input: `<id>.audio` (the recording) or `<id>.url` (its URL, which is deleted as soon as it has been used,
because a signed URL is a secret).
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
    # Back to `waiting` if the server stops or crashes during the work.
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
    """A generation. `starts` counts how often work on it was started; `created` is in seconds since the epoch.

    It is a suspect if the server crashed while it was processed before. Beside another one, nobody could tell
    which of them crashed the server.
    """

    id: str
    created: float
    status: Status
    starts: int
    body: str
    result: dict[str, Any] | None
    error: dict[str, Any] | None

    @property
    def suspect(self) -> bool:
        """Whether an active generation was being processed at an earlier crash."""
        return self.starts > 1


class Store:
    """The generations of one data folder. Safe to use from several threads; one process at a time.

    folder: created with mode 0700 if missing. The files in it are readable by their owner only in any case.
    retention: seconds from a generation's creation until it expires. clock: the time in seconds since the epoch.
    Raises SetupError if another server uses the folder, or if it is not writable.
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
                # Deleted transcripts are overwritten on disk.
                self._db.execute("PRAGMA secure_delete = ON")
                self._db.executescript(_SCHEMA)
        except SetupError:
            self._held.close()
            raise

    def close(self) -> None:
        """Close the database, and unlock the folder."""
        with self._lock:
            self._db.close()
            self._held.close()

    @staticmethod
    def new_id() -> str:
        """Return an id for a new generation."""
        return str(uuid.uuid4())

    def audio_path(self, generation_id: str) -> Path:
        """Return the path of a generation's recording; the id must be from `new_id`."""
        return self.spool / f"{uuid.UUID(generation_id)}.audio"

    def url_path(self, generation_id: str) -> Path:
        """Return the path of the file with the recording's URL, until the recording has been fetched."""
        return self.spool / f"{uuid.UUID(generation_id)}.url"

    def part_path(self, generation_id: str) -> Path:
        """Return the path of a generation's recording while it is being fetched."""
        return self.spool / f"{uuid.UUID(generation_id)}.part"

    def discard(self, generation_id: str) -> None:
        """Delete a generation's files from the spool."""
        for path in (self.url_path, self.part_path, self.audio_path):
            path(generation_id).unlink(missing_ok=True)

    def add(self, generation_id: str, body: str) -> None:
        """Add a new generation as `waiting`. Its recording or URL must already be in the spool."""
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

    def claim(self, *, alone: bool = True) -> Job | None:
        """Set the oldest `waiting` generation to `active` and return it, or None if there is none.

        alone: whether no other generation is being processed. If not, None is also returned if the oldest one
        is a suspect.
        """
        with self._transaction() as db:
            row = db.execute(
                "UPDATE generations SET status = 'active', starts = starts + 1 WHERE id = ("
                "  SELECT id FROM generations WHERE status = 'waiting' AND created > ?"
                "  ORDER BY created, rowid LIMIT 1"
                ") AND (starts = 0 OR ?) RETURNING *",
                (self._horizon(), alone),
            ).fetchone()
        return _job(row) if row else None

    def holds(self, job: Job) -> bool:
        """Return whether a claimed `job` is still valid: not expired, forgotten or claimed again."""
        held = "SELECT 1 FROM generations WHERE id = ? AND status = ? AND starts = ? AND created > ?"
        return self._read(held, job.id, job.status, job.starts, self._horizon()) is not None

    def complete(self, job: Job, result: dict[str, Any]) -> bool:
        """Set a claimed generation to `completed`; return False if the claim is no longer valid."""
        return self._move(job, "completed", result=json.dumps(result))

    def fail(self, job: Job, name: str, message: str, status: int) -> bool:
        """Set a claimed generation to `error`; return False if the claim is no longer valid."""
        error = {"name": name, "message": message, "status": status}
        return self._move(job, "error", error=json.dumps(error))

    def release(self, job: Job) -> bool:
        """Set a claimed generation back to `waiting`, as if it had not been started."""
        return self._move(job, "waiting", starts=job.starts - 1)

    def recover(self, max_starts: int) -> tuple[list[str], list[str]]:
        """After a restart, set all `active` generations to `waiting`, or to `error` after `max_starts` starts.

        Also deletes spool files that belong to no waiting generation. Returns the ids of both kinds. Raises
        SetupError if the database is unusable.
        """
        message = f"The server crashed {max_starts} times while processing this recording"
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
        """Return the number of waiting generations."""
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
                # Until the checkpoint, the write-ahead log still contains the deleted data.
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _horizon(self) -> float:
        return self._clock() - self._retention

    def _move(self, job: Job, to: Status, **columns: str | int) -> bool:
        if to not in TRANSITIONS[job.status]:
            raise ValueError(f"A generation cannot go from {job.status} to {to}")
        settings = "".join(f", {name} = ?" for name in columns)
        with self._transaction() as db:
            # `starts` identifies the claim: an abandoned worker must not overwrite a later one.
            done = db.execute(
                f"UPDATE generations SET status = ?{settings}"  # noqa: S608 - names from this module.
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
        raise SetupError(
            "The data folder's database is damaged or not this server's, or the disk is full"
        ) from None


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    for name in ("result", "error"):
        values[name] = json.loads(values[name]) if values[name] else None
    return Job(**values)
