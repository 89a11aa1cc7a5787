"""Tries after the first where Airflow has no state store, as before 3.3, or its Variables are chosen."""

import logging
from datetime import timedelta
from itertools import chain, repeat

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, PutVariable
from airflow.secrets.metastore import MetastoreBackend
from sqlalchemy.exc import OperationalError

from airflow_provider_laplas.airflow_compat import AirflowException
from airflow_provider_laplas.errors import LaplasAmbiguousSubmitError
from airflow_provider_laplas.operators import (
    SubmitSTTOperator,
    TranscribeBatchOperator,
    TranscribeOperator,
)
from airflow_provider_laplas.sensors import STTCompletionSensor
from tests.fake_api import TEXT, reply, reset_after_body

URL = "https://example.com/a.mp3"

OPERATORS = pytest.mark.parametrize("operator", [SubmitSTTOperator, TranscribeOperator])


@pytest.fixture
def without_state_store():
    """Arguments of an operator that make its context that of an older Airflow."""
    return {"pre_execute": lambda context: context.pop("task_state_store", None)}


@pytest.fixture(params=["folder", "variable"])
def store(request, without_state_store, tmp_path, monkeypatch):
    if request.param == "folder":
        return without_state_store | {"results_path": str(tmp_path / "out")}
    monkeypatch.setenv("AIRFLOW__LAPLAS__RECORD_STORE", "variable")
    return without_state_store


@pytest.fixture
def run_and_clear(dag, run_dag):
    """Run the DAG, and at every further call clear its tasks and run them again, as a user does."""
    actions = chain([run_dag], repeat(run_dag.clear))
    return lambda: next(actions)(dag)


RETRY = {"retries": 2, "retry_delay": timedelta(0)}


def dying_once(context, result=None):
    """End the first try behind the task's own work."""
    if context["ti"].try_number == 1:
        raise AirflowException("the worker lost its database")


def quick(operator):
    return {"poke_interval": 0.1} if operator is TranscribeOperator else {}


@OPERATORS
def test_a_retry_and_a_clear_take_up_the_same_generation(api, dag, run_and_clear, store, operator):
    operator(task_id="t", audio=URL, post_execute=dying_once, **RETRY, **store, **quick(operator))
    first = run_and_clear().xcom("t", "generation_id")
    again = run_and_clear()
    assert (again.state, again.xcom("t", "generation_id")) == ("success", first)
    assert api.count("POST") == 1


@OPERATORS
def test_an_ambiguous_submission_is_not_repeated_by_a_retry_and_is_by_a_clear(
    api, dag, run_and_clear, store, operator
):
    api.script("POST", reset_after_body())
    operator(task_id="t", audio=URL, **RETRY, **store, **quick(operator))
    (error,) = run_and_clear().errors
    assert isinstance(error, LaplasAmbiguousSubmitError)
    assert api.count("POST") == 1
    assert run_and_clear().state_of("t") == "success"
    assert api.count("POST") == 2


def test_a_retry_submits_where_the_submission_was_surely_refused(api, dag, run_dag, store, monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.client.client.ATTEMPTS", 1)
    api.script("POST", reply(429))
    SubmitSTTOperator(task_id="t", audio=URL, **RETRY, **store)
    assert run_dag(dag).state_of("t") == "success"
    assert api.count("POST") == 2


def test_a_mapped_task_remembers_for_each_of_its_files(api, dag, run_and_clear, store):
    SubmitSTTOperator.partial(task_id="t", **store).expand(audio=[URL, "https://example.com/b.mp3"])
    ids = [[run.xcom("t", map_index=n) for n in range(2)] for run in (run_and_clear(), run_and_clear())]
    assert ids[0] == ids[1]
    assert api.count("POST") == 2


def test_the_wait_goes_on_where_a_trigger_broke(api, dag, run_dag, store, monkeypatch):
    def break_it(self, context, event=None):
        return self.resume_execution("__fail__", {"error": "Trigger failure"}, context)

    monkeypatch.setattr(TranscribeOperator, "execute_complete", break_it)
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1, defer_after=0, **RETRY, **store)
    assert run_dag(dag).xcom("t")["text"] == TEXT
    assert api.count("POST") == 1


def test_a_sensor_keeps_what_it_stored(api, dag, run_dag, store):
    STTCompletionSensor(
        task_id="t",
        generation_id=api.create(),
        poke_interval=0.1,
        post_execute=dying_once,
        on_retry_callback=lambda context: api.stop(),
        **RETRY,
        **store,
    )
    assert run_dag(dag).xcom("t")["text"] == TEXT


def test_in_a_batch_a_clear_is_consent_and_a_retry_is_none(
    api, dag, run_and_clear, without_state_store, tmp_path
):
    api.script("POST", reset_after_body())
    TranscribeBatchOperator(
        task_id="t",
        audio=[URL],
        results_path=str(tmp_path),
        poke_interval=0.1,
        **RETRY,
        **without_state_store,
    )
    assert "ambiguous" in str(run_and_clear().errors[0])
    assert api.count("POST") == 1
    assert run_and_clear().xcom("t")["completed"] == 1
    assert api.count("POST") == 2


def test_where_the_folder_cannot_be_written_to_nothing_is_submitted(
    api, dag, run_dag, without_state_store, tmp_path, monkeypatch
):
    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)
    (tmp_path / "file").write_text("no folder")
    SubmitSTTOperator(task_id="t", audio=URL, results_path=f"{tmp_path}/file/out", **without_state_store)
    assert run_dag(dag).state_of("t") == "failed"
    assert not api.generations


@OPERATORS
def test_where_nothing_is_remembered_a_retry_fails_rather_than_pay_twice_and_a_clear_pays_again(
    api, dag, run_and_clear, without_state_store, operator, caplog
):
    operator(
        task_id="t", audio=URL, post_execute=dying_once, **RETRY, **without_state_store, **quick(operator)
    )
    run = run_and_clear()
    (error,) = run.errors
    assert isinstance(error, LaplasAmbiguousSubmitError)
    assert "results_path" in str(error)
    assert "record_store" in str(error)
    assert api.count("POST") == 1
    said = [r for r in caplog.records if r.levelno == logging.WARNING and "keeps no note" in r.getMessage()]
    assert len(said) == 1
    assert run_and_clear().state == "success"
    assert api.count("POST") == 2


@pytest.mark.parametrize("how", [{"on_ambiguous": "resubmit"}, {"durable": False}], ids=str)
def test_where_nothing_is_remembered_a_retry_submits_if_the_user_says_so(
    api, dag, run_dag, without_state_store, how
):
    SubmitSTTOperator(task_id="t", audio=URL, post_execute=dying_once, **how, **RETRY, **without_state_store)
    assert run_dag(dag).state == "success"
    assert api.count("POST") == 2


def test_where_nothing_is_remembered_the_wait_goes_on_after_a_trigger_broke(
    api, dag, run_dag, without_state_store, monkeypatch
):
    def break_it(self, context, event=None):
        return self.resume_execution("__fail__", {"error": "Trigger failure"}, context)

    monkeypatch.setattr(TranscribeOperator, "execute_complete", break_it)
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1, defer_after=0, **without_state_store)
    assert run_dag(dag).xcom("t")["text"] == TEXT


class Outage:
    """Stands between a task and its supervisor, which cannot reach Airflow's API server for some kinds of message."""

    def __init__(self, kinds):
        self.kinds, self._comms = kinds, None

    def send(self, msg, *args, **kwargs):
        if isinstance(msg, self.kinds):
            raise AirflowRuntimeError(ErrorResponse(detail={"status_code": 503}))
        return self._comms.send(msg, *args, **kwargs)

    def begin(self, context=None):
        self._comms, task_runner.SUPERVISOR_COMMS = task_runner.SUPERVISOR_COMMS, self

    def __getattr__(self, name):
        return getattr(self._comms, name)


@pytest.mark.parametrize("kind", [GetVariable, PutVariable])
def test_an_outage_is_not_taken_for_a_variable_that_is_not_there(
    api, dag, run_and_clear, without_state_store, monkeypatch, kind
):
    monkeypatch.setenv("AIRFLOW__LAPLAS__RECORD_STORE", "variable")
    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)
    submit = SubmitSTTOperator(task_id="t", audio=URL, **without_state_store)
    if kind is GetVariable:
        run_and_clear()
    submitted = len(api.generations)
    submit._pre_execute_hook = Outage(kind).begin
    assert run_and_clear().state_of("t") == "failed"
    assert len(api.generations) == submitted


def later(change):
    """Call something before each try but the first."""

    def before(context):
        if context["ti"].try_number > 1:
            change()

    return before


def test_a_run_goes_on_where_airflow_is_upgraded_to_a_state_store_amid_it(api, dag, run_and_clear, tmp_path):
    def before(context):
        if context["ti"].try_number == 1:
            context.pop("task_state_store")

    SubmitSTTOperator(
        task_id="t",
        audio=URL,
        results_path=str(tmp_path),
        pre_execute=before,
        post_execute=dying_once,
        **RETRY,
    )
    first = run_and_clear()
    assert first.state == "success"
    assert run_and_clear().xcom("t") == first.xcom("t")
    assert api.count("POST") == 1


@pytest.mark.parametrize("options", [("", "variable"), ("variable", "")], ids=str)
def test_a_run_goes_on_where_another_store_is_chosen_amid_it(api, dag, run_dag, monkeypatch, options):
    def choose(n):
        monkeypatch.setenv("AIRFLOW__LAPLAS__RECORD_STORE", options[n])

    choose(0)
    SubmitSTTOperator(
        task_id="t", audio=URL, pre_execute=later(lambda: choose(1)), post_execute=dying_once, **RETRY
    )
    assert run_dag(dag).state == "success"
    assert api.count("POST") == 1


@pytest.mark.parametrize("fails", [1, 100])
def test_a_database_that_fails_is_not_taken_for_a_variable_that_is_not_there(
    api, dag, run_dag, without_state_store, monkeypatch, fails
):
    monkeypatch.setenv("AIRFLOW__LAPLAS__RECORD_STORE", "variable")
    monkeypatch.setattr("airflow_provider_laplas.persistence.WRITE_ATTEMPTS", 1)
    left = [fails]
    read = MetastoreBackend.get_variable

    def fail(self, key, *args, **kwargs):
        if key.startswith("laplas_") and left[0]:
            left[0] -= 1
            # Airflow's API server logs it, and answers that there is no such Variable.
            raise OperationalError("SELECT", {}, Exception("the database is restarting"))
        return read(self, key, *args, **kwargs)

    def break_database(context):
        without_state_store["pre_execute"](context)
        if context["ti"].try_number > 1:
            monkeypatch.setattr(MetastoreBackend, "get_variable", fail)

    SubmitSTTOperator(task_id="t", audio=URL, pre_execute=break_database, post_execute=dying_once, **RETRY)
    run = run_dag(dag)
    assert left[0] < fails
    assert run.state == ("success" if fails == 1 else "failed")
    assert api.count("POST") == 1


def test_where_nothing_is_remembered_a_retry_with_fewer_retries_than_before_is_no_clear(
    api, dag, run_dag, without_state_store
):
    def lower(context):
        without_state_store["pre_execute"](context)
        if context["ti"].try_number > 1:
            context["ti"].task.retries = 1

    SubmitSTTOperator(task_id="t", audio=URL, pre_execute=lower, post_execute=dying_once, **RETRY)
    assert isinstance(run_dag(dag).errors[0], LaplasAmbiguousSubmitError)
    assert api.count("POST") == 1


def test_the_notes_are_no_outputs_of_the_folder(api, dag, run_dag, without_state_store, tmp_path):
    TranscribeOperator(
        task_id="t", audio=URL, poke_interval=0.1, results_path=str(tmp_path), **without_state_store
    )
    run_dag(dag)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [
        f"{next(iter(api.generations))}.json"
    ]
