"""A generation's life: states, expiry, restarts, crashes."""

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_laplas.local import workers
from airflow_provider_laplas.local.errors import SetupError
from airflow_provider_laplas.local.options import Body
from airflow_provider_laplas.local.settings import Settings
from airflow_provider_laplas.local.store import TRANSITIONS, Store
from tests.clock import Clock
from tests.local.conftest import (
    MODEL,
    Api,
    StubEngine,
    assert_error,
    count_generations,
    eventually,
    spooled,
    wav,
)

BODY = f'{{"model": "{MODEL}"}}'


@pytest.fixture
def store(data_dir: Path, clock: Clock):
    opened = Store(data_dir, retention=3600, clock=clock)
    yield opened
    opened.close()


def test_a_generation_is_waiting_then_active_then_completed(api: Api, engine: StubEngine, data_dir: Path):
    engine.open.clear()
    first, second = (api.upload(wav()).json()["generation_id"] for _ in range(2))

    assert engine.entered.wait(10)
    assert api.get(first).json() == {"generation_id": first, "status": "active"}
    assert api.get(second).json() == {"generation_id": second, "status": "waiting"}
    engine.open.set()
    for generation_id in (first, second):
        eventually(lambda ended=generation_id: api.status(ended) == "completed")
        assert set(api.get(generation_id).json()) == {"generation_id", "status", "result"}
    eventually(lambda: not spooled(data_dir))


def test_a_failed_generation_names_its_error_and_has_no_result(api: Api, engine: StubEngine, data_dir: Path):
    engine.failure = RuntimeError("what the client said")

    assert api.error(api.upload(wav())) == {
        "name": "InternalError",
        "message": "Something wrong with the server. Please, try again later.",
    }
    eventually(lambda: not spooled(data_dir))


def test_weights_that_cannot_be_loaded_end_the_generation_with_their_message(api: Api, engine: StubEngine):
    engine.failure = SetupError("The weights medium cannot be loaded")

    assert api.error(api.upload(wav())) == {
        "name": "EngineError",
        "message": "The weights medium cannot be loaded",
    }


def test_a_generation_is_gone_once_its_time_has_passed_from_its_creation(
    api: Api, clock: Clock, data_dir: Path
):
    submitted = api.upload(wav())
    api.result(submitted)
    generation_id = submitted.json()["generation_id"]

    clock.now += 3599
    assert api.get(generation_id).status_code == 200
    clock.now += 1
    assert_error(api.get(generation_id), 404, "expired")


def test_expired_generations_are_erased_from_disk_whatever_their_state(
    api: Api, engine: StubEngine, clock: Clock, data_dir: Path
):
    api.result(api.upload(wav()))
    engine.open.clear()
    api.upload(wav())
    api.upload(wav())
    clock.now += 3600

    eventually(lambda: not spooled(data_dir))
    eventually(lambda: count_generations(data_dir) == 0)
    eventually(lambda: b"Hello, world" not in b"".join(p.read_bytes() for p in data_dir.glob("generations*")))
    engine.open.set()
    assert api.result(api.upload(wav()))


def test_retention_can_be_set(serve, clock: Clock):
    api = serve(retention=10)
    submitted = api.upload(wav())
    clock.now += 10

    assert_error(api.get(submitted.json()["generation_id"]), 404)


def test_a_restart_takes_up_queued_and_running_generations(running, engine: StubEngine):
    engine.open.clear()
    with running() as api:
        ids = [api.upload(wav()).json()["generation_id"] for _ in range(3)]
        assert engine.entered.wait(10)
    engine.open.set()

    with running() as api:
        for generation_id in ids:
            eventually(lambda ended=generation_id: api.status(ended) == "completed")


def test_a_restart_keeps_results(running):
    with running() as api:
        submitted = api.upload(wav())
        result = api.result(submitted)
    with running() as api:
        assert api.get(submitted.json()["generation_id"]).json()["result"] == result


def test_stopping_in_good_order_does_not_count_as_a_crash(running, engine: StubEngine, data_dir: Path):
    engine.open.clear()
    with running() as api:
        generation_id = api.upload(wav()).json()["generation_id"]
    for _ in range(4):
        engine.entered.clear()
        with running():
            assert engine.entered.wait(10)
    engine.open.set()

    with running() as api:
        eventually(lambda: api.status(generation_id) == "completed")


@pytest.mark.parametrize(("crashes", "outcome"), [(2, "completed"), (3, "error")])
def test_a_recording_that_kills_the_process_is_given_up_after_three_starts(
    running, data_dir: Path, clock: Clock, crashes: int, outcome: str
):
    generation_id = Store.new_id()
    for number in range(crashes):
        # What a killed process leaves behind: a generation that is active, and the lock released.
        store = Store(data_dir, retention=3600, clock=clock)
        if number:
            store.recover(3)
        else:
            store.audio_path(generation_id).write_bytes(wav())
            store.add(generation_id, BODY)
        assert store.claim() is not None
        store.close()

    with running() as api:
        eventually(lambda: api.status(generation_id) == outcome)
        if outcome == "error":
            assert api.get(generation_id).json()["error"]["name"] == "CrashError"
            assert not spooled(data_dir)


CRASHES = """
import os, sys, threading, time
from pathlib import Path
from airflow_provider_laplas.local.settings import Settings
from airflow_provider_laplas.local.store import Store
from airflow_provider_laplas.local.workers import Workers
from tests.local.conftest import StubEngine, eventually

class Crashing(StubEngine):
    def transcribe(self, samples, **asked):
        if len(samples) > 20_000:
            another.wait(0.5)
            os._exit(9)
        another.set()
        time.sleep(0.6)
        return super().transcribe(samples, **asked)

another = threading.Event()
folder = Path(sys.argv[1])
settings = Settings(keys=frozenset({"key"}), data_dir=folder, concurrency=2)
store = Store(folder, retention=3600, clock=time.time)
work = Workers(store, Crashing(), settings)
work.start()
eventually(lambda: all(store.get(one).status in {"completed", "error"} for one in sys.argv[2:]))
work.stop()
"""


@pytest.mark.parametrize("deadly", [0, 1, 2])
def test_a_recording_that_kills_the_process_takes_no_other_one_with_it(data_dir: Path, deadly: int):
    ids = [Store.new_id() for _ in range(3)]
    with closing(Store(data_dir, retention=3600, clock=time.time)) as store:
        for number, generation_id in enumerate(ids):
            store.audio_path(generation_id).write_bytes(wav(2 if number == deadly else 1))
            store.add(generation_id, BODY)
    command = [sys.executable, "-c", CRASHES, str(data_dir), *ids]
    ends = [subprocess.run(command, check=False, capture_output=True).returncode for _ in range(4)]

    assert ends == [9, 9, 9, 0]
    with closing(Store(data_dir, retention=3600, clock=time.time)) as store:
        ended = [store.get(generation_id) for generation_id in ids]
    assert [job.status == "error" for job in ended] == [number == deadly for number in range(3)]
    assert ended[deadly].error["name"] == "CrashError"


def test_suspects_are_processed_alone_and_the_others_after_them(
    running, engine: StubEngine, data_dir: Path, clock: Clock
):
    ids = [Store.new_id() for _ in range(4)]
    with closing(Store(data_dir, retention=3600, clock=clock)) as store:
        for generation_id in ids:
            store.audio_path(generation_id).write_bytes(wav())
            store.add(generation_id, BODY)
            clock.now += 1
        # What a killed process leaves behind.
        assert [store.claim().id for _ in range(2)] == ids[:2]
    engine.open.clear()

    with running(concurrency=2) as api:
        assert engine.entered.wait(10)
        assert [api.status(one) for one in ids] == ["active", "waiting", "waiting", "waiting"]
        engine.open.set()
        for one in ids:
            eventually(lambda ended=one: api.status(ended) == "completed")


def test_what_the_spool_holds_for_nobody_is_deleted_at_the_start(running, data_dir: Path):
    with running():
        pass
    (data_dir / "spool" / f"{Store.new_id()}.audio").write_bytes(b"left behind")

    with running():
        assert not spooled(data_dir)


def test_two_servers_cannot_share_a_data_folder(running):
    with running() as api, pytest.raises(SetupError, match="Another local server"), running():
        pass
    assert api


def test_what_an_existing_data_folder_gets_is_for_its_owner_only(running, data_dir: Path):
    data_dir.mkdir(mode=0o755)
    (data_dir / "spool").mkdir(mode=0o755)
    (data_dir / "generations.sqlite3").touch(mode=0o644)
    with running():
        assert (data_dir / "spool").stat().st_mode & 0o777 == 0o700
        for path in data_dir.glob("generations*"):
            assert path.stat().st_mode & 0o777 == 0o600


def test_the_data_folder_is_for_its_owner_only(api: Api, data_dir: Path):
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert (data_dir / "generations.sqlite3").stat().st_mode & 0o777 == 0o600


def test_several_recordings_are_worked_on_at_a_time_where_asked_for(serve, engine: StubEngine):
    engine.open.clear()
    api = serve(concurrency=2)
    ids = [api.upload(wav()).json()["generation_id"] for _ in range(3)]

    eventually(lambda: sorted(map(api.status, ids)) == ["active", "active", "waiting"])


def test_a_claim_is_given_once_and_oldest_first(store: Store, clock: Clock):
    ids = [Store.new_id() for _ in range(3)]
    for generation_id in ids:
        store.add(generation_id, BODY)
        clock.now += 1

    assert [store.claim().id for _ in ids] == ids
    assert store.claim() is None


def test_a_worker_that_was_given_up_cannot_write_over_a_later_start(store: Store):
    generation_id = Store.new_id()
    store.add(generation_id, BODY)
    early = store.claim()
    store.recover(3)
    late = store.claim()

    assert not store.holds(early)
    assert not store.complete(early, {"from": "early"})
    assert store.complete(late, {"from": "late"})
    assert store.get(generation_id).result == {"from": "late"}


def test_only_the_transitions_of_the_table_are_made(store: Store):
    generation_id = Store.new_id()
    store.add(generation_id, BODY)
    waiting = store.get(generation_id)
    with pytest.raises(ValueError, match="from waiting to completed"):
        store.complete(waiting, {})
    store.complete(store.claim(), {})
    with pytest.raises(ValueError, match="from completed to error"):
        store.fail(store.get(generation_id), "name", "message", 500)
    assert {to for targets in TRANSITIONS.values() for to in targets} | {"waiting"} == set(TRANSITIONS)


@pytest.mark.parametrize("content", [b"no database at all" * 500, None])
def test_a_database_that_is_not_ours_is_told(running, data_dir: Path, content: bytes | None):
    data_dir.mkdir()
    path = data_dir / "generations.sqlite3"
    if content is not None:
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE generations (status TEXT, created TEXT)")

    with pytest.raises(SetupError, match="database is damaged"), running():
        pass


class TestTrouble:
    """Threads that meet an error go on: the server would take in work and never do it."""

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch):
        monkeypatch.setattr(workers, "RETRY_SECONDS", 0.01)

    @pytest.fixture
    def work(self, store: Store, engine: StubEngine, data_dir: Path):
        settings = Settings(keys=frozenset({"key"}), data_dir=data_dir, sweep_every=0.02)
        started = workers.Workers(store, engine, settings)
        started.start()
        yield started
        started.stop()

    def submit(self, store: Store, work: workers.Workers) -> str:
        generation_id = Store.new_id()
        store.audio_path(generation_id).write_bytes(wav())
        work.add(generation_id, Body(model=MODEL))
        return generation_id

    def test_a_verdict_that_a_full_disk_refuses_is_written_when_there_is_room(
        self, store: Store, work: workers.Workers, engine: StubEngine, caplog
    ):
        engine.open.clear()
        engine.words *= 1000
        generation_id = self.submit(store, work)
        assert engine.entered.wait(10)
        [pages] = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        engine.open.set()
        eventually(lambda: "the database fails: OperationalError" in caplog.text)
        assert store.get(generation_id).status == "active"

        store._db.execute("PRAGMA max_page_count = 1000000")
        eventually(lambda: store.get(generation_id).status == "completed")
        assert len(engine.asked) == 1

    @pytest.mark.parametrize(
        "error", [sqlite3.OperationalError("disk I/O error"), RuntimeError("unforeseen")]
    )
    @pytest.mark.parametrize("method", ["claim", "discard"])
    def test_a_worker_survives_any_error(
        self, store: Store, work: workers.Workers, monkeypatch, caplog, method: str, error: Exception
    ):
        left = [error]
        real = getattr(store, method)

        def sometimes(*args, **kwargs):
            if left:
                raise left.pop()
            return real(*args, **kwargs)

        monkeypatch.setattr(store, method, sometimes)
        ids = [self.submit(store, work) for _ in range(2)]

        for generation_id in ids:
            eventually(lambda ended=generation_id: store.get(ended).status == "completed")
        assert not left
        assert str(error) not in caplog.text

    def test_the_sweeper_survives_an_error(
        self, store: Store, work: workers.Workers, clock: Clock, monkeypatch, data_dir: Path
    ):
        left = [sqlite3.OperationalError("disk I/O error")]
        real = store.sweep

        def sometimes():
            if left:
                raise left.pop()
            return real()

        monkeypatch.setattr(store, "sweep", sometimes)
        generation_id = self.submit(store, work)
        eventually(lambda: store.get(generation_id).status == "completed")
        eventually(lambda: not left)
        clock.now += 3600

        eventually(lambda: count_generations(data_dir) == 0)

    def test_a_worker_that_outlasts_the_server_says_nothing_false(
        self, running, data_dir: Path, monkeypatch, caplog
    ):
        caplog.set_level("INFO", logger="airflow_provider_laplas.local")
        monkeypatch.setattr(workers, "STOP_SECONDS", 0.05)
        wake = threading.Event()

        class Deaf(StubEngine):
            def transcribe(self, samples, **asked):
                self.entered.set()
                wake.wait(30)
                return super().transcribe(samples, **asked)

        deaf = Deaf()
        with running(deaf) as api:
            api.upload(wav())
            assert deaf.entered.wait(10)
            [worker] = [thread for thread in threading.enumerate() if thread.name.startswith("laplas-worker")]
        wake.set()
        worker.join(10)

        assert not [record for record in caplog.records if record.levelname == "ERROR"]
        assert spooled(data_dir)


def test_a_transaction_that_ended_by_itself_tells_its_own_error(store: Store):
    def fails() -> None:
        with store._transaction() as db:
            db.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError, match="full"):
        fails()


def test_a_read_does_not_wait_for_a_writer(store: Store, data_dir: Path):
    with closing(sqlite3.connect(data_dir / "generations.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store._db.execute("PRAGMA busy_timeout = 0")
        assert store.get(Store.new_id()) is None
        assert store.count_waiting() == 0
