"""Airflow's own commands know the provider and its DAGs."""

from airflow_stack.processes import await_condition

DAGS = {
    "caption_videos",
    "ingest_recordings",
    "mapped_output",
    "output_key",
    "report_transcripts",
    "transcribe_file",
    "transcribe_file_in_one_task",
    "transcribe_url",
}


def test_airflow_lists_the_provider(stack):
    assert "airflow-provider-laplas" in stack.cli("providers", "get", "airflow-provider-laplas")


def test_no_dag_has_an_import_error(stack):
    await_condition(
        lambda: stack.dag_ids() >= DAGS or stack.import_errors(),
        what="all DAGs, or an error",
    )

    assert stack.import_errors() == []
    assert "No data found" in stack.cli("dags", "list-import-errors")
