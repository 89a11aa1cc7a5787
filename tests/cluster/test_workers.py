"""Workers that die, hang or are asked to end while they submit, upload and poll."""

import os
import signal
from dataclasses import dataclass, field

import pytest

from airflow_stack.processes import session_members
from tests.cluster.conftest import begin, full
from tests.fake_api import answer_healthily
from tests.faults.kill import Midway, Stopped
from tests.patience import eventually

HELD = 16
"""Submissions that a batch has under way at a time."""
UPLOAD_BYTES = 20_000_000


@dataclass
class AtWork:
    """
    Four tasks, each in the middle of a request that its server holds: what they do, and the runs.

    :ivar let_go: has the servers answer
    """

    works: dict[str, object]
    held: set[str] = field(default_factory=set)
    let_go: bool = False


@pytest.fixture
def at_work(start, tmp_path):
    audio = tmp_path / "long.mp3"
    audio.write_bytes(bytes(UPLOAD_BYTES))
    working = AtWork({})

    def held(name, method, count=1, size=None):
        def prepare(api):
            midway = Midway(
                lambda port: working.held.add(name),
                when=lambda: True,
                until=lambda: working.let_go,
                behaviour=answer_healthily,
                size=size,
            )
            api.script(method, *[midway] * count)

        return prepare

    working.works = {
        "submitting": start("one", prepare=held("submitting", "POST")),
        "uploading": start("one", prepare=held("uploading", "POST", size=1000), audio=str(audio)),
        "polling": start("one_in_place", prepare=held("polling", "GET")),
        "submitting a batch": start("batch", prepare=held("submitting a batch", "POST", HELD)),
    }
    eventually(lambda: working.held == set(working.works), "tasks amid their requests")
    return working


def restart(stack):
    for name in stack.deployment.workers:
        stack.start_process(name)
    stack.await_healthy()


def tally(working, what):
    """Wait for all four, and return how many submissions of each are ambiguous."""
    for name, work in working.works.items():
        work.finish()
        work.tally(f"workers {what} while {name}")
    return {name: work.ambiguous() for name, work in working.works.items()}


def test_killed_workers_leave_ambiguous_what_was_under_way_and_nothing_else(stack, at_work):
    for name in stack.deployment.workers:
        stack.kill(name)
    begin(*at_work.works.values())
    at_work.let_go = True
    restart(stack)
    ambiguous = tally(at_work, "killed")
    assert 0 < ambiguous.pop("submitting a batch") <= HELD
    assert ambiguous == {"submitting": 1, "uploading": 1, "polling": 0}


@full
def test_workers_that_hang_and_come_back_pay_nothing_twice(stack, at_work):
    stopped = Stopped()
    for name in stack.deployment.workers:
        stopped.stop(*session_members(stack.process(name).pid))
    begin(*at_work.works.values())
    try:
        batch = at_work.works["submitting"]
        eventually(lambda: batch.states() != ["running"], "tasks that are missed")
    finally:
        stopped.resume()
        at_work.let_go = True
    tally(at_work, "stopped and continued")


@full
def test_workers_that_are_asked_to_end_finish_what_they_do(stack, at_work):
    for name in stack.deployment.workers:
        os.kill(stack.process(name).pid, signal.SIGTERM)
    begin(*at_work.works.values())
    at_work.let_go = True
    for name in stack.deployment.workers:
        eventually(lambda name=name: stack.process(name).has_ended, f"the end of {name}")
    restart(stack)
    assert not any(tally(at_work, "terminated").values())
