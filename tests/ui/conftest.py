"""The pages' application in Airflow's own, over a real wire, on a real metadata database; tasks run by ``dag.test()``."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import uvicorn
from starlette.routing import Mount

from airflow_stack.processes import await_condition
from tests.tasks.conftest import api, dag, metadata_database, run_dag, triggers_look_at_once  # noqa: F401
from tests.ui.auth import USERS

SECTION = "AIRFLOW__CORE__"


class Site:
    """Airflow's API server with the pages, and those who ask it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._tokens: dict[str, str] = {}

    def get(
        self, path: str, user: str | None = "admin", *, method: str = "GET", **how: Any
    ) -> requests.Response:
        headers = how.pop("headers", {})
        if user is not None:
            headers = {"Authorization": f"Bearer {self.token(user)}", **headers}
        return requests.request(
            method, f"{self.url}/laplas/{path}", headers=headers, timeout=30, allow_redirects=False, **how
        )

    def token(self, user: str) -> str:
        if user not in self._tokens:
            self._tokens[user] = _token(user)
        return self._tokens[user]


def _token(user: str) -> str:
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser  # noqa: PLC0415

    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role=USERS[user]))


@pytest.fixture(scope="session")
def site(metadata_database) -> Iterator[Site]:  # noqa: F811
    """Start Airflow's API server in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"{SECTION}AUTH_MANAGER", "tests.ui.auth.PickyAuthManager")
        patch.setenv(f"{SECTION}SIMPLE_AUTH_MANAGER_ALL_ADMINS", "False")
        patch.setenv(
            f"{SECTION}SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{name}:{role}" for name, role in USERS.items())
        )
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a" * 64)
        from airflow.api_fastapi.app import create_app, purge_cached_app  # noqa: PLC0415

        from airflow_provider_laplas.plugin import LaplasPlugin  # noqa: PLC0415

        purge_cached_app()
        root = create_app(apps="core")
        [ours] = LaplasPlugin.fastapi_apps
        if not any(isinstance(each, Mount) and each.path == ours["url_prefix"] for each in root.routes):
            # The checkout is on the path, and not installed.
            root.router.routes.insert(0, Mount(ours["url_prefix"], ours["app"]))
        server = uvicorn.Server(uvicorn.Config(root, host="127.0.0.1", port=0, log_level="warning"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        await_condition(lambda: server.started, timeout=60, what="the API server")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Site(f"http://127.0.0.1:{port}")
        server.should_exit = True
        thread.join()
        purge_cached_app()


def query(finished, task_id: str, map_index: int = -1, **more: Any) -> dict[str, Any]:
    """Return the parameters that name a task instance of a finished run."""
    return {
        "dag_id": finished.run.dag_id,
        "run_id": finished.run.run_id,
        "task_id": task_id,
        "map_index": map_index,
        **more,
    }


__all__ = ["SECTION", "Site", "api", "dag", "os", "query", "run_dag"]
