"""
Sensors that are deferred by the scheduler: a worker's second for each of thousands would measure the workers.

The file is copied, and each copy has a part of them: a task that is resumed parses its whole file.
"""

import json
import os
import time
from pathlib import Path

from airflow.sdk import DAG
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.triggers import STTCompletionTrigger

PART = int(Path(__file__).stem.rpartition("_")[2])
FOLDER = Path(os.environ["LOAD_FOLDER"])
JOBS = json.loads((FOLDER / f"jobs_{PART}.json").read_text())
RESULTS = (FOLDER / "replies").as_uri()
CONN_ID = "bench"
TIMEOUT = 7200


class Waiting(STTCompletionSensor):
    """Begins in the triggerer."""

    start_from_trigger = True

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{STTCompletionTrigger.__module__}.{STTCompletionTrigger.__name__}",
            trigger_kwargs={
                "conn_id": self.conn_id,
                "generation_id": self.generation_id,
                "deadline": time.time() + TIMEOUT,
                "poll_interval": self.poke_interval,
                "results_path": self.results_path,
            },
            next_method="execute_complete",
        )


with DAG(f"load_{PART}", schedule=None, max_active_tasks=len(JOBS)):
    for number, job in enumerate(JOBS):
        Waiting(
            task_id=f"wait_{number}",
            generation_id=job,
            conn_id=CONN_ID,
            results_path=RESULTS,
            timeout=TIMEOUT,
            retries=2,
        )
