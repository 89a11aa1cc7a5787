"""Users who clear tasks, or mark them, through the REST API."""

import time

import pytest


def hold(api):
    api.polls_until_done = 100_000


class Held:
    """Tasks whose polls are not answered until they are let go."""

    let_go = False


@pytest.fixture
def tasks(start, eventually):
    """Tasks that are deferred, that poll in their worker, and that have finished; three of each, one for each act."""
    acts = ("clear", "failed", "success")
    held = {("deferred", act): start("one", prepare=hold) for act in acts}
    held |= {("running", act): start("one_in_place", prepare=hold) for act in acts}
    held |= {("finished", act): start("one") for act in acts}
    for (state, _), work in held.items():
        if state == "finished":
            work.succeed()
        else:
            wanted = {"running": "running", "deferred": "deferred"}[state]
            eventually(
                lambda work=work, wanted=wanted: work.states() == [wanted] and work.api.count("GET") > 1,
                f"a {state} task that polls",
            )
    return held


def test_a_user_who_clears_or_marks_a_task_pays_nothing_twice(stack, tasks, eventually):
    for (_, act), work in tasks.items():
        work.began = time.monotonic()
        if act == "clear":
            stack.clear(work.dag_id, work.run_id, ["transcribe"])
        else:
            stack.mark(work.dag_id, work.run_id, "transcribe", act)
    for (state, act), work in tasks.items():
        if act == "clear":
            if state != "finished":
                eventually(lambda work=work: "--- try 2 ---" in work.log(), "a second try")
            work.api.polls_until_done = 0
            work.succeed()
            # What has been stored is taken; what has not is waited for.
            work.tally(f"Clear of a {state} task")
            assert "Not submitting" in work.log()
        else:
            assert work.finish() == act
            work.seconds = time.monotonic() - work.began
            owed = int(state == "finished" and act == "success")
            work.tally(f"a {state} task is marked {act}", owed=owed)
    for act in ("clear", "failed", "success"):
        assert "The API cannot cancel it" in tasks["deferred", act].log()
