"""A double of the page's server: the real page and a real recording, with answers that a test scripts."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests.paths import ROOT
from tests.ui.browser.samples import Answers

STATIC = ROOT / "airflow_provider_laplas" / "ui" / "static"
PREFIX = "/below/a/path"
"""Where Airflow is mounted: nothing of the page may take it to be the root."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self' https: http:; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

# The iframes of Airflow 3.1 and 3.2, and of 3.3.
SANDBOXES = {
    "old": "allow-scripts allow-same-origin allow-forms",
    "new": "allow-scripts allow-same-origin allow-forms allow-downloads",
}
_AROUND = """<!doctype html><html class="{theme}" lang="en"><head><title>Airflow</title></head><body style="margin:0">
<iframe title="Transcript" sandbox="{sandbox}" src="{src}" style="border:0;width:100%;height:100vh"></iframe></body></html>"""


@dataclass
class Double:
    """
    The double. Its ``tasks`` are the answers by task id, and may be changed at any time.

    :ivar asked: path and query of each request for data, in order
    :ivar search: answers the search route by its phrase and page
    """

    url: str = ""
    tasks: dict[str, Answers] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    search: Any = None

    def page(self, task_id: str, fragment: str = "", **query: str) -> str:
        """Return the address of a task's page."""
        further = "".join(f"&{name}={value}" for name, value in query.items())
        address = f"page?dag_id=calls&run_id=manual__1&task_id={task_id}&map_index=-1{further}"
        return f"{self.url}/laplas/{address}{fragment}"

    def around(self, task_id: str, fragment: str = "", theme: str = "light", sandbox: str = "new") -> str:
        """Return the address of a page like Airflow's, with the task's page in its iframe."""
        path = f"dags/calls/runs/manual__1/tasks/{task_id}/plugin/transcript"
        return f"{self.url}/{path}?theme={theme}&sandbox={sandbox}{fragment}"

    def count(self, route: str) -> int:
        """Return how often a route was asked."""
        return sum(path == route for path, _ in self.asked)


def _no(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)


def _json(answer: Any) -> Response:
    if isinstance(answer, int):
        return _no(answer, f"Status {answer}, in a sentence.")
    # Starlette's own would refuse lone surrogates, which escapes are able to hold.
    return Response(json.dumps(answer), media_type="application/json", headers={"Cache-Control": "no-cache"})


def _application(double: Double) -> Starlette:
    def html(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": CSP})

    def around(request: Request) -> Response:
        query = request.query_params
        sandbox = SANDBOXES[query["sandbox"]]
        src = double.page(request.path_params["task_id"])
        return HTMLResponse(
            _AROUND.format(theme=query["theme"], sandbox=sandbox, src=src.replace("&", "&amp;"))
        )

    def data(request: Request) -> Response:
        route = request.path_params["route"]
        query = dict(request.query_params)
        double.asked.append((route, query))
        if route == "search":
            return _json(double.search(query.get("q", ""), int(query.get("page", 0))))
        answers = double.tasks.get(query.get("task_id", ""))
        if answers is None:
            return _no(404, "There is no such task instance.")
        answer = answers.answer(route, query)
        if answer is None:
            return _no(404, f"There is no {route} of this task.")
        return _json(answer)

    def audio(request: Request) -> Response:
        double.asked.append(("audio", dict(request.query_params)))
        answers = double.tasks.get(request.query_params.get("task_id", ""))
        if answers is None or answers.recording is None:
            return _no(404, "The recording is no longer where it was.")
        return FileResponse(answers.recording, media_type="audio/mpeg")

    def download(request: Request) -> Response:
        name = f"transcript.{re.sub('[^a-z]', '', request.query_params['format'])}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return PlainTextResponse("what was said", headers=headers)

    routes = [
        Route("/laplas/page", html),
        Route("/laplas/search", html),
        Route("/laplas/api/audio", audio),
        Route("/laplas/api/download", download),
        Route("/laplas/api/{route}", data),
        Mount("/laplas/static", StaticFiles(directory=STATIC)),
        Route("/dags/calls/runs/manual__1/tasks/{task_id}/plugin/transcript", around),
    ]
    return Starlette(routes=[Mount(PREFIX, routes=routes)])


@contextlib.contextmanager
def running() -> Iterator[Double]:
    """Run a double on a free port until the block ends."""
    double = Double()
    server = uvicorn.Server(uvicorn.Config(_application(double), port=0, log_level="warning", lifespan="off"))
    ready = threading.Event()
    startup = server.startup

    async def started(sockets: Any = None) -> None:
        await startup(sockets)
        ready.set()

    server.startup = started  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    if not ready.wait(60):
        raise TimeoutError("The double did not start.")
    double.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}{PREFIX}"
    try:
        yield double
    finally:
        server.should_exit = True
        thread.join(30)
