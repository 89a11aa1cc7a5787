"""DAGs that the cluster suite breaks. What each is asked to do comes in the run's parameters."""

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from airflow_provider_laplas.operators import TranscribeBatchOperator, TranscribeOperator

WAITS = int(os.environ["CLUSTER_WAITS"])
FEW = int(os.environ["CLUSTER_FEW_WAITS"])
FILES = int(os.environ["CLUSTER_FILES"])
RETRY: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=2)}
ADVISED: dict[str, Any] = {"retries": 5, "retry_delay": timedelta(seconds=30)}
CONN = "{{ params.conn_id }}"


def parameters(**more: Any) -> dict[str, Any]:
    return {"conn_id": Param(type="string"), **more}


# The second has the retries that the documentation advises.
for dag_id, count, retries in (("waits", WAITS, RETRY), ("few_waits", FEW, ADVISED)):
    with DAG(dag_id, schedule=None, params=parameters(), max_active_tasks=2 * WAITS):
        TranscribeOperator.partial(
            task_id="transcribe", conn_id=CONN, poke_interval=5, timeout=1800, **retries
        ).expand(audio=[f"https://example.com/{n}.mp3" for n in range(count)])

with DAG("batch", schedule=None, params=parameters(results_path=Param(type="string"))):
    TranscribeBatchOperator(
        task_id="transcribe",
        audio=[f"https://example.com/{n}.mp3" for n in range(FILES)],
        conn_id=CONN,
        poke_interval=1,
        results_path="{{ params.results_path }}",
        max_failed=FILES,
        max_in_flight=FILES,
        **RETRY,
    )

for dag_id, deferrable in (("one", True), ("one_in_place", False)):
    with DAG(
        dag_id,
        schedule=None,
        params=parameters(audio=Param("https://example.com/a.mp3", type="string")),
        max_active_runs=32,
        max_active_tasks=32,
    ):
        TranscribeOperator(
            task_id="transcribe",
            audio="{{ params.audio }}",
            conn_id=CONN,
            poke_interval=1,
            defer_after=0,
            deferrable=deferrable,
            **RETRY,
        )
