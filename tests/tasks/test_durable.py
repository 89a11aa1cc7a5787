"""Tries after the first: nothing is paid for twice, and nothing that was paid for is lost."""

import json
import os
from datetime import timedelta
from itertools import chain, repeat

import pytest
from airflow.sdk import task
from airflow.sdk.exceptions import AirflowException

from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
)
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeOperator
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sensors import STTCompletionSensor
from tests.fake_api import TEXT, reply, reset_after_body, transcript_reply

URL = "https://example.com/a.mp3"

BOTH = pytest.mark.parametrize("deferrable", [True, False], ids=["deferrable", "in place"])


@pytest.fixture
def run_and_clear(dag, run_dag):
    """Run the DAG, and at every further call clear its tasks and run them again, as a user does."""
    actions = chain([run_dag], repeat(run_dag.clear))
    return lambda: next(actions)(dag)


def failing_once(message="no disk left"):
    """A step behind the task's own work that fails in the first try."""
    seen = []

    def step(context, result=None):
        seen.append(context["ti"].try_number)
        if len(seen) == 1:
            raise AirflowException(message)

    return step


RETRY = {"retries": 2, "retry_delay": timedelta(0)}


@BOTH
def test_a_retry_takes_the_stored_transcript_and_does_not_ask_the_api(
    api, dag, run_dag, tmp_path, deferrable
):
    TranscribeOperator(
        task_id="t",
        audio=URL,
        deferrable=deferrable,
        defer_after=0,
        poke_interval=1,
        results_path=str(tmp_path),
        post_execute=failing_once(),
        on_retry_callback=lambda context: api.stop(),
        **RETRY,
    )
    run = run_dag(dag)
    assert (run.state_of("t"), run.xcom("t")["text"]) == ("success", TEXT)
    assert api.count("POST") == 1


@BOTH
def test_without_a_results_path_a_retry_finds_a_short_transcript_in_the_state_store(
    api, dag, run_dag, deferrable
):
    transcribe = TranscribeOperator(
        task_id="t",
        audio=URL,
        deferrable=deferrable,
        defer_after=0,
        poke_interval=1,
        post_execute=failing_once(),
        on_retry_callback=lambda context: api.stop(),
        **RETRY,
    )
    loaded = []

    @task
    def use(result):
        loaded.append(load_transcript(result).raw)

    use(transcribe.output)
    run = run_dag(dag)
    assert run.state == "success"
    assert loaded == [transcript_reply()]
    assert api.count("POST") == 1


def test_a_retry_attaches_to_the_generation_that_is_running(api, dag, run_dag):
    """The first try ends before it waits; the second goes on with what it submitted."""
    DyingOnceSubmitted(task_id="t", audio=URL, poke_interval=1, **RETRY)
    run = run_dag(dag)
    assert run.xcom("t")["text"] == TEXT
    assert api.count("POST") == 1


class DyingOnceSubmitted(TranscribeOperator):
    """Its first try ends once the generation is noted."""

    def make_task(self, context, event=None):
        made = super().make_task(context, event)
        if context["ti"].try_number == 1:
            made.announce_id = die
        return made


def die(generation_id):
    raise AirflowException("the worker lost its database")


@pytest.mark.parametrize("operator", [SubmitSTTOperator, TranscribeOperator])
def test_a_clear_takes_up_the_same_generation(api, dag, run_and_clear, operator):
    operator(task_id="t", audio=URL, **({"poke_interval": 1} if operator is TranscribeOperator else {}))
    first = run_and_clear().xcom("t", "generation_id")
    second = run_and_clear().xcom("t", "generation_id")
    assert first == second
    assert api.count("POST") == 1


def test_a_mapped_task_remembers_for_each_of_its_files(api, dag, run_and_clear):
    SubmitSTTOperator.partial(task_id="t").expand(audio=[f"{URL}?n={n}" for n in range(2)])
    first, again = run_and_clear(), run_and_clear()
    ids = [first.xcom("t", map_index=n) for n in range(2)]
    assert [again.xcom("t", map_index=n) for n in range(2)] == ids
    assert set(ids) == set(api.generations)
    assert api.count("POST") == 2


def test_a_clear_after_the_generation_failed_submits_again(api, dag, run_and_clear):
    TranscribeOperator(task_id="t", audio=URL, poke_interval=1)
    api.script("GET", reply(200, {"status": "failed", "error": "overloaded"}))
    assert run_and_clear().state_of("t") == "failed"
    (failed,) = api.generations
    api.complete(failed, {"status": "failed", "error": "overloaded"})
    assert run_and_clear().state_of("t") == "success"
    assert api.count("POST") == 2


@pytest.mark.parametrize(
    ("on_expired", "state", "posts"), [("fail", "failed", 1), ("resubmit", "success", 2)]
)
def test_a_generation_that_is_gone_is_paid_again_only_where_the_user_says_so(
    api, dag, run_and_clear, monkeypatch, on_expired, state, posts
):
    monkeypatch.setattr("airflow_provider_laplas.task.submission.SETTLING", 0.0)
    operator = SubmitSTTOperator(task_id="t", audio=URL, on_expired=on_expired)
    run_and_clear()
    api.generations.clear()
    run = run_and_clear()
    assert (run.state_of("t"), api.count("POST")) == (state, posts)
    if state == "failed":
        assert isinstance(run.errors[-1], LaplasGenerationGoneError)
        assert "on_expired" in str(run.errors[-1])
        assert "no `results_path` is set" in str(run.errors[-1])
    assert operator.on_expired == on_expired


def test_a_generation_that_is_gone_but_stored_is_not_paid_again(
    api, dag, run_and_clear, monkeypatch, tmp_path
):
    connection = json.loads(os.environ["AIRFLOW_CONN_LAPLAS_DEFAULT"]) | {
        "extra": {"results_path": str(tmp_path)}
    }
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", json.dumps(connection))
    submit = SubmitSTTOperator(task_id="submit", audio=URL)
    STTCompletionSensor(task_id="wait", generation_id=submit.output, poke_interval=1)
    assert run_and_clear().state == "success"
    api.generations.clear()
    api.key = "asking is refused now"
    run = run_and_clear()
    assert run.xcom("wait")["text"] == TEXT
    assert api.count("POST") == 1


@pytest.mark.parametrize("lost", [False, True], ids=["stored", "lost"])
def test_a_clear_of_both_tasks_after_the_apis_hour_finds_the_transcript_in_their_folder_or_says_that_it_does_not(
    api, dag, run_and_clear, monkeypatch, tmp_path, lost
):
    monkeypatch.setattr("airflow_provider_laplas.task.submission.SETTLING", 0.0)
    dag.params = {"folder": str(tmp_path)}
    folder = "{{ params.folder }}"
    submit = SubmitSTTOperator(task_id="submit", audio=URL, results_path=folder)
    STTCompletionSensor(task_id="wait", generation_id=submit.output, results_path=folder, poke_interval=1)
    generation_id = run_and_clear().xcom("submit")
    api.generations.clear()
    if lost:
        (tmp_path / f"{generation_id}.json").unlink()
    run = run_and_clear()
    assert api.count("POST") == 1
    if lost:
        assert isinstance(run.errors[0], LaplasGenerationGoneError)
        assert f"was found in {tmp_path}" in str(run.errors[0])
    else:
        assert (run.xcom("submit"), run.xcom("wait")["text"]) == (generation_id, TEXT)


@pytest.mark.parametrize(
    "change",
    [{"audio": f"{URL}?id=2"}, {"model": "other"}, {"diarize": True}],
    ids=["audio", "model", "options"],
)
def test_other_work_is_submitted(api, dag, run_and_clear, change):
    operator = SubmitSTTOperator(task_id="t", audio=URL)
    run_and_clear()
    for name, value in change.items():
        if name == "diarize":
            operator.options = {"diarize": value}
        else:
            setattr(operator, name, value)
    run_and_clear()
    assert api.count("POST") == 2


def test_a_file_that_changed_is_submitted_again_and_one_that_was_moved_away_is_not(
    api, dag, run_and_clear, tmp_path
):
    audio = tmp_path / "a.mp3"
    audio.write_bytes(b"one")
    SubmitSTTOperator(task_id="t", audio=str(audio))
    run_and_clear()
    audio.write_bytes(b"another")
    run_and_clear()
    assert api.count("POST") == 2
    audio.unlink()
    assert run_and_clear().state_of("t") == "success"
    assert api.count("POST") == 2


def test_a_url_that_is_signed_anew_is_not_submitted_again(api, dag, run_and_clear):
    signed = iter(["one", "two", "three"])
    dag.user_defined_macros = {"sign": lambda: next(signed)}
    SubmitSTTOperator(task_id="t", audio=URL + "?X-Amz-Signature={{ sign() }}")
    run_and_clear()
    run_and_clear()
    assert api.count("POST") == 1


def test_without_durable_every_try_submits(api, dag, run_and_clear):
    SubmitSTTOperator(task_id="t", audio=URL, durable=False)
    run_and_clear()
    run_and_clear()
    assert api.count("POST") == 2


def test_a_clear_after_an_ambiguous_submission_is_consent(api, dag, run_and_clear):
    api.script("POST", reset_after_body())
    TranscribeOperator(task_id="t", audio=URL, poke_interval=1, **RETRY)
    run = run_and_clear()
    assert isinstance(run.errors[0], LaplasAmbiguousSubmitError)
    assert api.count("POST") == 1
    assert run_and_clear().state_of("t") == "success"
    assert api.count("POST") == 2


def test_an_ambiguous_submission_is_repeated_once_where_the_user_says_so(api, dag, run_dag):
    api.script("POST", reset_after_body(), reset_after_body())
    TranscribeOperator(task_id="t", audio=URL, on_ambiguous="resubmit", **RETRY)
    assert run_dag(dag).state_of("t") == "failed"
    assert api.count("POST") == 2


def test_a_retry_past_the_deadline_takes_a_finished_transcript(api, dag, run_dag, monkeypatch):
    generation_id = api.create()
    api.complete(generation_id)
    sensor = STTCompletionSensor(
        task_id="t", generation_id=generation_id, timeout=0.01, post_execute=failing_once(), **RETRY
    )
    assert run_dag(dag).xcom("t")["text"] == TEXT
    assert sensor.timeout == 0.01


def test_a_clear_begins_a_new_deadline(api, dag, run_and_clear):
    api.polls_until_done = 10_000
    generation_id = api.create()
    sensor = STTCompletionSensor(task_id="t", generation_id=generation_id, timeout=0.2, poke_interval=0.1)
    assert isinstance(run_and_clear().errors[0], LaplasGenerationTimeoutError)
    sensor.timeout = 60.0
    api.polls_until_done = api.generations[generation_id] + 2
    assert run_and_clear().state_of("t") == "success"


@pytest.mark.parametrize("how", ["finished", "finished behind a failing gateway", "running"])
def test_when_airflow_gives_the_trigger_up_the_task_looks_once_more(api, dag, run_dag, monkeypatch, how):
    """``dag.test()`` has no trigger time-outs: what Airflow would call is called here."""

    def give_up(self, context, event=None):
        api.polls_until_done = 10_000 if how == "running" else 0
        if "gateway" in how:
            api.script("GET", reply(503))
        return self.resume_execution("__fail__", {"error": "Trigger timeout"}, context)

    monkeypatch.setattr(TranscribeOperator, "execute_complete", give_up)
    TranscribeOperator(task_id="t", audio=URL, poke_interval=1, defer_after=0)
    run = run_dag(dag)
    if how.startswith("finished"):
        assert run.xcom("t")["text"] == TEXT
    else:
        (error,) = run.errors
        assert isinstance(error, LaplasGenerationTimeoutError)
        assert f'STTCompletionSensor(generation_id="{next(iter(api.generations))}")' in str(error)


def test_a_retry_goes_on_waiting_where_a_trigger_broke_before_the_deadline(api, dag, run_dag, monkeypatch):
    resume = TranscribeOperator.execute_complete
    broken = []

    def break_once(self, context, event=None):
        if broken:
            return resume(self, context, event)
        broken.append(event)
        api.polls_until_done = 10_000
        try:
            return self.resume_execution("__fail__", {"error": "Trigger failure"}, context)
        finally:
            api.polls_until_done = 0

    monkeypatch.setattr(TranscribeOperator, "execute_complete", break_once)
    TranscribeOperator(task_id="t", audio=URL, poke_interval=1, defer_after=0, **RETRY)
    assert run_dag(dag).xcom("t")["text"] == TEXT
    assert len(broken) == api.count("POST") == 1


@pytest.mark.parametrize("operator", [SubmitSTTOperator, TranscribeOperator])
def test_a_retry_submits_where_the_submission_was_surely_refused(api, dag, run_dag, monkeypatch, operator):
    monkeypatch.setattr("airflow_provider_laplas.client.client.ATTEMPTS", 1)
    api.script("POST", reply(429))
    operator(task_id="t", audio=URL, **RETRY)
    assert run_dag(dag).state_of("t") == "success"
    assert api.count("POST") == 2


def test_a_refusal_does_not_undo_that_an_earlier_submission_may_have_been_made(
    api, dag, run_dag, monkeypatch
):
    monkeypatch.setattr("airflow_provider_laplas.client.client.ATTEMPTS", 1)
    operator = SubmitSTTOperator(task_id="t", audio=URL, on_ambiguous="resubmit", **RETRY)
    api.script("POST", reset_after_body(), reply(429))
    submit = SubmitSTTOperator.execute

    def fail_from_then_on(self, context):
        try:
            return submit(self, context)
        finally:
            operator.on_ambiguous = "fail"

    monkeypatch.setattr(SubmitSTTOperator, "execute", fail_from_then_on)
    (error,) = run_dag(dag).errors[-1:]
    assert isinstance(error, LaplasAmbiguousSubmitError)
    assert api.count("POST") == 2


@BOTH
def test_a_folder_that_cannot_be_written_to_does_not_lose_the_transcript(
    api, dag, run_dag, tmp_path, deferrable
):
    (tmp_path / "file").touch()
    TranscribeOperator(
        task_id="t",
        audio=URL,
        poke_interval=1,
        deferrable=deferrable,
        defer_after=0,
        results_path=f"{tmp_path}/file/not-a-folder",
    )
    run = run_dag(dag)
    assert run.xcom("t")["text"] == TEXT
    assert run.xcom("t")["result"]["xcom_key"] == "reply"
