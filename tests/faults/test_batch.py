"""Batches whose processes are killed: what the manifest knows goes on, and what it does not know is left to the user."""

from collections import Counter

import pytest

from airflow_provider_laplas.manifest import FileState
from airflow_stack.processes import session_members
from tests.fake_api import TEXT, answer_healthily
from tests.faults.common import BatchRun
from tests.faults.kill import Midway, kill_owner
from tests.patience import PATIENCE, eventually

ANSWERED = 20
HELD = 16
"""Submissions that a batch has under way at a time."""


@pytest.fixture(scope="module")
def start(stack, free_apis, folder):
    """Start a batch; ``prepare`` tells its server what to do to it."""

    def run(dag_id, name, prepare=lambda run: None):
        number, api = next(free_apis)
        started = BatchRun(dag_id, name, api, folder / name)
        prepare(started)
        conf = {"conn_id": f"laplas_{number}", "results_path": str(started.results)}
        stack.trigger(dag_id, conf, run_id=name)
        return started

    return run


@pytest.fixture
def finish(stack):
    """Wait for a run, which has to succeed."""

    def wait(run):
        stack.await_success(run.dag_id, run.run_id, PATIENCE)

    return wait


@pytest.fixture(scope="module")
def runs(start, stack):
    """All that kill a worker, at once: most of the time is Airflow noticing that somebody is gone."""

    def cut(target):
        def prepare(run):
            midway = Midway(kill_owner(target), when=lambda: run.noted() == ANSWERED)
            run.api.script("POST", *[answer_healthily] * ANSWERED, *[midway] * HELD)

        return prepare

    def outlive(run):
        midway = Midway(
            kill_owner("supervisor"),
            when=lambda: run.noted() == ANSWERED,
            until=lambda: "ambiguous" in run.counts(),
            behaviour=answer_healthily,
        )
        run.api.script("POST", *[answer_healthily] * ANSWERED, *[midway] * HELD)

    def stop(run):
        def continued():
            if "ambiguous" not in run.counts():
                return False
            run.stopped.resume()
            return True

        midway = Midway(
            run.stopped.stop_owner,
            when=lambda: run.noted() == ANSWERED,
            until=continued,
            behaviour=answer_healthily,
        )
        run.api.script("POST", *[answer_healthily] * ANSWERED, *[midway] * HELD)

    def clear(run):
        def cleared(_):
            stack.clear(run.dag_id, run.run_id, ["transcribe"])

        midway = Midway(cleared, when=lambda: run.noted() == ANSWERED, behaviour=answer_healthily)
        run.api.script("POST", *[answer_healthily] * ANSWERED, *[midway] * HELD)

    return {
        "stopped": start("batch_that_may_fail", "stopped", stop),
        "cleared": start("batch_that_may_fail", "cleared", clear),
        "task": start("batch", "cut-task", cut("task")),
        "supervisor": start("batch", "cut-supervisor", cut("supervisor")),
        "outlived": start("batch_that_may_fail", "outlived", outlive),
        "resumed": start("batch_killed_when_resumed", "resumed-batch"),
    }


def test_a_batch_outlasts_a_killed_triggerer_though_the_api_forgot_what_the_manifest_had_not_noted(
    stack, runs, start, finish, figures
):
    def hold(run):
        run.api.polls_until_done = 100_000
        run.api.forget_when_done = True

    run = start("batch", "triggerer", hold)
    eventually(lambda: run.api.count("GET") > 50, "a triggerer that looks")
    first, *others = list(run.api.generations)[:25]
    run.api.complete(first)
    # The manifest has just been written then, and is not again for some seconds.
    eventually(lambda: run.counts().get("completed"), "a first transcript that is noted")
    for generation_id in others:
        run.api.complete(generation_id)
    eventually(lambda: len(run.texts()) == 25, "transcripts of the half")
    stack.kill("triggerer")
    noted = run.counts()["completed"]
    left = len(run.api.generations)
    run.api.polls_until_done = 0
    stack.start_process("triggerer")
    finish(run)
    figures.tally(run.api, work=50, texts=run.texts())
    assert (noted < 25, left) == (True, 25)
    assert stack.xcom(run.dag_id, run.run_id, "transcribe")["counts"] == {"completed": 50}
    assert run.texts() == [TEXT] * 50
    assert run.times_submitted().total() == len(run.times_submitted()) == 50


@pytest.mark.parametrize("target", ["task", "supervisor"])
def test_a_kill_amid_submissions_leaves_those_under_way_ambiguous_and_completes_the_others(
    stack, runs, figures, target
):
    run = runs[target]
    assert stack.wait(run.dag_id, run.run_id, PATIENCE) == "failed"
    counts = run.counts()
    figures["submissions left ambiguous, and said to be"] += counts.get("ambiguous", 0)
    # The first ambiguous one stops the batch: what was not submitted is left for a Clear.
    figures.tally(run.api, work=50, owed=counts["completed"], texts=run.texts())
    assert set(counts) <= {"ambiguous", "completed", "pending"}
    assert counts["completed"] >= ANSWERED
    assert 0 < counts["ambiguous"] <= HELD
    assert run.texts() == [TEXT] * counts["completed"]
    assert set(run.times_submitted().values()) == {1}
    log = stack.task_log(run.dag_id, run.run_id, "transcribe")
    assert f"LaplasBatchError: {counts['ambiguous']} files failed" in log
    assert "usage page" in log
    assert all("usage page" in entry.error for entry in run.manifest.having(FileState.AMBIGUOUS))


def test_a_task_that_outlives_its_supervisor_does_not_submit_beside_the_retry(stack, runs, finish, figures):
    run = runs["outlived"]
    finish(run)
    counts = run.counts()
    figures["submissions left ambiguous, and said to be"] += counts.get("ambiguous", 0)
    figures.tally(run.api, work=120, owed=120 - counts.get("ambiguous", 0), texts=run.texts())
    assert set(run.times_submitted().values()) == {1}
    # What it was submitting is taken up, by the ids that it noted after the retry had begun.
    assert counts == {"completed": 120}
    assert stack.xcom(run.dag_id, run.run_id, "transcribe")["counts"] == counts
    assert run.texts() == [TEXT] * counts["completed"]


@pytest.mark.parametrize("what", ["stopped", "cleared"])
def test_a_task_that_is_stopped_for_long_or_cleared_amid_its_submissions_pays_nothing_twice(
    stack, runs, figures, what
):
    run = runs[what]
    state = stack.wait(run.dag_id, run.run_id, PATIENCE)
    counts = run.counts()
    figures["submissions left ambiguous, and said to be"] += counts.get("ambiguous", 0)
    figures.tally(run.api, work=120, owed=120 - counts.get("ambiguous", 0), texts=run.texts())
    assert state == "success"
    assert set(run.times_submitted().values()) == {1}
    assert set(counts) <= {"ambiguous", "completed"}
    assert counts.get("ambiguous", 0) <= HELD
    assert run.texts() == [TEXT] * counts["completed"]
    ids = {entry.generation_id for entry in run.manifest.entries}
    assert len(ids - {None}) == counts["completed"]


def test_a_triggerer_that_is_stopped_for_long_and_continued_loses_nothing(stack, start, finish, figures):
    def hold(run):
        run.api.polls_until_done = 100_000

    run = start("batch", "stopped-triggerer", hold)
    eventually(lambda: run.api.count("GET") > 50, "a triggerer that polls")
    run.stopped.stop(*session_members(stack.process("triggerer").pid))
    try:
        run.api.polls_until_done = 0
        asked = run.api.count("GET")
        # Longer than Airflow takes a silent triggerer for alive.
        eventually(lambda: stack.health()["triggerer"]["status"] != "healthy", "a triggerer that is missed")
        # Some may have been on their way; one that goes on asks for each of its files meanwhile.
        assert run.api.count("GET") < asked + 10
    finally:
        run.stopped.resume()
    finish(run)
    figures.tally(run.api, work=50, texts=run.texts())
    assert run.counts() == {"completed": 50}
    assert run.times_submitted().total() == len(run.times_submitted()) == 50


def test_a_worker_that_is_killed_when_it_is_called_back_goes_on_from_the_manifest(
    stack, runs, finish, folder, figures
):
    run = runs["resumed"]
    finish(run)
    figures.tally(run.api, work=20, texts=run.texts())
    assert (folder / f"resumed-{run.run_id}").exists()
    assert stack.xcom(run.dag_id, run.run_id, "transcribe")["counts"] == {"completed": 20}
    assert run.texts() == [TEXT] * 20
    assert run.times_submitted().total() == len(run.times_submitted()) == 20


def test_a_user_clears_a_finished_batch_and_the_api_is_not_asked(stack, runs, finish):
    run = runs["resumed"]
    stack.wait(run.dag_id, run.run_id, PATIENCE)
    summary = stack.xcom(run.dag_id, run.run_id, "transcribe")
    asked = len(run.api.requests)
    stack.clear(run.dag_id, run.run_id, ["transcribe"])
    finish(run)
    assert stack.xcom(run.dag_id, run.run_id, "transcribe") == summary
    assert len(run.api.requests) == asked


def test_a_user_clears_a_batch_that_was_cut_and_the_ambiguous_and_the_pending_are_submitted(
    stack, runs, finish
):
    run = runs["task"]
    stack.wait(run.dag_id, run.run_id, PATIENCE)
    left = {entry.source for entry in run.manifest.having(FileState.AMBIGUOUS, FileState.PENDING)}
    before = run.times_submitted()
    stack.clear(run.dag_id, run.run_id, ["transcribe"])
    finish(run)
    assert run.times_submitted() - before == Counter(left)
    assert run.counts() == {"completed": 50}
