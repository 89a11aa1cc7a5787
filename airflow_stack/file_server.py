"""One file over http on the loopback address, as a recording on the web would be."""

import mimetypes
import shutil
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote


class FileServer:
    """
    Serve one file from a thread of this process, on a free port; a context manager.

    :ivar url: where the file is; every other path is 404
    """

    def __init__(self, file: Path) -> None:
        path = "/" + quote(file.name)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(file, path))
        self._thread = threading.Thread(target=self._server.serve_forever, name="file-server", daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(file: Path, path: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Send the file."""
            if self._send_head():
                with file.open("rb") as content:
                    shutil.copyfileobj(content, self.wfile)

        def do_HEAD(self) -> None:
            """Send its size and type only."""
            self._send_head()

        def _send_head(self) -> bool:
            if self.path != path:
                self.send_error(HTTPStatus.NOT_FOUND)
                return False
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", mimetypes.guess_type(file.name)[0] or "application/octet-stream")
            self.send_header("Content-Length", str(file.stat().st_size))
            self.end_headers()
            return True

        def log_message(self, *arguments: Any) -> None:
            """Stay silent: the terminal belongs to whoever serves the file."""

    return Handler
