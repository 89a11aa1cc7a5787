"""Deferred sensors. The file is copied, and each copy has a part of them, as a task parses its whole file."""

import json
import os
from pathlib import Path

from airflow.sdk import DAG
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.triggers import STTCompletionTrigger

PART = int(Path(__file__).stem.rpartition("_")[2])
FOLDER = Path(os.environ["LOAD_FOLDER"])
JOBS = json.loads((FOLDER / f"jobs_{PART}.json").read_text())
REPLIES = (FOLDER / "replies").as_uri()
DEADLINE = FOLDER.stat().st_ctime + 7200
WITHOUT_WORKERS = os.environ.get("LOAD_WITHOUT_WORKERS") == "1"


class SensorOfTheScheduler(STTCompletionSensor):
    """Deferred by the scheduler, without a worker, in which each would take a second of a core to start."""

    start_from_trigger = True

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        trigger = STTCompletionTrigger(
            conn_id=self.conn_id, generation_id=self.generation_id, deadline=DEADLINE, results_path=REPLIES
        )
        path, arguments = trigger.serialize()
        self.start_trigger_args = StartTriggerArgs(path, "execute_complete", arguments)


SENSOR = SensorOfTheScheduler if WITHOUT_WORKERS else STTCompletionSensor

with DAG(f"load_{PART}", schedule=None, max_active_tasks=len(JOBS)):
    for number, job in enumerate(JOBS):
        SENSOR(
            task_id=f"wait_{number}",
            generation_id=job,
            conn_id="bench",
            results_path=REPLIES,
            timeout=7200,
            retries=2,
        )
