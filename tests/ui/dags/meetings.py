"""The DAG of the documentation's picture."""

import os

from airflow.sdk import DAG

from airflow_provider_laplas.operators import TranscribeOperator

FOLDER = os.environ["MEETINGS_FOLDER"]

with DAG("meetings", schedule=None):
    TranscribeOperator(
        task_id="transcribe",
        audio=f"{FOLDER}/weekly-meeting.mp3",
        results_path=f"{FOLDER}/transcripts",
        poke_interval=1,
    )
