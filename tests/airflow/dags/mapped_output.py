"""Mapped submissions and waits, and a text that is passed on as an argument."""

from typing import Any

from airflow.sdk import Param, dag, task

from airflow_provider_laplas.operators import SubmitSTTOperator
from airflow_provider_laplas.sensors import STTCompletionSensor


@dag(schedule=None, params={"audio": Param(type="array")})
def mapped_output() -> None:
    @task
    def recordings(params: dict[str, Any] | None = None) -> list[str]:
        return (params or {})["audio"]

    submit = SubmitSTTOperator.partial(task_id="submit").expand(audio=recordings())
    wait = STTCompletionSensor.partial(task_id="wait").expand(generation_id=submit.output)

    @task
    def join(ti: Any = None) -> list[str]:
        results = [ti.xcom_pull(task_ids="wait", map_indexes=index) for index in range(2)]
        return [result["text"] for result in results]

    wait >> join()


@dag(schedule=None, params={"audio": Param(type="string")})
def output_key() -> None:
    submit = SubmitSTTOperator(task_id="submit", audio="{{ params.audio }}")
    wait = STTCompletionSensor(task_id="wait", generation_id=submit.output)

    @task
    def echo(text: str) -> str:
        return text

    echo(wait.output["text"])


mapped_output()
output_key()
