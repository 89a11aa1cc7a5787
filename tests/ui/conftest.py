"""The pages' application in Airflow's own, over a real wire, on a real metadata database; tasks run by ``dag.test()``."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from airflow.models.xcom import XComModel
from airflow.sdk import DAG, task
from airflow.utils.session import create_session
from sqlalchemy import select
from starlette.routing import Mount

from airflow_provider_laplas import triggers
from airflow_provider_laplas.decorators import transcribe_task
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeBatchOperator, TranscribeOperator
from airflow_provider_laplas.plugin import LaplasPlugin
from airflow_provider_laplas.results import TaskKey
from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.ui import server
from airflow_stack.processes import await_condition
from tests.fake_api import FakeAPI, error_body, reply, transcript_reply
from tests.paths import JFK_MP3
from tests.patience import PATIENCE
from tests.tasks.conftest import Finished, Runner, metadata_database
from tests.ui.auth import NO_XCOM, PRIVATE, USERS

__all__ = ["metadata_database"]

URL = "https://example.com/talk.mp3"
SAID = "nobody else may read the quick brown fox"


class Site:
    """Airflow's API server with the pages, and those who ask it."""

    def __init__(self, url: str, token: Callable[[str], str]) -> None:
        self.url = url
        self._token = token

    def get(
        self, path: str, user: str | None = "admin", *, method: str = "GET", **how: Any
    ) -> requests.Response:
        """Ask for a path as a user; as nobody for None."""
        headers = how.pop("headers", {})
        if user is not None:
            headers = {"Authorization": f"Bearer {self._token(user)}", **headers}
        return requests.request(
            method,
            f"{self.url}/laplas/{path}",
            headers=headers,
            timeout=PATIENCE,
            allow_redirects=False,
            **how,
        )


def _token(user: str) -> str:
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser  # noqa: PLC0415

    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role=USERS[user]))


def settings_of_users() -> dict[str, str]:
    """Return the environment of an API server with our users, of whom one may not read all DAGs."""
    return {
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.ui.auth.PickyAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in USERS.items()
        ),
    }


@pytest.fixture(scope="session")
def site(metadata_database) -> Iterator[Site]:
    """Start Airflow's API server in this process."""
    from airflow.api_fastapi.app import create_app, purge_cached_app  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings_of_users().items():
            patch.setenv(name, value)
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a" * 64)
        purge_cached_app()
        root = create_app(apps="core")
        [ours] = LaplasPlugin.fastapi_apps
        # A checkout may be on the path without being installed, and Airflow has a route for everything, which is the last.
        root.router.routes.insert(0, Mount(ours["url_prefix"], ours["app"]))
        # It would write a line for each request.
        root.user_middleware = [
            each for each in root.user_middleware if each.cls.__name__ != "HttpAccessLogMiddleware"
        ]
        running = uvicorn.Server(uvicorn.Config(root, host="127.0.0.1", port=0, log_level="warning"))
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        await_condition(lambda: running.started, what="the API server")
        port = running.servers[0].sockets[0].getsockname()[1]
        yield Site(f"http://127.0.0.1:{port}", _token)
        running.should_exit = True
        thread.join()
        purge_cached_app()


@pytest.fixture(scope="session")
def fake_api() -> Iterator[FakeAPI]:
    with FakeAPI(polls_until_done=1) as api, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", api.connection(price_per_minute=0.6))
        patch.setattr(triggers, "FIRST_POLL", -2.0)
        api.default_reply = transcript_reply(SAID)
        yield api


@dataclass(frozen=True)
class World:
    """
    Tasks that have run.

    :ivar folder: of everything that they read and write
    """

    runs: dict[str, Finished]
    folder: Path

    def query(self, dag_id: str, task_id: str, map_index: int = -1, **more: Any) -> dict[str, Any]:
        """Return the parameters that name a task instance."""
        return asdict(self.key(dag_id, task_id, map_index)) | more

    def key(self, dag_id: str, task_id: str, map_index: int = -1) -> TaskKey:
        return TaskKey(dag_id, self.runs[dag_id].run.run_id, task_id, map_index)

    def instance(self, dag_id: str, task_id: str) -> Any:
        with create_session() as session:
            return server.find_instance(session, self.key(dag_id, task_id))

    def xcom(self, dag_id: str, task_id: str, key: str = "return_value") -> Any:
        return self.runs[dag_id].xcom(task_id, key)


def _everything(folder: Path, out: Path) -> None:
    """Have one task of each kind in a DAG."""
    common = {"poke_interval": 1, "defer_after": 0}
    recording = folder / "talk.mp3"
    TranscribeOperator(task_id="file", audio=str(recording), results_path=str(out / "single"), **common)
    TranscribeOperator(task_id="xcom", audio=f"{URL}?X-Amz-Signature=abcdef0123456789", **common)
    TranscribeOperator(
        task_id="doubted",
        audio=URL,
        results_path=str(out / "single"),
        quality={"low_confidence": "warn", "min_confidence": 0.99},
        **common,
    )
    submit = SubmitSTTOperator(task_id="submit", audio=URL)
    STTCompletionSensor(
        task_id="sensor",
        generation_id=submit.output,
        source=str(recording),
        results_path=str(out / "single"),
        **common,
    )
    TranscribeBatchOperator(
        task_id="batch", audio=str(folder / "inbox"), results_path=str(out / "batch"), poke_interval=1
    )

    @transcribe_task(results_path=str(out / "decorated"), poke_interval=1)
    def decorated():
        return [URL, f"{URL}?second=1"]

    decorated()

    @task
    def other():
        return {"result": str(out / "single" / "other.json")}

    other()


@pytest.fixture(scope="session")
def world(site, fake_api, tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    (folder / "inbox" / "deep").mkdir(parents=True)
    for name in ("talk.mp3", "inbox/a.mp3", "inbox/deep/b.mp3"):
        (folder / name).write_bytes(JFK_MP3.read_bytes())
    run, runs = Runner(), {}
    for name in ("public", PRIVATE, NO_XCOM):
        with DAG(name, schedule=None) as dag:
            _everything(folder, folder / "out" / name)
        runs[name] = run(dag)
    with DAG("failing", schedule=None) as dag:
        TranscribeOperator(task_id="refused", audio=URL)
    fake_api.script("POST", reply(401, error_body(401)))
    runs["failing"] = run(dag)
    with DAG("doubting", schedule=None) as dag:
        for action in ("fail", "skip"):
            quality = {"low_confidence": action, "min_confidence": 0.99}
            TranscribeOperator(
                task_id=action,
                audio=URL,
                results_path=str(folder / "doubting"),
                quality=quality,
                poke_interval=1,
            )
    runs["doubting"] = run(dag)
    return World(runs, folder)


@pytest.fixture
def xcom(world):
    """Return a function that changes an XCom, as whoever may edit them can, until the test is over."""
    restore = []

    def change(dag_id, task_id, key, value):
        at = world.key(dag_id, task_id)
        where = (
            XComModel.dag_id == at.dag_id,
            XComModel.run_id == at.run_id,
            XComModel.task_id == at.task_id,
            XComModel.key == key,
        )
        with create_session() as session:
            row = session.scalar(select(XComModel).where(*where))
            restore.append((where, row.value))
            row.value = value

    yield change
    for where, value in reversed(restore):
        with create_session() as session:
            session.scalar(select(XComModel).where(*where)).value = value


@pytest.fixture
def rendered(world):
    """Return a function that changes rendered fields, as a template's value would, until the test is over."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields as Fields  # noqa: PLC0415

    restore = []

    def row(session, at):
        return session.scalar(
            select(Fields).where(
                Fields.dag_id == at.dag_id, Fields.run_id == at.run_id, Fields.task_id == at.task_id
            )
        )

    def change(dag_id, task_id, **fields):
        at = world.key(dag_id, task_id)
        with create_session() as session:
            found = row(session, at)
            restore.append((at, dict(found.rendered_fields)))
            found.rendered_fields = {**found.rendered_fields, **fields}

    yield change
    for at, fields in reversed(restore):
        with create_session() as session:
            row(session, at).rendered_fields = fields
