"""A transcript's files as assets, and a DAG that is scheduled on them, for the tests."""

from typing import Any

from airflow.sdk import DAG, AssetAlias, Param, task

from airflow_provider_laplas.operators import TranscribeOperator

TRANSCRIPTS = AssetAlias("transcripts_of_the_tests")
PARAMS = {"audio": Param(type="string"), "results": Param(type="string")}

with DAG("produce_assets", schedule=None, params=PARAMS):
    TranscribeOperator(
        task_id="transcribe",
        audio="{{ params.audio }}",
        results_path="{{ params.results }}",
        formats=["json", "vtt"],
        outlets=[TRANSCRIPTS],
        poke_interval=1,
    )

with DAG("consume_assets", schedule=[TRANSCRIPTS]):

    @task
    def consume(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """Return what the events say."""
        events = triggering_asset_events[TRANSCRIPTS]
        return [{"uri": event.asset.uri, **event.extra} for event in events]

    consume()
