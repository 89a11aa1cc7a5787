"""A generation's life: states, expiry, restarts, crashes."""

import sqlite3
from pathlib import Path

import pytest

from airflow_provider_laplas.local.errors import SetupError
from airflow_provider_laplas.local.store import TRANSITIONS, Store
from tests.local.conftest import MODEL, Api, Clock, StubEngine, assert_error, eventually, wav

BODY = f'{{"model": "{MODEL}"}}'


def spooled(data_dir: Path) -> list[str]:
    return [path.name for path in (data_dir / "spool").iterdir()]


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
    with sqlite3.connect(data_dir / "generations.sqlite3") as database:
        eventually(lambda: database.execute("SELECT count(*) FROM generations").fetchone() == (0,))
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


def test_what_the_spool_holds_for_nobody_is_deleted_at_the_start(running, data_dir: Path):
    with running():
        pass
    (data_dir / "spool" / f"{Store.new_id()}.audio").write_bytes(b"left behind")

    with running():
        assert not spooled(data_dir)


def test_two_servers_cannot_share_a_data_folder(running):
    with running() as api, pytest.raises(SetupError), running():
        pass
    assert api


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
