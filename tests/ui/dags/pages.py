"""A task in each state of the tab, in a DAG that all may read and in one that not all may; and what a task has loaded."""

import os
import sys

from airflow.sdk import DAG, task

from airflow_provider_laplas.operators import TranscribeBatchOperator, TranscribeOperator

FOLDER = os.environ["PAGES_FOLDER"]

for name in ("public", "private"):
    with DAG(f"{name}_pages", schedule=None):
        TranscribeOperator(
            task_id="done", audio=f"{FOLDER}/talk.mp3", results_path=f"{FOLDER}/{name}/done", poke_interval=1
        )
        TranscribeOperator(task_id="in_xcom", audio="https://example.com/a.mp3", poke_interval=1)
        TranscribeBatchOperator(
            task_id="batch", audio=f"{FOLDER}/inbox", results_path=f"{FOLDER}/{name}/batch", poke_interval=1
        )
        TranscribeOperator(task_id="refused", audio=f"{FOLDER}/talk.mp3", conn_id="laplas_refused")

with DAG("waiting_pages", schedule=None):
    TranscribeOperator(
        task_id="waits",
        audio=f"{FOLDER}/talk.mp3",
        conn_id="laplas_slow",
        results_path=f"{FOLDER}/w",
        defer_after=0,
    )
    TranscribeBatchOperator(
        task_id="batch",
        audio=f"{FOLDER}/inbox",
        conn_id="laplas_slow",
        results_path=f"{FOLDER}/wb",
        poke_interval=1,
    )

with DAG("modules", schedule=None):

    @task
    def loaded():
        return sorted(sys.modules)

    loaded()
