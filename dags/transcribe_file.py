"""
Transcribe a recording that has no URL: a local file, or an object in S3, GCS or Azure, is uploaded.

Two DAGs with one outcome. ``transcribe_file`` submits and waits in two tasks, so that each can be retried or
cleared alone; ``transcribe_file_in_one_task`` does both in one, which is shorter to write. Trigger either with
``{"audio": "/data/interview.mp3"}`` or ``{"audio": "s3://aws_default@bucket/interview.mp3"}``. A local path has to
exist on the worker.
"""

from itertools import pairwise
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeOperator
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sensors import STTCompletionSensor

TAGS = ["laplas", "speech-to-text"]
AUDIO = Param(type="string", minLength=1, description="A path on the worker or an object storage URI.")


@dag(schedule=None, tags=TAGS, params={"audio": AUDIO}, doc_md=__doc__)
def transcribe_file() -> None:
    """Upload one file and find its longest pause."""
    submit = SubmitSTTOperator(task_id="submit", audio="{{ params.audio }}", utterances=True)
    wait = STTCompletionSensor(task_id="wait", generation_id=submit.output)

    @task
    def longest_pause(ti: Any = None) -> float:
        """Return the longest silence between two words, in seconds."""
        words = load_transcript(ti.xcom_pull(task_ids="wait")).words
        times = [(word.start, word.end) for word in words if word.start is not None and word.end is not None]
        return max((after[0] - before[1] for before, after in pairwise(times)), default=0.0)

    wait >> longest_pause()


@dag(schedule=None, tags=TAGS, params={"audio": AUDIO}, doc_md=__doc__)
def transcribe_file_in_one_task() -> None:
    """Upload one file and wait for it in the same task."""
    # Seconds for all of it, the upload included.
    transcribe = TranscribeOperator(task_id="transcribe", audio="{{ params.audio }}", timeout=1800)

    @task
    def use_text(ti: Any = None) -> dict[str, int]:
        text = ti.xcom_pull(task_ids="transcribe", key="text")
        return {"words": len(text.split())}

    transcribe >> use_text()


transcribe_file()
transcribe_file_in_one_task()
