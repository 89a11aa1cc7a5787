"""Parts of the cluster that go away while waits end: nothing is lost."""

import time
from datetime import UTC, datetime

import pytest

from tests.cluster.conftest import FEW, FILES, begin, full, hold, release
from tests.patience import eventually

pytestmark = full


@pytest.fixture
def waiting(start):
    """Some waits and a batch, which end when they are released."""
    works = start("few_waits", prepare=hold), start("batch", prepare=hold)
    eventually(lambda: all(work.is_deferred() for work in works), "deferred tasks")
    return works


def tally(waiting, fault):
    """Wait for all, and write what came of them, and how many tasks needed another try."""
    for work, what in zip(waiting, (f"{FEW} waits", f"a batch of {FILES}"), strict=True):
        work.succeed()
        highest, repeated = work.tries()
        work.tally(f"{fault}, {what} ({repeated} tasks tried again, up to {highest} tries)")


def test_waits_that_end_while_redis_is_away(stack, waiting):
    stack.kill("redis")
    begin(*waiting)
    release(*waiting)
    # How long the broker is away.
    time.sleep(15)
    stack.start_process("redis")
    stack.await_healthy()
    tally(waiting, "Redis away for 15 s")


def test_waits_that_end_while_postgresql_is_away(stack, waiting):
    database = stack.process("postgresql")
    begin(*waiting)
    release(*waiting)
    database.terminate()
    database.wait(30)
    # How long it is away.
    time.sleep(10)
    back = datetime.now(UTC)
    ended = set()

    def healthy():
        # As whoever watches Airflow's processes does.
        ended.update(stack.restart_ended())
        return stack.is_healthy(since=back)

    eventually(healthy, "a healthy cluster")
    tally(
        waiting,
        f"PostgreSQL away for 10 s (and {', '.join(sorted(ended - {'postgresql'})) or 'nothing'} had ended)",
    )


def test_waits_that_end_while_the_api_server_is_away(stack, waiting):
    stack.kill("api-server")
    begin(*waiting)
    release(*waiting)
    # How long it is away.
    time.sleep(30)
    stack.start_process("api-server")
    stack.await_healthy()
    tally(waiting, "API server away for 30 s")


def test_waits_that_end_while_the_scheduler_is_killed(stack, waiting):
    release(*waiting)
    stack.kill("scheduler")
    begin(*waiting)
    stack.start_process("scheduler")
    stack.await_healthy()
    tally(waiting, "scheduler killed")
