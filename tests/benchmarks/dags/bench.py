"""The DAGs that the benchmarks run."""

import json
import os
from datetime import timedelta

from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG

from airflow_provider_laplas.operators import TranscribeBatchOperator, TranscribeOperator

FILES = int(os.environ["BENCH_FILES"])
MAPPED = int(os.environ["BENCH_MAPPED"])
FOLDER = f"file://{os.environ['BENCH_FOLDER']}"
URLS = [f"https://example.com/{n}.mp3" for n in range(FILES)]

with DAG("warm_up", schedule=None):
    TranscribeOperator(task_id="warm_up", conn_id="bench", audio=URLS[0])

with DAG("batch", schedule=None):
    TranscribeBatchOperator(
        task_id="batch",
        conn_id="bench",
        audio=URLS,
        results_path=f"{FOLDER}/batch",
        max_in_flight=FILES,
    )

# With retries: a trigger of HttpSensor that fires at once can overtake the report of its deferral, which fails the task.
with DAG(
    "mapped", schedule=None, max_active_tasks=64, default_args={"retries": 2, "retry_delay": timedelta(0)}
):
    submit = HttpOperator.partial(
        task_id="submit",
        http_conn_id="bench_plain",
        endpoint="v1/stt/create",
        method="POST",
        headers={"Content-Type": "application/json"},
        response_filter=lambda response: response.json()["generation_id"],
    ).expand(data=[json.dumps({"model": "m", "url": url}) for url in URLS[:MAPPED]])
    wait = HttpSensor.partial(
        task_id="wait", http_conn_id="bench_http", method="GET", deferrable=True, poke_interval=5
    ).expand(endpoint=submit.output.map(lambda job: f"v1/stt/{job}"))
    fetch = HttpOperator.partial(task_id="fetch", http_conn_id="bench_plain", method="GET").expand(
        endpoint=submit.output.map(lambda job: f"v1/stt/{job}")
    )
    wait >> fetch

# The same operator: as it comes, deferring at once, and never.
for name, way in {
    "default": {},
    "deferred": {"defer_after": 0},
    "in_place": {"deferrable": False},
}.items():
    with DAG(name, schedule=None):
        TranscribeOperator(task_id="transcribe", conn_id="bench", audio=URLS[0], durable=False, **way)
