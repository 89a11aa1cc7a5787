"""Tries after the first: nothing is paid for twice, and nothing that was paid for is lost."""

import json
import os
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path

import pytest
from airflow.models.task_state_store import TaskStateStoreModel
from airflow.sdk import task
from airflow.sdk.execution_time.context import TaskStateStoreAccessor
from airflow.state.metastore import MetastoreBackend
from airflow.utils.session import create_session
from sqlalchemy import update

from airflow_provider_laplas.airflow_compat import AirflowException
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
    LaplasTransportError,
    LaplasValidationError,
)
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeOperator
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sensors import STTCompletionSensor
from tests.fake_api import TEXT, reply, reset_after_body, stall, transcript_reply

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
        poke_interval=0.1,
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
        poke_interval=0.1,
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
    DyingOnceSubmitted(task_id="t", audio=URL, poke_interval=0.1, **RETRY)
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
    operator(task_id="t", audio=URL, **({"poke_interval": 0.1} if operator is TranscribeOperator else {}))
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
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1)
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
    STTCompletionSensor(task_id="wait", generation_id=submit.output, poke_interval=0.1)
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
    STTCompletionSensor(task_id="wait", generation_id=submit.output, results_path=folder, poke_interval=0.1)
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


def test_audio_that_changes_and_changes_back_is_not_submitted_again(api, dag, run_and_clear):
    names = iter(["a", "b", "a", "b"])
    dag.user_defined_macros = {"name": lambda: next(names)}
    SubmitSTTOperator(task_id="t", audio="https://example.com/{{ name() }}.mp3")
    ids = [run_and_clear().xcom("t") for _ in range(4)]
    assert ids == [*api.generations] * 2
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
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1, **RETRY)
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
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1, defer_after=0)
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
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1, defer_after=0, **RETRY)
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
        poke_interval=0.1,
        deferrable=deferrable,
        defer_after=0,
        results_path=f"{tmp_path}/file/not-a-folder",
    )
    run = run_dag(dag)
    assert run.xcom("t")["text"] == TEXT
    assert run.xcom("t")["result"]["xcom_key"] == "reply"


@pytest.fixture
def store_away(monkeypatch):
    """Let Airflow's state store fail at the writes that a test picks by what is written; reading works."""
    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)
    really = TaskStateStoreAccessor.set

    def away_for(picks):
        def write(self, key, value, **how):
            if picks(json.loads(value)):
                raise ConnectionError("Airflow's API server is away")
            really(self, key, value, **how)

        monkeypatch.setattr(TaskStateStoreAccessor, "set", write)

    return away_for


def once_the_id_is_known(note):
    return note["generation_id"] is not None and note["result"] is None


@BOTH
@pytest.mark.parametrize("folder", [True, False], ids=["folder", "state store"])
def test_where_the_id_could_not_be_noted_a_clear_finds_the_transcript_that_was_noted_later(
    api, dag, run_and_clear, store_away, tmp_path, folder, deferrable
):
    store_away(once_the_id_is_known)
    TranscribeOperator(
        task_id="t",
        audio=URL,
        poke_interval=0.1,
        deferrable=deferrable,
        defer_after=0,
        results_path=str(tmp_path) if folder else None,
    )
    run_and_clear()
    (generation_id,) = api.generations
    api.generations.clear()
    run = run_and_clear()
    assert run.state_of("t") == "success"
    assert (run.xcom("t")["text"], run.xcom("t")["generation_id"]) == (TEXT, generation_id)
    assert api.count("POST") == 1


def test_where_the_id_could_not_be_noted_a_task_whose_trigger_failed_finds_it_in_its_xcom(
    api, dag, run_dag, store_away, monkeypatch
):
    def give_up(self, context, event=None):
        return self.resume_execution("__fail__", {"error": "Trigger timeout"}, context)

    store_away(once_the_id_is_known)
    monkeypatch.setattr(TranscribeOperator, "execute_complete", give_up)
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1, defer_after=0)
    assert run_dag(dag).xcom("t")["text"] == TEXT


def test_an_id_that_could_not_be_noted_is_noted_once_the_store_is_back(api, dag, run_and_clear, store_away):
    failures = iter([True])
    store_away(lambda note: once_the_id_is_known(note) and next(failures, False))
    SubmitSTTOperator(task_id="t", audio=URL)
    ids = [run_and_clear().xcom("t") for _ in range(2)]
    assert ids == [*api.generations] * 2
    assert api.count("POST") == 1


def test_a_transcript_that_cannot_be_noted_does_not_fail_the_task_that_has_it(
    api, dag, run_dag, store_away, caplog
):
    """A further try would delete the XCom that holds it."""
    store_away(lambda note: note["result"] is not None)
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1, defer_after=0)
    run = run_dag(dag)
    assert (run.state_of("t"), run.xcom("t")["text"]) == ("success", TEXT)
    assert "could not be noted" in caplog.text


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "state store"])
def test_a_note_of_an_earlier_version_that_has_a_result_and_no_id_is_a_stored_transcript(
    api, dag, run_and_clear, monkeypatch, tmp_path, folder
):
    really = TaskStateStoreAccessor.set

    def without_id(self, key, value, **how):
        really(self, key, json.dumps(json.loads(value) | {"generation_id": None}), **how)

    with monkeypatch.context() as earlier:
        earlier.setattr(TaskStateStoreAccessor, "set", without_id)
        TranscribeOperator(
            task_id="t", audio=URL, poke_interval=0.1, results_path=str(tmp_path) if folder else None
        )
        run_and_clear()
    (generation_id,) = api.generations
    api.generations.clear()
    run = run_and_clear()
    assert (run.state_of("t"), run.xcom("t")["text"]) == ("success", TEXT)
    assert run.xcom("t")["generation_id"] == generation_id or not folder
    assert api.count("POST") == 1


def test_an_error_of_the_api_is_not_hidden_by_a_store_that_fails_after_it(api, dag, run_dag, monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)

    def away(self, key):
        raise ConnectionError("Airflow's API server is away")

    monkeypatch.setattr(TaskStateStoreAccessor, "delete", away)
    api.script("POST", reply(400))
    SubmitSTTOperator(task_id="t", audio=URL)
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasValidationError)


def test_a_note_outlives_airflows_usual_retention(api, dag, run_and_clear, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STATE_STORE__DEFAULT_RETENTION_DAYS", "1")
    SubmitSTTOperator(task_id="t", audio=URL)
    run_and_clear()
    with create_session() as session:
        expires = TaskStateStoreModel.expires_at
        session.execute(
            update(TaskStateStoreModel)
            .where(expires.is_not(None))
            .values(expires_at=datetime(2026, 1, 1, tzinfo=UTC))
        )
    MetastoreBackend().cleanup()
    assert run_and_clear().state_of("t") == "success"
    assert api.count("POST") == 1


@pytest.mark.parametrize("clears", [True, False])
def test_a_setting_that_drops_notes_on_success_is_warned_of_where_it_makes_a_clear_pay_again(
    api, dag, run_and_clear, monkeypatch, caplog, clears
):
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", str(clears))
    SubmitSTTOperator(task_id="t", audio=URL)
    run_and_clear()
    assert ("clear_on_success" in caplog.text) is clears
    run_and_clear()
    assert api.count("POST") == 1 + clears


@pytest.mark.parametrize("operator", [SubmitSTTOperator, TranscribeOperator])
def test_a_file_whose_name_is_not_utf_8_is_transcribed(api, dag, run_and_clear, tmp_path, operator):
    path = os.fsencode(tmp_path) + b"/caf\xe9.mp3"
    Path(os.fsdecode(path)).write_bytes(b"x" * 100)
    operator(task_id="t", audio=os.fsdecode(path))
    assert [run_and_clear().state_of("t") for _ in range(2)] == ["success"] * 2
    assert api.count("POST") == 1


def test_a_submission_without_a_connection_is_not_noted(api, dag, run_dag, monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.client.client.ATTEMPTS", 1)
    notes = []
    monkeypatch.setattr(TaskStateStoreAccessor, "set", lambda *args, **how: notes.append(args))
    api.stop()
    SubmitSTTOperator(task_id="t", audio=URL)
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasTransportError)
    assert notes == []


def test_an_upload_that_airflows_time_out_ends_was_not_made_and_is_submitted_by_a_retry(
    api, dag, run_dag, tmp_path
):
    audio = tmp_path / "large.mp3"
    audio.write_bytes(b"x" * 30_000_000)
    api.script("POST", stall(600))
    SubmitSTTOperator(task_id="t", audio=str(audio), execution_timeout=timedelta(seconds=5), **RETRY)
    assert run_dag(dag).state_of("t") == "success"
    assert (api.count("POST"), len(api.generations)) == (2, 1)
