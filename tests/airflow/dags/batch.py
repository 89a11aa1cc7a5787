"""A folder of recordings in one task, and a recording in parts, for the tests."""

from airflow.sdk import DAG, Param

from airflow_provider_laplas.operators import TranscribeBatchOperator, TranscribeOperator

PARAMS = {"inbox": Param(type="string"), "results": Param(type="string")}

with DAG("batch_of_a_folder", schedule=None, params=PARAMS, max_active_runs=1):
    TranscribeBatchOperator(
        task_id="transcribe",
        audio="{{ params.inbox }}",
        results_path="{{ params.results }}",
        max_in_flight=2,
        max_failed=1,
        poke_interval=1,
    )

with DAG(
    "film_in_parts", schedule=None, params={"film": Param(type="string"), "results": Param(type="string")}
):
    TranscribeOperator(
        task_id="transcribe",
        audio="{{ params.film }}",
        media={"max_part_seconds": 20},
        results_path="{{ params.results }}",
        formats=["json", "vtt"],
        poke_interval=1,
    )
