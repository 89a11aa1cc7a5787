"""Runs the server: in the foreground for the command line, in a thread for tests and demos."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack, contextmanager

import uvicorn
from fastapi import FastAPI

from airflow_provider_laplas.local.connections import CONNECTIONS, Connection
from airflow_provider_laplas.local.errors import SetupError

GRACE_SECONDS = 3


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host` and `port` (0 for a free one), or raise SetupError."""
    with ExitStack() as stack:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            bound = stack.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError as error:
            raise SetupError(f"Cannot listen on {host}, port {port}: {error.strerror}") from None
        stack.pop_all()
    return bound


def url_of(bound: socket.socket) -> str:
    """Return the URL of a bound socket, without a path."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A Uvicorn server that raises lifespan errors of the app, which Uvicorn itself would only log."""

    def __init__(self, app: FastAPI, on_ready: Callable[[], None]) -> None:
        # Uvicorn's access log contains query strings; the app logs each request itself.
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="off",
            ws="none",
            http=Connection,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._app.router.lifespan_context(self._app))
            await super().startup(sockets)
            self._on_ready()
            self._lifespan = stack.pop_all()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        async with self._lifespan:
            await super().shutdown(sockets)


def serve(app: FastAPI, bound: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve `app` on a bound socket until the process is told to stop; `on_ready` is called once it is up.

    Raises the error that keeps the app from starting, such as SetupError.
    """
    _Server(app, on_ready).run(sockets=[bound])


@contextmanager
def serve_in_thread(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `app` in a thread of this process, and yield its URL (without a path) once it is up.

    Stops it on exit. Raises the error that keeps it from starting, such as SetupError.
    """
    bound = bind(host, port)
    ready: Future[None] = Future()

    def run() -> None:
        try:
            server.run(sockets=[bound])
        except BaseException as error:
            if ready.done():
                raise
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
