"""Triggerers that die or hang: the other one takes their waits over."""

import time

import pytest

from airflow_stack.processes import session_members
from tests.cluster.conftest import FILES, WAITS, begin, full, hold, release
from tests.fake_api import TEXT
from tests.faults.kill import Stopped
from tests.patience import eventually


@pytest.fixture
def waiting(start):
    """Many waits and a batch that go on until the servers say that they are done."""
    waits, batch = start("waits", prepare=hold), start("batch", prepare=hold)
    eventually(waits.is_deferred, "deferred waits")
    eventually(lambda: batch.is_deferred() and len(batch.api.generations) == FILES, "a deferred batch")
    for work in (waits, batch):
        polled(work)
    return waits, batch


def polled(work):
    """Wait until each generation has been polled from now on."""
    before = dict(work.api.generations)
    eventually(lambda: all(work.api.generations[key] > n for key, n in before.items()), "polls of every wait")


def triggerer_of(stack, work):
    """The name of the triggerer that has a task's trigger."""
    [found] = stack.deployment.postgresql.query(
        "select job.hostname from job join trigger on trigger.triggerer_id = job.id join task_instance as ti on "
        f"ti.trigger_id = trigger.id where ti.run_id = '{work.run_id}' limit 1"
    )
    return found[0]


def test_waits_and_a_batch_outlast_a_killed_triggerer(stack, waiting):
    waits, batch = waiting
    victim = triggerer_of(stack, batch)
    stack.kill(victim)
    begin(*waiting)
    for work in waiting:
        polled(work)
    moved = time.monotonic() - waits.began
    stack.start_process(victim)
    release(*waiting)
    for work, what in ((waits, f"{WAITS} waits"), (batch, f"a batch of {FILES}")):
        work.succeed()
        work.tally(f"triggerer killed under {what} (moved after {moved:.0f} s)")
    assert waits.texts() == [TEXT] * WAITS


@full
def test_waits_and_a_batch_outlast_a_triggerer_that_hangs_and_comes_back(stack, waiting):
    waits, batch = waiting
    victim, stopped = triggerer_of(stack, batch), Stopped()
    stopped.stop(*session_members(stack.process(victim).pid))
    try:
        begin(*waiting)
        for work in waiting:
            polled(work)
        moved = time.monotonic() - waits.began
    finally:
        stopped.resume()
    release(*waiting)
    for work, what in ((waits, f"{WAITS} waits"), (batch, f"a batch of {FILES}")):
        work.succeed()
        work.tally(f"triggerer stopped and continued under {what} (moved after {moved:.0f} s)")
    # Each says what has happened, and none that a user has cancelled something.
    logs = [stack.task_log("waits", waits.run_id, "transcribe", map_index=n) for n in range(WAITS)]
    assert not any("The API cannot cancel" in log for log in [*logs, batch.log()])
    assert any("This triggerer stood still" in log for log in logs)
