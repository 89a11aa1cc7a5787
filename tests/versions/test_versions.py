"""
What every version of Airflow is proven to do, in a real one: scheduler, triggerer, dag-processor and API server.

The names of these tests are the rows of the matrix in the documentation.
"""

import pytest
import requests

from airflow_stack.processes import await_condition
from tests.airflow_names import HAS_STATE_STORE, VERSION
from tests.fake_api import TEXT
from tests.patience import PATIENCE
from tests.versions.conftest import PIPELINE, SCENARIOS

AMBIGUOUS = "LaplasAmbiguousSubmitError"


def test_airflow_knows_the_provider_and_imports_every_dag_and_the_examples(stack):
    assert "airflow-provider-laplas" in stack.cli("providers", "get", "airflow-provider-laplas")
    wanted = {
        *SCENARIOS,
        "consumer",
        PIPELINE,
        "report_transcripts",
        "transcribe_file",
        "transcribe_url",
        "caption_videos",
    }
    await_condition(
        lambda: stack.dag_ids() >= wanted or stack.import_errors(),
        what="all DAGs, or an error",
    )
    assert stack.import_errors() == []


def test_the_connection_form_has_the_fields_of_the_connection(stack):
    token = requests.get(f"{stack.base_url}/auth/token", timeout=PATIENCE).json()["access_token"]
    answer = requests.get(
        f"{stack.base_url}/ui/connections/hook_meta", headers={"Authorization": f"Bearer {token}"}, timeout=60
    )
    [form] = [form for form in answer.json() if form["connection_type"] == "laplas"]
    assert form["hook_name"] == "Laplas"
    assert form["standard_fields"]["password"]["title"] == "API key"
    assert form["standard_fields"]["login"]["hidden"]
    assert {"timeout", "proxy", "results_path", "max_requests_per_second"} <= set(form["extra_fields"])


def test_a_deferred_sensor_waits_and_hands_on_the_text(stack, finish, apis):
    run_id = finish("deferred_sensor")
    assert stack.xcom("deferred_sensor", run_id, "wait")["text"] == TEXT
    assert stack.xcom("deferred_sensor", run_id, "echo") == TEXT
    assert apis["deferred_sensor"].count("POST") == 1


def test_a_rescheduled_sensor_waits_and_hands_on_the_text(stack, finish, apis):
    run_id = finish("rescheduled_sensor")
    assert stack.xcom("rescheduled_sensor", run_id, "wait")["text"] == TEXT
    assert apis["rescheduled_sensor"].count("POST") == 1


def test_one_task_submits_and_waits_with_its_reply_in_a_folder(stack, finish, apis, folder):
    summary = stack.xcom("one_task_with_a_folder", finish("one_task_with_a_folder"), "transcribe")
    assert summary["text"] == TEXT
    files = sorted(file.suffix for file in (folder / "one_task_with_a_folder").glob("[!.]*"))
    assert files == [".json", ".vtt"]
    assert apis["one_task_with_a_folder"].count("POST") == 1


def test_one_task_submits_and_waits_with_its_reply_in_an_xcom(stack, finish, apis):
    summary = stack.xcom("one_task_without_a_folder", finish("one_task_without_a_folder"), "transcribe")
    assert summary["text"] == TEXT
    assert apis["one_task_without_a_folder"].count("POST") == 1


def test_mapped_tasks_transcribe_a_recording_each(stack, finish, apis):
    run_id = finish("mapped")
    assert [stack.xcom("mapped", run_id, "transcribe", map_index=n)["text"] for n in range(2)] == [TEXT, TEXT]
    assert apis["mapped"].count("POST") == 2


def test_the_decorator_transcribes_what_its_function_returns(stack, finish, apis):
    assert stack.xcom("decorated", finish("decorated"), "recording")["text"] == TEXT
    assert apis["decorated"].count("POST") == 1


def test_a_batch_transcribes_each_file_once(stack, finish, apis):
    finish("batch")
    assert apis["batch"].count("POST") == 5


def test_the_example_pipeline_fills_its_database_and_writes_its_report(stack, finish, apis, folder):
    finish(PIPELINE)
    await_condition(lambda: stack.runs("report_transcripts"), what="a run of the report")
    [(report_run, _)] = stack.runs("report_transcripts")
    stack.await_success("report_transcripts", report_run, PATIENCE)
    assert (folder / "transcripts" / "report.html").exists()
    assert (folder / "transcripts" / "jfk.mp3.srt").exists()
    assert apis[PIPELINE].count("POST") == 1


@pytest.mark.xfail(
    VERSION < (3, 1), reason="Airflow 3.0 starts the consumer of an alias without the events", strict=True
)
def test_an_asset_event_starts_a_consumer_that_knows_the_files(stack, finish):
    summary = stack.xcom("one_task_with_a_folder", finish("one_task_with_a_folder"), "transcribe")
    await_condition(lambda: stack.runs("consumer"), what="a run of the consumer")
    [(run_id, _), *_] = stack.runs("consumer")
    stack.await_success("consumer", run_id, PATIENCE)
    assert set(stack.xcom("consumer", run_id, "consume")) == set(summary["files"].values())


def test_the_link_leads_to_the_transcript(stack, finish):
    run_id = finish("one_task_with_a_folder")
    summary = stack.xcom("one_task_with_a_folder", run_id, "transcribe")
    token = requests.get(f"{stack.base_url}/auth/token", timeout=PATIENCE).json()["access_token"]
    answer = requests.get(
        f"{stack.base_url}/api/v2/dags/one_task_with_a_folder/dagRuns/{run_id}/taskInstances/transcribe/links",
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE,
    )
    assert answer.json()["extra_links"]["Transcript"] in summary["files"].values()


def test_a_task_whose_trigger_failed_is_resumed_with_the_transcript(stack, finish, apis):
    run_id = finish("broken_trigger")
    assert stack.xcom("broken_trigger", run_id, "transcribe")["text"] == TEXT
    assert apis["broken_trigger"].count("POST") == 1

    def logs():
        return stack.process("triggerer").log.read_text() + stack.task_log(
            "broken_trigger", run_id, "transcribe"
        )

    # The triggerer writes it when it comes to it, which may be after the task.
    await_condition(
        lambda: "This trigger is broken" in logs(),
        what="the failure of the trigger in the log",
    )


def test_a_task_whose_process_is_killed_attaches_in_its_next_try(stack, runs, apis):
    state = stack.wait("killed", runs["killed"], PATIENCE)
    # Airflow 3.0 gives up a task whose process was killed, however many retries it has.
    assert state == ("failed" if VERSION < (3, 1) else "success")
    if state == "failed":
        stack.clear("killed", runs["killed"], ["transcribe"])
        stack.await_success("killed", runs["killed"], PATIENCE)
    assert "Not submitting: an earlier try submitted it" in stack.task_log(
        "killed", runs["killed"], "transcribe"
    )
    assert apis["killed"].count("POST") == 1


@pytest.mark.parametrize("place", ["with_a_folder", "with_variables"])
def test_a_retry_attaches_and_does_not_submit_again(stack, finish, apis, place):
    name = f"retried_{place}"
    run_id = finish(name)
    assert "Not submitting: an earlier try submitted it" in stack.task_log(name, run_id, "transcribe")
    assert apis[name].count("POST") == 1


def test_a_retry_without_a_folder_attaches_where_there_is_a_state_store_and_else_fails(stack, runs, apis):
    name = "retried_without_a_folder"
    state = stack.wait(name, runs[name], PATIENCE)
    log = stack.task_log(name, runs[name], "transcribe")
    assert (state, AMBIGUOUS in log) == (("success", False) if HAS_STATE_STORE else ("failed", True))
    assert apis[name].count("POST") == 1


def test_a_clear_after_success_does_not_submit_again(stack, finish, apis):
    posts = {"one_task_with_a_folder": 1, "batch": 5, "retried_with_variables": 1}
    for name in posts:
        stack.clear(name, finish(name), ["transcribe"])
    for name in posts:
        finish(name)
    assert {name: apis[name].count("POST") for name in posts} == posts


def test_a_clear_after_success_without_a_folder_submits_again_only_without_a_state_store(stack, finish, apis):
    name = "one_task_without_a_folder"
    stack.clear(name, finish(name), ["transcribe"])
    finish(name)
    assert apis[name].count("POST") == (1 if HAS_STATE_STORE else 2)


def test_a_triggerer_that_is_killed_is_followed_by_another_one_that_goes_on(stack, runs, apis, finish):
    waits = {"long_wait": 1, "long_batch": 2}
    await_condition(
        lambda: all(apis[name].count("GET") > posts for name, posts in waits.items()) or stack.check(),
        timeout=PATIENCE,
        what="waits in the triggerer",
    )
    stack.kill("triggerer")
    stack.start_process("triggerer")
    stack.await_healthy()
    for name in waits:
        apis[name].polls_until_done = 0
    for name, posts in waits.items():
        finish(name)
        assert (name, apis[name].count("POST")) == (name, posts)


def test_no_key_is_in_any_log(stack, runs, apis):
    """After all others: the logs of all tasks and of the four processes."""
    for name, run_id in runs.items():
        stack.wait(name, run_id, PATIENCE)
    texts = [file.read_text(errors="replace") for file in stack.home.rglob("*.log")]
    assert texts
    assert not [text for text in texts if next(iter(apis.values())).key in text]
