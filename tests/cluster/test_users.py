"""Users who clear tasks, or mark them, through the REST API."""

import pytest

from tests.cluster.conftest import FULL, begin, hold, release
from tests.patience import eventually

ACTS = ("clear", "failed", "success")
# What is a success cannot be marked one.
CASES = [
    (state, act)
    for state in ("deferred", "running", "finished")
    for act in ACTS
    if (state, act) != ("finished", "success")
]
if not FULL:
    CASES = [(state, act) for state, act in CASES if act == "clear"]


@pytest.fixture
def tasks(start):
    """A task for each act of a user: deferred, polling in its worker, or finished."""
    works = {}
    for state, act in CASES:
        dag_id = "one_in_place" if state == "running" else "one"
        works[state, act] = start(dag_id, **({} if state == "finished" else {"prepare": hold}))
    for (state, _), work in works.items():
        if state == "finished":
            work.succeed()
        else:
            eventually(
                lambda work=work, state=state: work.states() == [state] and work.api.count("GET") > 1,
                f"a {state} task that polls",
            )
    return works


def test_a_user_who_clears_or_marks_a_task_pays_nothing_twice(stack, tasks):
    for (_, act), work in tasks.items():
        begin(work)
        if act == "clear":
            stack.clear(work.dag_id, work.run_id, ["transcribe"])
        else:
            stack.mark(work.dag_id, work.run_id, "transcribe", act)
    for (state, act), work in tasks.items():
        if state == "deferred":
            # Before it is released: a trigger that sees the end before Airflow ends it has nothing to say.
            eventually(
                lambda work=work: "The API cannot cancel it" in work.log(),
                "a log that says what goes on",
                shown=work.log,
            )
        if act == "clear":
            eventually(
                lambda work=work: "Not submitting" in work.log(), "a try that goes on with what was submitted"
            )
            release(work)
            work.succeed()
            work.tally(f"Clear of a {state} task")
        else:
            work.finish()
            # Of a run that had ended, Airflow keeps the state.
            assert work.states() == [act]
            # Airflow keeps the XComs of what had finished; nobody waits for the others any more.
            work.tally(f"a {state} task is marked {act}", owed=0)
