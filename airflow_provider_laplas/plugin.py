"""
The Airflow plugin: the tab "Transcript" of a task instance, and the page "Transcripts".

Every Airflow process imports this module, so it imports nothing that is not loaded already. The web application is loaded
by the first request that reaches it.
"""

import asyncio
import sys
from collections.abc import MutableMapping
from importlib import import_module
from typing import Any, ClassVar
from urllib.parse import urlsplit

from airflow.configuration import conf

PREFIX = "/laplas"
"""Where the application is mounted, below the path of ``[api] base_url``."""

_TASK = "dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}"


class LazyApp:
    """An ASGI application that is imported when the first request reaches it."""

    _app: Any = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            # In a thread: other requests do not wait for it.
            self._app = (await asyncio.to_thread(import_module, "airflow_provider_laplas.ui.app")).app
        await self._app(scope, receive, send)


def _plugin_class() -> Any:
    """Return Airflow's base class of plugins, of the plugin manager that this process has loaded."""
    # A task's process has the SDK's, all others have the core's.
    names = ("airflow.plugins_manager", "airflow.sdk.plugins_manager")
    return import_module(next((name for name in names if name in sys.modules), names[0])).AirflowPlugin


def _views() -> list[dict[str, Any]]:
    base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + PREFIX
    return [
        {
            "name": "Transcript",
            "href": f"{base}/page?{_TASK}",
            "destination": "task_instance",
            "url_route": "laplas-transcript",
        },
        {
            "name": "Transcripts",
            "href": f"{base}/search",
            "destination": "nav",
            "category": "browse",
            "url_route": "laplas-transcripts",
        },
    ]


_PLUGIN: Any = _plugin_class()
# Airflow 3.0 has no place for a page.
_HAS_VIEWS = hasattr(_PLUGIN, "external_views")


class LaplasPlugin(_PLUGIN):  # type: ignore[misc]  # Which class it is depends on the process.
    """What Airflow is told of the pages."""

    name = "laplas"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = (
        [{"name": "laplas", "app": LazyApp(), "url_prefix": PREFIX}] if _HAS_VIEWS else []
    )
    external_views: ClassVar[list[dict[str, Any]]] = _views() if _HAS_VIEWS else []
