"""Deferred sensors. The file is copied, and each copy has a part of them, as a task parses its whole file."""

import json
import os
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_laplas.sensors import STTCompletionSensor

PART = int(Path(__file__).stem.rpartition("_")[2])
FOLDER = Path(os.environ["LOAD_FOLDER"])
JOBS = json.loads((FOLDER / f"jobs_{PART}.json").read_text())

with DAG(f"load_{PART}", schedule=None, max_active_tasks=len(JOBS)):
    for number, job in enumerate(JOBS):
        STTCompletionSensor(
            task_id=f"wait_{number}",
            generation_id=job,
            conn_id="bench",
            results_path=(FOLDER / "replies").as_uri(),
            timeout=7200,
            retries=2,
        )
