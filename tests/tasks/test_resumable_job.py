"""What docs/durable.md says of Airflow's own durable operators, beside this provider's."""

import json
from datetime import timedelta

import pytest
from airflow import sdk
from airflow.sdk import BaseOperator

from airflow_provider_laplas.errors import LaplasAmbiguousSubmitError
from airflow_provider_laplas.hooks import LaplasHook
from airflow_provider_laplas.operators import TranscribeOperator
from tests.fake_api import reset_after_body

if not hasattr(sdk, "ResumableJobMixin"):
    pytest.skip("begins with Airflow 3.3", allow_module_level=True)

from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout
from airflow.sdk.execution_time.context import TaskStateStoreAccessor

from tests.patience import PATIENCE

URL = "https://example.com/a.mp3"
RETRY = {"retries": 1, "retry_delay": timedelta(0)}


class AirflowsDurable(sdk.ResumableJobMixin, BaseOperator):
    """A submission and its wait with any HTTP client, as Airflow's mixin asks for them."""

    template_fields = ("audio",)

    def __init__(self, audio, **kwargs):
        super().__init__(**kwargs)
        self.audio = audio

    def execute(self, context):
        return self.execute_resumable(context)

    def submit_job(self, context):
        with LaplasHook().get_conn() as session:
            address = f"{LaplasHook().settings.base_url}/stt/create"
            body = {"model": "#g1_whisper-medium", "url": self.audio}
            return session.post(address, json=body, timeout=PATIENCE).json()["generation_id"]

    def get_job_status(self, external_id, context):
        return "active"

    def is_job_active(self, status):
        return status == "active"

    def is_job_succeeded(self, status):
        return status == "completed"

    def poll_until_complete(self, external_id, context):
        with LaplasHook() as hook:
            hook.wait(external_id, poll_interval=1)

    def get_job_result(self, external_id, context):
        with LaplasHook() as hook:
            return hook.wait(external_id, poll_interval=1).transcript().text


BOTH = pytest.mark.parametrize("operator", [AirflowsDurable, TranscribeOperator], ids=["airflow's", "ours"])


@pytest.fixture
def dying_in_the_gap(monkeypatch):
    """End the first try once it has the id and is about to note it."""
    really, died = TaskStateStoreAccessor.set, []

    def write(self, key, value, **how):
        holds_an_id = key == AirflowsDurable.external_id_key or json.loads(value).get("generation_id")
        if holds_an_id and not died:
            died.append(key)
            # As a time-out of Airflow and a kill do, it goes past what handles errors.
            raise AirflowTaskTimeout
        really(self, key, value, **how)

    monkeypatch.setattr(TaskStateStoreAccessor, "set", write)
    return died


@BOTH
def test_between_the_submission_and_the_note_only_airflows_mixin_pays_twice(
    api, dag, run_dag, dying_in_the_gap, operator
):
    operator(task_id="t", audio=URL, **RETRY)
    run = run_dag(dag)
    assert dying_in_the_gap
    if operator is AirflowsDurable:
        assert (run.state_of("t"), api.count("POST")) == ("success", 2)
    else:
        assert (run.state_of("t"), api.count("POST")) == ("failed", 1)
        assert isinstance(run.errors[-1], LaplasAmbiguousSubmitError)


@BOTH
def test_where_the_answer_is_lost_only_airflows_mixin_pays_twice(api, dag, run_dag, operator):
    api.script("POST", reset_after_body())
    operator(task_id="t", audio=URL, **RETRY)
    run = run_dag(dag)
    if operator is AirflowsDurable:
        assert (run.state_of("t"), api.count("POST")) == ("success", 2)
    else:
        assert (run.state_of("t"), api.count("POST")) == ("failed", 1)
        assert isinstance(run.errors[-1], LaplasAmbiguousSubmitError)


@pytest.fixture
def failing_once_noted(monkeypatch):
    """Let the first try fail while it waits."""
    really, seen = AirflowsDurable.poll_until_complete, []

    def poll(self, external_id, context):
        seen.append((external_id, self.audio))
        if len(seen) == 1:
            raise AirflowException("the worker lost its network")
        return really(self, external_id, context)

    monkeypatch.setattr(AirflowsDurable, "poll_until_complete", poll)
    return seen


def test_airflows_mixin_attaches_also_where_the_audio_is_another_and_returns_what_its_wait_returns(
    api, dag, run_dag, failing_once_noted
):
    audio = [URL, f"{URL}?another=1"]
    given = iter(audio)
    dag.user_defined_macros = {"audio": lambda: next(given)}
    AirflowsDurable(task_id="t", audio="{{ audio() }}", **RETRY)
    run = run_dag(dag)
    (generation_id,) = api.generations
    assert failing_once_noted == [(generation_id, url) for url in audio]
    assert (run.state_of("t"), api.count("POST")) == ("success", 1)
    # And not the result, which a first try returns.
    assert run.xcom("t") is None
