"""What the start of a try costs: one look-up of the connection, one read of the record, one look, one poll."""

import inspect
from collections import Counter
from datetime import timedelta
from itertools import chain, repeat

import pytest
from airflow.sdk.execution_time.context import TaskStateStoreAccessor

from airflow_provider_laplas.airflow_compat import AirflowException
from airflow_provider_laplas.hooks import LaplasHook
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeOperator
from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.storage import Storage
from tests.fake_api import TEXT
from tests.paths import JFK_MP3

URL = "https://example.com/a.mp3"


@pytest.fixture
def counted(api, monkeypatch):
    """Count, from the last call on, what is asked of the API, of Airflow and of the storage."""
    counts, seen = Counter(), Counter()

    def counting(owner, name, what):
        original = getattr(owner, name)

        def count(*args, **kwargs):
            counts[what] += 1
            return original(*args, **kwargs)

        bound = inspect.ismethod(original)
        monkeypatch.setattr(owner, name, staticmethod(count) if bound else count)

    counting(LaplasHook, "get_connection", "look-ups")
    counting(TaskStateStoreAccessor, "get", "records read")
    counting(TaskStateStoreAccessor, "set", "records written")
    counting(Storage, "exists", "transcripts looked for")

    def since():
        now = counts + Counter(POST=api.count("POST"), GET=api.count("GET"))
        new = now - seen
        seen.clear()
        seen.update(now)
        return dict(new)

    return since


@pytest.fixture
def run_and_clear(dag, run_dag):
    actions = chain([run_dag], repeat(run_dag.clear))
    return lambda: next(actions)(dag)


def test_a_submission_asks_nothing_but_to_submit(api, run_and_clear, counted, dag, tmp_path):
    SubmitSTTOperator(task_id="t", audio=URL, results_path=str(tmp_path))
    run_and_clear()
    # Before the submission, and with its id.
    assert counted() == {"look-ups": 1, "records read": 1, "records written": 2, "POST": 1}


def test_a_recording_that_may_have_to_be_cut_costs_one_look_for_its_parts_more(
    api, run_dag, counted, dag, tmp_path
):
    pytest.importorskip("av")
    TranscribeOperator(task_id="t", audio=str(JFK_MP3), media={}, results_path=str(tmp_path), defer_after=30)
    run_dag(dag)
    assert api.count("POST") == 1
    assert counted()["look-ups"] == 1


def test_a_clear_of_a_submission_looks_once_and_polls_once(api, run_and_clear, counted, dag, tmp_path):
    SubmitSTTOperator(task_id="t", audio=URL, results_path=str(tmp_path))
    run_and_clear()
    counted()
    run_and_clear()
    assert counted() == {
        "look-ups": 1,
        "records read": 1,
        # The new deadline.
        "records written": 1,
        "transcripts looked for": 1,
        "GET": 1,
    }


def test_a_try_that_attaches_to_a_finished_generation_polls_once(api, dag, run_dag, counted, tmp_path):
    seen = []

    class DyingOnceSubmitted(TranscribeOperator):
        def make_task(self, context, event=None):
            made = super().make_task(context, event)
            if context["ti"].try_number == 1:
                made.announce_id = die
            return made

    def die(generation_id):
        api.complete(generation_id)
        seen.append(counted())
        raise AirflowException("the worker died")

    DyingOnceSubmitted(
        task_id="t", audio=URL, results_path=str(tmp_path), retries=1, retry_delay=timedelta(0)
    )
    assert run_dag(dag).xcom("t")["text"] == TEXT
    assert seen == [{"look-ups": 1, "records read": 1, "records written": 2, "POST": 1}]
    assert counted() == {
        "look-ups": 1,
        "records read": 1,
        "records written": 1,
        "transcripts looked for": 1,
        "GET": 1,
    }


@pytest.mark.parametrize("where", ["folder", "state store"])
def test_a_clear_of_a_finished_task_asks_the_api_nothing(api, run_and_clear, counted, dag, tmp_path, where):
    folder = str(tmp_path) if where == "folder" else None
    TranscribeOperator(task_id="t", audio=URL, results_path=folder)
    run_and_clear()
    counted()
    assert run_and_clear().xcom("t")["text"] == TEXT
    # Where the transcript lies is in the record.
    assert counted() == {"look-ups": 1, "records read": 1, "records written": 1}


def test_a_sensor_polls_and_looks_for_nothing_in_its_first_try(api, run_and_clear, counted, dag, tmp_path):
    generation_id = api.create()
    api.complete(generation_id)
    STTCompletionSensor(task_id="t", generation_id=generation_id, results_path=str(tmp_path))
    run_and_clear()
    assert counted() == {"look-ups": 1, "records read": 1, "records written": 2, "GET": 1}
