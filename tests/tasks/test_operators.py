"""The operators and the sensor as tasks of a DAG, and what they refuse when the DAG is parsed."""

import logging
import subprocess
import sys
from datetime import timedelta

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskreschedule import TaskReschedule
from airflow.models.xcom import XComModel
from airflow.sdk import task
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_laplas.airflow_compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasAuthenticationError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
)
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeOperator
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.task import generation
from airflow_provider_laplas.task.outcome import ERROR_LIMIT
from tests.fake_api import KEY, TEXT, WORDS, error_body, reply, reset_after_body, transcript_reply

URL = "https://example.com/a.mp3"

MODES = [
    pytest.param({"deferrable": True}, id="deferrable"),
    pytest.param({"deferrable": False}, id="poke"),
    pytest.param({"deferrable": False, "mode": "reschedule"}, id="reschedule"),
]


# In a DAG


def test_submit_wait_and_use_chain_through_xcom(api, dag, run_dag):
    submit = SubmitSTTOperator(task_id="submit", audio=URL, diarize=True, tag=["a"])
    wait = STTCompletionSensor(task_id="wait", generation_id=submit.output, poke_interval=0.1)
    used = []

    @task
    def use(text, result):
        used.append((text, len(load_transcript(result).words)))

    use(wait.output["text"], wait.output)
    run = run_dag(dag)
    assert run.state == "success"
    assert used == [(TEXT, len(WORDS))]
    (generation_id,) = api.generations
    assert run.xcom("submit") == run.xcom("submit", "generation_id") == generation_id
    result = run.xcom("wait")
    assert {
        name: result[name]
        for name in ("text", "generation_id", "model", "language", "duration", "confidence")
    } == {
        "text": TEXT,
        "generation_id": generation_id,
        "model": "whisper-medium",
        "language": None,
        "duration": 3.5,
        "confidence": 0.9,
    }
    assert api.requests[0].json == {"model": "#g1_whisper-medium", "url": URL, "diarize": True, "tag": ["a"]}


def test_each_try_pushes_the_keys_that_have_a_value(api, dag, run_dag, tmp_path):
    def fail_once(context, result=None):
        if context["ti"].try_number == 1:
            raise AirflowException("a step behind it failed")

    TranscribeOperator(
        task_id="t",
        audio=URL,
        poke_interval=0.1,
        # Where a retry finds what was submitted, whatever the version of Airflow.
        results_path=str(tmp_path),
        post_execute=fail_once,
        retries=1,
        retry_delay=timedelta(0),
    )
    run = run_dag(dag)
    summary = run.xcom("t")
    with create_session() as session:
        pushed = set(session.scalars(select(XComModel.key).where(XComModel.run_id == run.run.run_id)))
    assert {key for key, value in summary.items() if value is not None} <= pushed
    # Airflow 3.0 cannot push None.
    assert summary["language"] is None


def test_a_subclass_may_change_what_is_returned_and_pushed(api, dag, run_dag):
    class Titled(TranscribeOperator):
        def execute(self, context):
            return {**super().execute(context), "text": "shorter", "title": "A call"}

    Titled(task_id="t", audio=URL, poke_interval=0.1, deferrable=False)
    run = run_dag(dag)
    assert [run.xcom("t", key) for key in ("text", "title")] == ["shorter", "A call"]
    assert run.xcom("t")["text"] == "shorter"


def test_a_key_without_a_value_can_be_used_downstream(api, dag, run_dag):
    seen = []

    @task
    def use(language):
        seen.append(language)

    use(TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1).output["language"])
    assert run_dag(dag).state == "success"
    assert seen == [None]


@pytest.mark.parametrize("deferrable", [True, False])
def test_one_task_submits_waits_and_stores_the_reply(api, dag, run_dag, tmp_path, deferrable):
    TranscribeOperator(
        task_id="transcribe",
        audio=URL,
        deferrable=deferrable,
        defer_after=0,
        poke_interval=0.1,
        results_path=f"file://{tmp_path}/new",
    )
    run = run_dag(dag)
    result = run.xcom("transcribe")
    assert (result["text"], api.count("POST")) == (TEXT, 1)
    assert run.xcom("transcribe", "generation_id") == result["generation_id"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"{result['generation_id']}.json"]
    assert load_transcript(result).raw == transcript_reply()


def test_a_rescheduled_sensor_is_not_run_again_so_soon_that_airflow_takes_it_for_failed(
    api, dag, run_dag, monkeypatch
):
    monkeypatch.setattr(generation, "FIRST_POLL", 3.0)
    api.polls_until_done = 2
    STTCompletionSensor(
        task_id="t", generation_id=api.create(), deferrable=False, mode="reschedule", poke_interval=10
    )
    run = run_dag(dag)
    assert run.state_of("t") == "success"
    with create_session() as session:
        rows = session.scalars(
            select(TaskReschedule).where(TaskReschedule.ti_id == run.tasks["t", -1].id)
        ).all()
        # Airflow notes the end a moment after the pause has begun; an earlier pause would be of one second.
        assert min((row.reschedule_date - row.end_date).total_seconds() for row in rows) > 2


def test_a_short_clip_is_done_without_a_deferral(api, dag, run_dag, monkeypatch):
    def deferred(self, context, event=None):
        raise AssertionError("the task was deferred")

    monkeypatch.setattr(TranscribeOperator, "execute_complete", deferred)
    TranscribeOperator(task_id="t", audio=URL, poke_interval=0.1)
    assert run_dag(dag).xcom("t")["text"] == TEXT


def test_a_mapped_task_does_not_stay_in_the_worker(api, dag, run_dag, monkeypatch):
    resumed = []
    original = TranscribeOperator.execute_complete

    def resume(self, context, event=None):
        resumed.append(context["ti"].map_index)
        return original(self, context, event)

    monkeypatch.setattr(TranscribeOperator, "execute_complete", resume)
    TranscribeOperator.partial(task_id="t", poke_interval=0.1).expand(audio=[URL, f"{URL}?n=1"])
    run_dag(dag)
    assert sorted(resumed) == [0, 1]


@pytest.mark.parametrize("mode", MODES)
def test_a_long_reply_goes_through_xcom_whole_in_every_mode(api, dag, run_dag, mode):
    generation_id = api.create()
    body = transcript_reply("wort " * 20_000)
    api.complete(generation_id, body)
    wait = STTCompletionSensor(task_id="wait", generation_id=generation_id, poke_interval=0.1, **mode)
    loaded = []

    @task
    def use(result):
        loaded.append(load_transcript(result))

    use(wait.output)
    assert run_dag(dag).state == "success"
    assert loaded[0].raw == body


def test_every_argument_is_templated_and_an_option_takes_its_type(api, dag, run_dag, tmp_path):
    (tmp_path / "b.mp3").write_bytes(b"audio")
    dag.params.update(
        {"audio": str(tmp_path / "b.mp3"), "yes": "true", "conn": "laplas_default", "lang": "de"}
    )
    submit = SubmitSTTOperator(
        task_id="submit",
        audio="{{ params.audio }}",
        conn_id="{{ params.conn }}",
        model="m-{{ params.lang }}",
        diarize="{{ params.yes }}",
        options={"new_option": "{{ params.lang }}"},
    )
    STTCompletionSensor(
        task_id="wait",
        generation_id="{{ ti.xcom_pull(task_ids='submit') }}",
        conn_id="{{ params.conn }}",
        results_path="{{ params.audio }}-results",
        poke_interval=0.1,
    ).set_upstream(submit)
    assert run_dag(dag).state == "success"
    body = api.requests[0].body.decode()
    for value in ('name="model"\r\n\r\nm-de', 'name="diarize"\r\n\r\ntrue', 'name="new_option"\r\n\r\nde'):
        assert value in body
    assert len(list((tmp_path / "b.mp3-results").iterdir())) == 1


def test_both_map_over_many_files(api, dag, run_dag):
    submit = SubmitSTTOperator.partial(task_id="submit", language="en").expand(
        audio=[f"{URL}?n={n}" for n in range(3)]
    )
    STTCompletionSensor.partial(task_id="wait", poke_interval=0.1).expand(generation_id=submit.output)
    run = run_dag(dag)
    assert run.state == "success"
    assert [run.xcom("wait", map_index=n)["text"] for n in range(3)] == [TEXT] * 3
    assert len(api.generations) == 3
    assert sorted(request.json["url"][-1] for request in api.requests if request.method == "POST") == [
        "0",
        "1",
        "2",
    ]


@pytest.mark.parametrize("mapped", [False, True])
def test_a_signed_url_is_submitted_whole_and_shown_without_its_signature(api, dag, run_dag, mapped):
    url = f"{URL}?X-Signature=canary"
    if mapped:
        SubmitSTTOperator.partial(task_id="submit").expand(audio=[url])
    else:
        SubmitSTTOperator(task_id="submit", audio="{{ '" + url + "' }}")
    run = run_dag(dag)
    assert api.requests[0].json["url"] == url
    fields = RenderedTaskInstanceFields.get_templated_fields(run.tasks["submit", 0 if mapped else -1])
    assert fields["audio"] == f"{URL}?***"


# What goes wrong in a task


def test_a_failed_generation_fails_the_task_without_a_retry_and_with_the_reason(api, dag, run_dag):
    generation_id = api.create()
    api.complete(generation_id, {"status": "error", "error": {"message": "not audio"}})
    STTCompletionSensor(task_id="wait", generation_id=generation_id, retries=3)
    run = run_dag(dag)
    (error,) = run.errors
    assert isinstance(error, LaplasGenerationFailedError | AirflowFailException)
    assert error.reason == "not audio"
    assert run.state_of("wait") == "failed"


def test_a_wait_that_ends_in_the_trigger_ends_in_the_same_typed_error(api, dag, run_dag):
    generation_id = api.create()
    api.script("GET", reply(200, {"status": "active"}))
    api.complete(generation_id, {"status": "failed", "error": "not audio"})
    STTCompletionSensor(task_id="wait", generation_id=generation_id, retries=3)
    run = run_dag(dag)
    assert type(run.errors[0]).__name__ == "LaplasGenerationFailedError"
    assert run.state_of("wait") == "failed"


@pytest.mark.parametrize("mode", MODES)
def test_a_wait_past_its_timeout_is_a_typed_sensor_timeout_in_every_mode(api, dag, run_dag, mode):
    api.polls_until_done = 10_000
    STTCompletionSensor(
        task_id="wait", generation_id=api.create(), poke_interval=0.2, timeout=0.3, retries=3, **mode
    )
    run = run_dag(dag)
    (error,) = run.errors
    assert isinstance(error, LaplasGenerationTimeoutError)
    assert isinstance(error, AirflowSensorTimeout)
    assert run.state_of("wait") == "failed"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["failed", "gone", "timeout", "refused"])
def test_soft_fail_skips_in_every_mode(api, dag, run_dag, mode, how):
    generation_id = api.create()
    api.polls_until_done = 10_000
    if how == "failed":
        api.complete(generation_id, {"status": "failed", "error": "x"})
        api.script("GET", reply(200, {"status": "active"}))
    elif how == "gone":
        api.forget(generation_id)
        api.script("GET", reply(200, {"status": "active"}))
    elif how == "refused":
        api.key = "another"
    STTCompletionSensor(
        task_id="wait",
        generation_id=generation_id,
        soft_fail=True,
        poke_interval=0.1,
        timeout=0.3 if how == "timeout" else 60,
        **mode,
    )
    run = run_dag(dag)
    assert run.state_of("wait") == "skipped"
    assert run.xcom("wait", "error")["type"].startswith("Laplas")


def test_what_may_have_been_billed_is_not_retried(api, dag, run_dag):
    api.script("POST", reset_after_body())
    TranscribeOperator(task_id="transcribe", audio=URL, retries=5)
    run = run_dag(dag)
    assert isinstance(run.errors[0], LaplasAmbiguousSubmitError | AirflowFailException)
    assert run.state_of("transcribe") == "failed"
    assert api.count("POST") == 1


def test_a_refused_key_fails_the_task(api, dag, run_dag):
    api.key = "another"
    SubmitSTTOperator(task_id="submit", audio=URL, retries=5)
    run = run_dag(dag)
    assert isinstance(run.errors[0], LaplasAuthenticationError)
    assert run.state_of("submit") == "failed"


def test_a_task_leaves_word_of_its_error_which_is_short_and_has_no_secret(api, dag, run_dag):
    api.script("POST", reply(400, error_body(400, ["word " * 1000, f"https://a.b/c?key={KEY}"])))
    TranscribeOperator(task_id="transcribe", audio=f"{URL}?X-Amz-Signature=abcdef0123456789")
    run = run_dag(dag)
    left = run.xcom("transcribe", "error")
    assert left["type"] == "LaplasValidationError"
    assert run.errors[0].message.startswith(left["message"].removesuffix("…"))
    assert 0 < len(left["message"]) <= ERROR_LIMIT
    assert "abcdef0123456789" not in str(left)
    assert KEY not in str(left)


def test_a_task_that_succeeds_leaves_no_error(api, dag, run_dag):
    TranscribeOperator(task_id="transcribe", audio=URL, poke_interval=0.1)
    assert run_dag(dag).xcom("transcribe", "error") is None


def test_an_id_that_was_never_pushed_is_refused_by_name(api, dag, run_dag):
    STTCompletionSensor(task_id="wait", generation_id="{{ ti.xcom_pull(task_ids='wait') }}")
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasArgumentError)
    assert "`generation_id`" in str(error)
    assert not api.requests


def test_a_template_that_renders_to_a_wrong_option_is_refused_before_anything_is_sent(api, dag, run_dag):
    SubmitSTTOperator(task_id="submit", audio=URL, diarize="{{ 'perhaps' }}")
    (error,) = run_dag(dag).errors
    assert error.argument == "diarize"
    assert not api.requests


def test_a_generation_that_is_gone_says_so_and_nothing_is_submitted(api, dag, run_dag):
    STTCompletionSensor(task_id="wait", generation_id="b5c7")
    (error,) = run_dag(dag).errors
    assert isinstance(error, LaplasGenerationGoneError)
    assert api.count("POST") == 0


# When the DAG is parsed


@pytest.mark.parametrize("operator", [SubmitSTTOperator, TranscribeOperator])
@pytest.mark.parametrize(
    ("arguments", "name", "says"),
    [
        ({"audio": None}, "audio", "`audio`"),
        ({"audio": 7}, "audio", "int"),
        ({"audio": ""}, "audio", "`audio`"),
        ({"audio": "https://"}, "audio", "not a usable URL"),
        ({"model": 5}, "model", "`model`"),
        ({"model": ""}, "model", "`model`"),
        ({"conn_id": None}, "conn_id", "`conn_id`"),
        ({"diarize": "yes"}, "diarize", "`diarize`"),
        ({"utt_split": "long"}, "utt_split", "`utt_split`"),
        ({"tag": "a"}, "tag", "`tag`"),
        ({"custom_topic_mode": "loose"}, "custom_topic_mode", "`custom_topic_mode`"),
        ({"options": ["diarize"]}, "options", "`options`"),
        ({"options": {"diarize": "yes"}}, "diarize", "`diarize`"),
        ({"options": {"url": "x"}}, "url", "`url`"),
        ({"diarise": True}, "diarise", "`diarize`"),
        ({"conn": "x"}, "conn", "no argument `conn`"),
        ({"results_path": 7}, "results_path", "`results_path`"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_when_the_dag_is_parsed(operator, arguments, name, says):
    with pytest.raises(LaplasArgumentError) as caught:
        operator(**({"task_id": "t", "audio": URL} | arguments))
    assert caught.value.argument == name
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda **kwargs: STTCompletionSensor(**({"task_id": "t", "generation_id": "g"} | kwargs)),
        lambda **kwargs: TranscribeOperator(task_id="t", audio=URL, **kwargs),
    ],
)
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"poke_interval": 0}, "poke_interval"),
        ({"poke_interval": "often"}, "poke_interval"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"deferrable": "no"}, "deferrable"),
        ({"defer_after": -1}, "defer_after"),
        ({"defer_after": "soon"}, "defer_after"),
        ({"results_path": 7}, "results_path"),
        ({"results_path": ""}, "results_path"),
        ({"poll_interval": 3}, "poll_interval"),
    ],
)
def test_a_wrong_argument_of_the_wait_is_refused_by_name(make, arguments, name):
    with pytest.raises(LaplasArgumentError, match=f"`{name}`"):
        make(**arguments)


@pytest.mark.parametrize("generation_id", [None, 7, "", "None", ".."])
def test_a_sensor_refuses_what_cannot_be_an_id(generation_id):
    with pytest.raises(LaplasArgumentError, match="generation_id"):
        STTCompletionSensor(task_id="t", generation_id=generation_id)


@pytest.mark.parametrize("source", [7, "", "https://"])
def test_a_sensor_refuses_a_source_that_names_no_audio(source):
    with pytest.raises(LaplasArgumentError, match="`source`"):
        STTCompletionSensor(task_id="t", generation_id="g", source=source)


def test_a_sensors_source_is_kept_without_its_signature_when_the_dag_is_parsed():
    sensor = STTCompletionSensor(task_id="t", generation_id="g", source=f"{URL}?X-Amz-Signature=canary")
    assert sensor.source == f"{URL}?***"


def test_durations_may_be_timedeltas():
    sensor = STTCompletionSensor(
        task_id="t", generation_id="g", poke_interval=timedelta(seconds=3), timeout=timedelta(minutes=2)
    )
    assert (sensor.poke_interval, sensor.timeout) == (3.0, 120.0)


def test_the_sensor_is_deferrable_and_gives_up_after_an_hour_unless_told_otherwise():
    sensor = STTCompletionSensor(task_id="t", generation_id="g")
    assert (sensor.deferrable, sensor.timeout, sensor.poke_interval) == (True, 3600.0, 10.0)


def test_an_unknown_option_is_passed_on_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        operator = SubmitSTTOperator(task_id="t", audio=URL, options={"sentimnt": True})
    assert operator.options == {"sentimnt": True}
    assert "`sentiment`" in caplog.text


def test_importing_the_operators_brings_no_http_client_with_it():
    code = (
        "import sys, airflow_provider_laplas.operators, airflow_provider_laplas.sensors\n"
        "print([name for name in ('aiohttp', 'requests', 'fastapi', 'faster_whisper') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
