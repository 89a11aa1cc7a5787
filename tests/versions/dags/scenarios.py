"""DAGs that every version of Airflow runs. Each has an API of its own, named by its connection."""

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AssetAlias, Param, task

from airflow_provider_laplas.operators import (
    SubmitSTTOperator,
    TranscribeBatchOperator,
    TranscribeOperator,
)
from airflow_provider_laplas.sensors import STTCompletionSensor
from tests.versions.broken import BrokenTrigger

URL = "https://example.com/a.mp3"
FOLDER = "{{ params.results_path }}/{{ dag.dag_id }}"
ALIAS = AssetAlias("transcripts_of_the_versions")
PARAMS = {"results_path": Param("", type="string")}
POLLS: dict[str, Any] = {"poke_interval": 1}
# Also for those that should need none: on a busy machine Airflow fails a task whose executor reports late.
RETRIES: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(seconds=1)}


def scenario(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, params=PARAMS, default_args={"conn_id": dag_id, **RETRIES})


class Broken(TranscribeOperator):
    """Defers to a trigger that fails, the first time."""

    def defer(self, *, trigger: Any, **kwargs: Any) -> None:
        super().defer(trigger=BrokenTrigger(**trigger.serialize()[1]), **kwargs)


class NotedInVariables(TranscribeOperator):
    """Runs as with ``[laplas] record_store = variable``."""

    def execute(self, context: Any) -> Any:
        os.environ["AIRFLOW__LAPLAS__RECORD_STORE"] = "variable"
        return super().execute(context)


with scenario("deferred_sensor"):
    submitted = SubmitSTTOperator(task_id="submit", audio=URL)
    waited = STTCompletionSensor(task_id="wait", generation_id=submitted.output, **POLLS)

    @task
    def echo(text: str) -> str:
        """Return what it is given."""
        return text

    echo(waited.output["text"])

with scenario("rescheduled_sensor"):
    STTCompletionSensor(
        task_id="wait",
        generation_id=SubmitSTTOperator(task_id="submit", audio=URL).output,
        deferrable=False,
        mode="reschedule",
        poke_interval=5,
    )

with scenario("one_task_with_a_folder"):
    TranscribeOperator(
        task_id="transcribe",
        audio=URL,
        results_path=FOLDER,
        formats=["json", "vtt"],
        defer_after=0,
        outlets=[ALIAS],
        **POLLS,
    )

with DAG("consumer", schedule=[ALIAS]):

    @task
    def consume(triggering_asset_events: Any = None) -> list[str]:
        """Return the files that the events name."""
        return [event.asset.uri for event in triggering_asset_events[ALIAS]]

    consume()

with scenario("one_task_without_a_folder"):
    TranscribeOperator(task_id="transcribe", audio=URL, defer_after=0, **POLLS)

with scenario("mapped"):
    TranscribeOperator.partial(task_id="transcribe", results_path=FOLDER, **POLLS).expand(
        audio=[f"https://example.com/{n}.mp3" for n in range(2)]
    )

with scenario("decorated"):

    @task.transcribe(conn_id="decorated", **POLLS)
    def recording() -> str:
        """Return what is transcribed."""
        return URL

    recording()

with scenario("batch"):
    TranscribeBatchOperator(
        task_id="transcribe",
        audio=[f"https://example.com/{n}.mp3" for n in range(5)],
        results_path=FOLDER,
        max_in_flight=2,
        **POLLS,
    )

# The API ends this one's process once it is submitted.
with scenario("killed"):
    TranscribeOperator(task_id="transcribe", audio=URL, results_path=FOLDER, deferrable=False, **POLLS)

# The API leaves these without an answer once they are submitted, until Airflow ends the try.
TIMED_OUT: dict[str, Any] = {
    "audio": URL,
    "deferrable": False,
    "execution_timeout": timedelta(seconds=20),
    **POLLS,
}
with scenario("retried_with_a_folder"):
    TranscribeOperator(task_id="transcribe", results_path=FOLDER, **TIMED_OUT)

with scenario("retried_without_a_folder"):
    TranscribeOperator(task_id="transcribe", **TIMED_OUT)

with scenario("retried_with_variables"):
    NotedInVariables(task_id="transcribe", **TIMED_OUT)

with scenario("long_wait"):
    TranscribeOperator(task_id="transcribe", audio=URL, results_path=FOLDER, defer_after=0, **POLLS)

with scenario("long_batch"):
    TranscribeBatchOperator(
        task_id="transcribe",
        audio=[f"https://example.com/{n}.mp3" for n in range(2)],
        results_path=FOLDER,
        **POLLS,
    )

with scenario("broken_trigger"):
    Broken(task_id="transcribe", audio=URL, results_path=FOLDER, defer_after=0, **POLLS)
