"""Running the server: in the foreground for the command line, in a thread for tests and demos."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import uvicorn

from airflow_provider_laplas.local.errors import SetupError

GRACE_SECONDS = 3


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to `host` and `port` (0: a free one), or raise SetupError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise SetupError(f"Cannot listen on {host}, port {port}: {error.strerror}") from None
    return bound


def url_of(bound: socket.socket) -> str:
    """Return the URL of a bound socket, without a path."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    def __init__(self, app: Any, on_ready: Callable[[], None]) -> None:
        # Uvicorn's access log holds query strings; the app logs its own line for each request.
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="on",
            ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def _run(server: _Server, bound: socket.socket) -> None:
    try:
        server.run(sockets=[bound])
    except SystemExit:
        # So uvicorn ends when the app does not start, even in a thread.
        if server.started:
            raise
    if not server.started:
        raise SetupError("The server did not start; the log says why")


def serve(app: Any, bound: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve `app` on a bound socket until the process is told to stop; `on_ready` is called once it answers.

    Raises SetupError if the app does not start.
    """
    _run(_Server(app, on_ready), bound)


@contextmanager
def serve_in_thread(app: Any, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `app` from a thread of this process and yield its URL (without a path) once it answers.

    Stops it on leaving. Raises SetupError if it does not start.
    """
    bound = bind(host, port)
    ready: Future[None] = Future()

    def run() -> None:
        try:
            _run(server, bound)
        except SetupError as error:
            ready.set_exception(error)

    server = _Server(app, lambda: ready.set_result(None))
    thread = threading.Thread(target=run, name="laplas-local", daemon=True)
    thread.start()
    try:
        ready.result()
        yield url_of(bound)
    finally:
        server.should_exit = True
        thread.join()
        bound.close()
