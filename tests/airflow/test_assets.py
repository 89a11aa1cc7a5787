"""Assets in a real Airflow: a DAG that is scheduled on a task's alias runs, and knows what was written."""

from airflow_stack.processes import await_condition
from tests.patience import PATIENCE


def test_a_dag_that_is_scheduled_on_the_alias_runs_with_the_files_of_the_transcript(
    stack, run_dag, jfk_mp3, tmp_path
):
    conf = {"audio": str(jfk_mp3), "results": tmp_path.as_uri()}
    result = stack.xcom("produce_assets", run_dag("produce_assets", conf), "transcribe")

    await_condition(lambda: stack.runs("consume_assets"), what="a run of the consumer")
    [(run_id, _)] = stack.runs("consume_assets")
    stack.await_success("consume_assets", run_id, PATIENCE)
    told = stack.xcom("consume_assets", run_id, "consume")
    assert {event["uri"] for event in told} == set(result["files"].values())
    assert {(event["source"], event["generation_id"], event["duration"]) for event in told} == {
        (str(jfk_mp3), result["generation_id"], 11.0)
    }
