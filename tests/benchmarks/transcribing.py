"""Runs TranscribeOperator by dag.test() in a process of its own, which prints what came of it as JSON."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def transcribe(given: dict[str, Any]) -> dict[str, Any]:
    """
    Transcribe a recording.

    :param given: ``name`` of the run, ``audio``, a path, ``media``, the operator's argument or None, ``folder`` for the
        transcripts
    :returns: ``words``, each with its text, start and end, ``text``, ``parts``, the replies' pieces and overlaps, ``media``,
        the plan, and ``seconds``, from the task's start to its end
    """
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True, env=os.environ
    )
    # After Airflow's database is there.
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415
    from airflow.sdk import DAG  # noqa: PLC0415

    from airflow_provider_laplas.operators import TranscribeOperator  # noqa: PLC0415
    from airflow_provider_laplas.results import load_transcript  # noqa: PLC0415
    from tests.airflow_names import DagBag, sync_bag_to_db  # noqa: PLC0415

    dags = Path(os.environ["AIRFLOW_HOME"]) / "dags"
    dags.mkdir()
    DagBundlesManager().sync_bundles_to_db()
    with DAG(given["name"], schedule=None) as dag:
        TranscribeOperator(
            task_id="transcribe",
            audio=given["audio"],
            results_path=given["folder"],
            media=given["media"],
            deferrable=False,
            poke_interval=1,
        )
    bag = DagBag(dag_folder=dags)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    began = time.perf_counter()
    run = dag.test()
    seconds = time.perf_counter() - began
    [task] = run.get_task_instances()
    if str(task.state) != "success":
        raise RuntimeError(f"The task ended as {task.state}.")
    transcript = load_transcript(task.xcom_pull(task_ids="transcribe"))
    raw = transcript.raw
    return {
        "words": [[word.text, word.start, word.end] for word in transcript.words],
        "text": transcript.text,
        "parts": [{name: part[name] for name in ("pieces", "overlap")} for part in raw.get("parts", [])],
        "media": raw.get("media"),
        "seconds": seconds,
    }


if __name__ == "__main__":
    print(json.dumps(transcribe(json.loads(sys.argv[1]))))  # noqa: T201
