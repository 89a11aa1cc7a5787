"""The part of Airflow's public REST API that runs a DAG and looks at the outcome."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests

from airflow_stack.processes import PATIENCE

REQUEST_TIMEOUT = (5, 60)
RUN_PAUSE_SECONDS = 0.5
PAGE = 100
FINAL_RUN_STATES = frozenset({"success", "failed"})


@dataclass(frozen=True)
class TaskState:
    """
    One task instance.

    :ivar map_index: -1 for a task that is not mapped
    :ivar state: None before it is scheduled
    :ivar try_number: 0 before the first try
    """

    task_id: str
    map_index: int
    state: str | None
    try_number: int

    def __str__(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclass(frozen=True)
class Job:
    """A "SchedulerJob", "TriggererJob" or "DagProcessorJob"; one that was killed stays in the state "running"."""

    type: str
    hostname: str
    state: str
    latest_heartbeat: datetime


class AirflowRestError(RuntimeError):
    """
    Airflow answered with an error.

    :ivar status: the HTTP status
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RunFailedError(RuntimeError):
    """A DAG run failed; the message carries the logs of the tasks that did."""


class AirflowRest:
    """
    A client of one Airflow; every method raises ``AirflowRestError`` when Airflow answers with an error.

    :param base_url: the address of the UI, without a slash at the end
    :param credentials: a user's name and password, or None where everyone is an administrator
    """

    def __init__(self, base_url: str, credentials: tuple[str, str] | None = None) -> None:
        self.base_url = base_url
        self._credentials = credentials
        self._token: str | None = None

    def check(self) -> None:
        """Raise when the Airflow behind this client is known to be gone; called while waiting."""

    def health(self) -> dict[str, Any]:
        """Return each component's status and last heartbeat."""
        answer = requests.get(f"{self.base_url}/api/v2/monitor/health", timeout=REQUEST_TIMEOUT)
        body: dict[str, Any] = _decode(answer)
        return body

    def jobs(self) -> list[Job]:
        """Return the hundred newest jobs."""
        page = self._call("GET", "/jobs", params={"limit": PAGE, "order_by": "-id"})
        return [
            Job(
                one["job_type"],
                one["hostname"] or "",
                one["state"],
                datetime.fromisoformat(one["latest_heartbeat"]),
            )
            for one in page["jobs"]
        ]

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        timeout: float = PATIENCE,
    ) -> str:
        """
        Start a run and return its id.

        :param run_id: by default Airflow makes one up
        :param timeout: seconds that a DAG which is not known yet gets to be parsed
        :raises TimeoutError: when it is still unknown, with the import errors that Airflow has
        """
        deadline = time.monotonic() + timeout
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        while True:
            try:
                run = self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body)
            except AirflowRestError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                self.check()
                if time.monotonic() >= deadline:
                    raise TimeoutError(
                        f"DAG {dag_id}: not parsed within {timeout:g} s; import errors: {self.import_errors()}"
                    ) from error
                time.sleep(RUN_PAUSE_SECONDS)
            else:
                return str(run["dag_run_id"])

    def wait(
        self,
        dag_id: str,
        run_id: str,
        timeout: float,
        progress: Callable[[list[TaskState]], None] | None = None,
    ) -> str:
        """
        Wait for a run and return its final state, "success" or "failed".

        :param timeout: seconds
        :param progress: called at every look, about twice a second, with all task instances
        :raises TimeoutError: when the run is not finished in time, with the state of each task
        """
        deadline = time.monotonic() + timeout
        while True:
            run = self._call("GET", f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}")
            if progress is not None:
                progress(self.task_states(dag_id, run_id))
            if run["state"] in FINAL_RUN_STATES:
                return str(run["state"])
            self.check()
            if time.monotonic() >= deadline:
                states = ", ".join(f"{task}: {task.state}" for task in self.task_states(dag_id, run_id))
                raise TimeoutError(f"run {run_id} of {dag_id}: not finished within {timeout:g} s ({states})")
            time.sleep(RUN_PAUSE_SECONDS)

    def await_success(
        self,
        dag_id: str,
        run_id: str,
        timeout: float,
        progress: Callable[[list[TaskState]], None] | None = None,
    ) -> None:
        """
        Wait, as ``wait`` does, for a run that has to succeed.

        :raises RunFailedError: when it does not, with the logs of the tasks that failed by themselves
        """
        if self.wait(dag_id, run_id, timeout, progress) != "success":
            raise RunFailedError(
                f"The run {run_id} of {dag_id} failed.\n{self.failure_report(dag_id, run_id)}"
            )

    def runs(self, dag_id: str) -> list[tuple[str, str]]:
        """Return the id and the state of each of a DAG's runs, at most a hundred, the oldest first."""
        path = f"/dags/{quote(dag_id)}/dagRuns"
        page = self._call("GET", path, params={"limit": PAGE, "order_by": "id"})
        return [(run["dag_run_id"], run["state"]) for run in page["dag_runs"]]

    def task_states(self, dag_id: str, run_id: str) -> list[TaskState]:
        """Return every task instance of a run, mapped ones included."""
        path = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances"
        found: list[TaskState] = []
        while True:
            page = self._call("GET", path, params={"limit": PAGE, "offset": len(found)})
            found += [
                TaskState(task["task_id"], task["map_index"], task["state"], task["try_number"])
                for task in page["task_instances"]
            ]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def task_log(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        """Return the log of all tries of one task instance, oldest first, tracebacks included."""
        base = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}"
        tries = self._call("GET", f"{base}/{map_index}/tries" if map_index >= 0 else f"{base}/tries")
        texts = []
        for number in sorted({one["try_number"] for one in tries["task_instances"]} - {0}):
            log = self._call(
                "GET", f"{base}/logs/{number}", params={"map_index": map_index, "full_content": True}
            )
            texts.append(f"--- try {number} ---\n" + "\n".join(_line(entry) for entry in log["content"]))
        return "\n".join(texts)

    def failure_report(self, dag_id: str, run_id: str) -> str:
        """Return the logs of the tasks that failed by themselves, not because of another one."""
        return "\n".join(
            f"=== {task} ===\n{self.task_log(dag_id, run_id, task.task_id, task.map_index)}"
            for task in self.task_states(dag_id, run_id)
            if task.state == "failed"
        )

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Any:
        """Return one XCom's value, as it lies in the database; a missing one is an ``AirflowRestError`` with status 404."""
        path = (
            f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}"
            f"/xcomEntries/{quote(key)}"
        )
        return self._call("GET", path, params={"map_index": map_index})["value"]

    def clear(
        self, dag_id: str, run_id: str, task_ids: Sequence[str | tuple[str, int]], *, downstream: bool = False
    ) -> None:
        """
        Clear task instances as a user does in the UI, so that they run again.

        A pair (task id, map index) means one instance of a mapped task.
        """
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "include_downstream": downstream,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self._call("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Mark a task instance as a user does in the UI: "success" or "failed"."""
        path = f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task_id)}/{map_index}"
        self._call("PATCH", path, json={"new_state": state})

    def dag_ids(self) -> set[str]:
        """Return the ids of the DAGs that are parsed, at most a hundred."""
        return {dag["dag_id"] for dag in self._call("GET", "/dags", params={"limit": PAGE})["dags"]}

    def import_errors(self) -> list[str]:
        """Return the errors of the DAG files that could not be imported, each with its file name."""
        page = self._call("GET", "/importErrors", params={"limit": PAGE})
        return [f"{error['filename']}: {error['stack_trace']}" for error in page["import_errors"]]

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        if self._token is None:
            self._token = self._fetch_token()
        answer = requests.request(
            method,
            f"{self.base_url}/api/v2{path}",
            headers={"Authorization": f"Bearer {self._token}", "Accept": "application/json"},
            timeout=REQUEST_TIMEOUT,
            **arguments,
        )
        return _decode(answer)

    def _fetch_token(self) -> str:
        if self._credentials is None:
            answer = requests.get(f"{self.base_url}/auth/token", timeout=REQUEST_TIMEOUT)
        else:
            name, password = self._credentials
            body = {"username": name, "password": password}
            answer = requests.post(f"{self.base_url}/auth/token", json=body, timeout=REQUEST_TIMEOUT)
        return str(_decode(answer)["access_token"])


def _decode(answer: requests.Response) -> Any:
    if answer.ok:
        return answer.json()
    path = answer.request.path_url
    raise AirflowRestError(
        f"{answer.request.method} {path}: {answer.status_code} {answer.text[:2000]}", answer.status_code
    )


def _line(entry: Mapping[str, Any] | str) -> str:
    if isinstance(entry, str):
        return entry
    parts = [str(entry[name]) for name in ("timestamp", "level", "event") if entry.get(name)]
    lines = [" ".join(parts)]
    for error in entry.get("error_detail") or ():
        lines += [
            f"  {frame['filename']}:{frame['lineno']} in {frame['name']}"
            for frame in error.get("frames") or ()
        ]
        lines.append(f"{error['exc_type']}: {error['exc_value']}")
    return "\n".join(lines)
