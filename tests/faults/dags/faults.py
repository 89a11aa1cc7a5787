"""DAGs that the fault suite breaks. What each is asked to do comes in the run's parameters."""

import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, AssetAlias, Param, task

from airflow_provider_laplas.operators import (
    SubmitSTTOperator,
    TranscribeBatchOperator,
    TranscribeOperator,
)
from airflow_provider_laplas.sensors import STTCompletionSensor

RETRY: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(seconds=1)}
URL = "https://example.com/{{ run_id }}.mp3"
ANY = "{{ params.audio or 'https://example.com/' ~ run_id ~ '.mp3' }}"
CONN = "{{ params.conn_id }}"


class KillAtANote:
    """
    The task's state store, which ends this process or its supervisor after the first note or before the second.

    The first note is the intent; the second comes when the API's answer has come. The run's id begins with ``intent`` or
    ``reply``.
    """

    def __init__(self, store: Any, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._notes = 0

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._store.get(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        self._notes += 1
        if self._notes == 1:
            self._store.set(*args, **kwargs)
        if self._notes == (1 if self._run_id.startswith("intent") else 2):
            self._kill()
        if self._notes > 1:
            self._store.set(*args, **kwargs)

    def _kill(self) -> None:
        for target, pid in (("task", os.getpid()), ("supervisor", os.getppid())):
            marker = Path(os.environ["FAULTS_FOLDER"]) / f"kill-{target}-{self._run_id}"
            if marker.exists():
                marker.unlink()
                os.kill(pid, signal.SIGKILL)


class KilledAtANote(TranscribeOperator):
    """Is killed between its note and the submission, or between the API's answer and its own note of it."""

    def execute(self, context: Any) -> Any:
        store = KillAtANote(context["task_state_store"], context["run_id"])
        return super().execute({**context, "task_state_store": store})


class KillWhenResumed:
    """Is killed when it is resumed for the first time, and leaves a file that says so."""

    def execute_complete(self, context: Any, event: Any = None) -> dict[str, Any]:
        marker = Path(os.environ["FAULTS_FOLDER"]) / f"resumed-{context['run_id']}"
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute_complete(context, event)


class KilledWhenResumed(KillWhenResumed, TranscribeOperator):
    """One recording."""


class BatchKilledWhenResumed(KillWhenResumed, TranscribeBatchOperator):
    """Many recordings."""


def parameters(**more: Any) -> dict[str, Any]:
    return {"conn_id": Param("laplas_default", type="string"), **more}


with DAG(
    "one", schedule=None, params=parameters(audio=Param(None, type=["null", "string"])), max_active_runs=32
):
    TranscribeOperator(task_id="transcribe", audio=ANY, conn_id=CONN, poke_interval=1, defer_after=0, **RETRY)

with DAG("one_in_place", schedule=None, params=parameters(), max_active_runs=32):
    TranscribeOperator(
        task_id="transcribe", audio=URL, conn_id=CONN, poke_interval=1, deferrable=False, **RETRY
    )

with DAG("killed_at_a_note", schedule=None, params=parameters(), max_active_runs=32):
    KilledAtANote(task_id="transcribe", audio=URL, conn_id=CONN, poke_interval=1, **RETRY)

with DAG("killed_when_resumed", schedule=None, params=parameters(results_path=Param(type="string"))):
    KilledWhenResumed(
        task_id="transcribe",
        audio=URL,
        conn_id=CONN,
        poke_interval=1,
        results_path="{{ params.results_path }}",
        defer_after=0,
        **RETRY,
    )

with DAG("many", schedule=None, params=parameters(), max_active_tasks=64):
    TranscribeOperator.partial(
        task_id="transcribe", conn_id=CONN, poke_interval=5, timeout=900, **RETRY
    ).expand(audio=[f"https://example.com/{n}.mp3" for n in range(50)])

# A group is a hundred files: of the second of these DAGs, a part is in no group yet when the first one is submitted.
BATCHES: tuple[tuple[str, type[TranscribeBatchOperator], int, dict[str, int]], ...] = (
    ("batch", TranscribeBatchOperator, 50, {}),
    ("batch_that_may_fail", TranscribeBatchOperator, 120, {"max_failed": 120}),
    ("batch_killed_when_resumed", BatchKilledWhenResumed, 20, {"max_in_flight": 10}),
)
for dag_id, operator, files, limits in BATCHES:
    with DAG(dag_id, schedule=None, params=parameters(results_path=Param(type="string"))):
        operator(
            task_id="transcribe",
            audio=[f"https://example.com/{n}.mp3" for n in range(files)],
            conn_id=CONN,
            poke_interval=1,
            results_path="{{ params.results_path }}",
            **limits,
            **RETRY,
        )

with DAG(
    "in_parts",
    schedule=None,
    params=parameters(audio=Param(type="string"), results_path=Param(type="string")),
    max_active_runs=32,
):
    TranscribeOperator(
        task_id="transcribe",
        audio=ANY,
        media={"max_part_seconds": 10},
        conn_id=CONN,
        poke_interval=1,
        defer_after=0,
        results_path="{{ params.results_path }}",
        **RETRY,
    )

with DAG("busy_pool", schedule=None, params=parameters(results_path=Param(type=["null", "string"]))):
    TranscribeOperator(
        task_id="transcribe",
        audio=URL,
        conn_id=CONN,
        poke_interval=1,
        pool="one_slot",
        defer_after=0,
        results_path="{{ params.results_path or '' }}",
    )

with DAG("listed", schedule=None, params=parameters(results_path=Param(type="string"))):

    @task
    def listed(run_id: Any = None) -> list[str]:
        """Return what a file says now; a Clear finds another list."""
        names = (Path(os.environ["FAULTS_FOLDER"]) / f"list-{run_id}").read_text().split()
        return [f"https://example.com/{name}.mp3" for name in names]

    TranscribeOperator.partial(
        task_id="transcribe",
        conn_id=CONN,
        poke_interval=1,
        results_path="{{ params.results_path }}",
        **RETRY,
    ).expand(audio=listed())

with DAG("blocker", schedule=None, params={"until": Param(type="string")}):

    @task(pool="one_slot")
    def hold(params: Any = None) -> None:
        """Hold the pool's only slot until a file appears."""
        while not Path(params["until"]).exists():
            time.sleep(0.2)

    hold()


def canary_url() -> str:
    return os.environ["FAULTS_CANARY_URL"]


# One task for each way to fail, each against a server of its own.
with DAG(
    "canaries",
    schedule=None,
    params={"conn_ids": Param(type="array")},
    user_defined_macros={"canary_url": canary_url},
    max_active_tasks=64,
):

    @task
    def connections(params: Any = None) -> list[str]:
        return list(params["conn_ids"])

    conn_ids = connections()
    TranscribeOperator.partial(
        task_id="transcribe", audio="{{ canary_url() }}", poke_interval=1, timeout=25, retries=0
    ).expand(conn_id=conn_ids)
    TranscribeOperator.partial(
        task_id="in_place",
        audio="{{ canary_url() }}",
        poke_interval=1,
        timeout=25,
        retries=0,
        deferrable=False,
    ).expand(conn_id=conn_ids)
    submit = SubmitSTTOperator.partial(task_id="submit", audio="{{ canary_url() }}", retries=0).expand(
        conn_id=conn_ids
    )
    wait = STTCompletionSensor(
        task_id="wait",
        generation_id="{{ ti.xcom_pull(task_ids='submit', map_indexes=0) }}",
        conn_id="{{ params.conn_ids[0] }}",
        trigger_rule="all_done",
        poke_interval=1,
        timeout=25,
        retries=0,
    )
    submit >> wait


def case(number: int) -> dict[str, Any]:
    """A recording's URL with secrets in it, options with others, and what the secrets are."""
    content: list[dict[str, Any]] = json.loads(
        (Path(os.environ["FAULTS_FOLDER"]) / "corpus.json").read_text()
    )
    return content[number]


def count_cases() -> list[list[str]]:
    return [[str(number)] for number in range(int(os.environ["FAULTS_SINGLE_CASES"]))]


# Against a server that repeats all that it is sent.
with DAG(
    "corpus",
    schedule=None,
    params={"results_path": Param(type="string")},
    user_defined_macros={"case": case},
    render_template_as_native_obj=True,
    max_active_tasks=64,
):
    EVERY: dict[str, Any] = {"conn_id": "laplas_corpus", "poke_interval": 1, "retries": 0}
    TranscribeBatchOperator(
        task_id="batch",
        audio=[f"\n {{{{ case({n}).url }}}} " for n in range(int(os.environ["FAULTS_CASES"]))],
        options="{{ case(0).options }}",
        results_path="{{ params.results_path }}/batch",
        max_failed=10_000,
        outlets=[AssetAlias("corpus_batch")],
        **EVERY,
    )
    TranscribeOperator.partial(
        task_id="transcribe",
        audio=" {{ case(ti.map_index).url }}\n",
        options="{{ case(ti.map_index).options }}",
        results_path="{{ params.results_path }}",
        timeout=25,
        outlets=[AssetAlias("corpus")],
        **EVERY,
    ).expand(tag=count_cases())

    @task.transcribe(results_path="{{ params.results_path }}", **EVERY)
    def function(*given: Any, item: Any, **more: Any) -> Any:
        """Transcribe one of the URLs that stand in nested arguments."""
        return item["url"]

    function(
        "see {{ case(2).url }}, please",
        ("{{ case(3).url }}", ["{{ case(4).url }}"]),
        {"{{ case(5).url }}"},
        item={"url": "{{ case(0).url }}", "more": [{"password": "{{ case(0).secrets.password }}"}]},
        pair="token={{ case(6).secrets.token }}",
        chained="simplecache::{{ case(7).url }}",
    )
    sent = SubmitSTTOperator(
        task_id="submit",
        audio="{{ case(16).url }}",
        options="{{ case(16).options }}",
        conn_id="laplas_corpus",
        retries=0,
    )
    STTCompletionSensor(
        task_id="wait",
        generation_id=sent.output,
        source="\t{{ case(16).url }}",
        results_path="{{ params.results_path }}",
        **EVERY,
    )
