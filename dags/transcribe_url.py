"""
Transcribe a recording that has a URL: submit it, wait without holding a worker slot, use the text.

The API fetches the recording itself, so the URL has to be reachable from there. Trigger it with
``{"audio": "https://example.com/interview.mp3"}``.
"""

from typing import Any

from airflow.sdk import Param, dag, task

from airflow_provider_laplas.operators import SubmitSTTOperator
from airflow_provider_laplas.sensors import STTCompletionSensor


@dag(
    schedule=None,
    default_args={"retries": 2},
    tags=["laplas", "speech-to-text"],
    params={"audio": Param(type="string", minLength=1, description="The recording's URL.")},
    doc_md=__doc__,
)
def transcribe_url() -> None:
    """Transcribe one URL and count the words."""
    submit = SubmitSTTOperator(task_id="submit", audio="{{ params.audio }}")
    # One task submits and another waits: clearing the wait never submits, and so never pays, again.
    wait = STTCompletionSensor(task_id="wait", generation_id=submit.output)

    # The text is pulled inside the task: an argument of it would be shown in the UI as a rendered field.
    @task
    def use_text(ti: Any = None) -> dict[str, int]:
        text = ti.xcom_pull(task_ids="wait", key="text")
        return {"words": len(text.split())}

    wait >> use_text()


transcribe_url()
