"""
A Laplas API for tests that does what a healthy server never would, over a real wire.

It speaks HTTP on raw sockets, in a thread, on a free loopback port. Left alone it is healthy: every submission gets
an id, and every id a status. A script says otherwise, request by request::

    with FakeAPI() as api:
        api.script("POST", reset_after_body())        # the next POST
        api.script("GET", reply(503), reply(429))     # the next two GETs
"""

import asyncio
import contextlib
import itertools
import json
import socket
import ssl
import struct
import threading
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Self

KEY = "test-key-0123456789"

WORDS = ("ask", "not", "what", "your", "country", "can", "do")
TEXT = " ".join(WORDS)


def transcript_reply(text: str = TEXT, **extra: Any) -> dict[str, Any]:
    """A completed reply of the first shape."""
    words = [
        {"word": word, "start": n * 0.5, "end": n * 0.5 + 0.4, "confidence": 0.9, "punctuated_word": word}
        for n, word in enumerate(text.split())
    ]
    alternative = {"transcript": text, "confidence": 0.9, "words": words}
    return {
        "status": "completed",
        "result": {
            "metadata": {
                "duration": len(words) / 2,
                "channels": 1,
                "models": ["m1"],
                "model_info": {"m1": {"name": "whisper-medium", "version": "1", "arch": "whisper"}},
            },
            "results": {"channels": [{"alternatives": [alternative]}]},
        },
        **extra,
    }


def error_body(status: int, message: Any = "refused", path: str = "/v1/stt") -> dict[str, Any]:
    return {
        "message": message,
        "path": path,
        "requestId": f"req-{status}",
        "statusCode": status,
        "timestamp": "2026-01-01T00:00:00.000Z",
    }


@dataclass
class Request:
    """One request; its body is read only when somebody asks for it."""

    method: str
    path: str
    headers: dict[str, str]
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)
    body: bytes = b""

    async def read_body(self) -> bytes:
        if not self.body:
            self.body = await self.reader.readexactly(int(self.headers.get("content-length", 0)))
        return self.body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[["FakeAPI", Request], Awaitable[None]]


def reply(
    status: int = 200,
    body: Any = None,
    *,
    headers: Iterable[tuple[str, str]] = (),
    content_type: str = "application/json",
    length: int | None = None,
) -> Behaviour:
    """Answer with a status and a body (an object is written as JSON); ``length`` lies about its size."""
    if body is None:
        body = error_body(status) if status >= 400 else {}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def act(api: "FakeAPI", request: Request) -> None:
        await request.read_body()
        lines = [
            f"HTTP/1.1 {status} Scripted",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(raw) if length is None else length}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        request.writer.write("\r\n".join([*lines, "", ""]).encode() + raw)
        await request.writer.drain()
        if length is not None and length != len(raw):
            request.writer.close()

    return act


def html(status: int) -> Behaviour:
    """Answer as a gateway does."""
    return reply(status, b"<html><body><h1>Bad gateway</h1></body></html>", content_type="text/html")


def truncated(body: Any) -> Behaviour:
    """Announce the whole body, send half of it, and close."""
    raw = json.dumps(body).encode()
    return reply(200, raw[: len(raw) // 2], length=len(raw))


def junk(size: int) -> Behaviour:
    """Answer with so many bytes of nothing."""
    return reply(200, b"x" * size, content_type="application/octet-stream")


def reset_before_body() -> Behaviour:
    """Cut the connection (RST) once the headers have come."""

    async def act(api: "FakeAPI", request: Request) -> None:
        _reset(request.writer)

    return act


def reset_in_body(size: int) -> Behaviour:
    """Cut the connection (RST) when so many bytes of the body have come."""

    async def act(api: "FakeAPI", request: Request) -> None:
        await request.reader.readexactly(size)
        _reset(request.writer)

    return act


def stall(seconds: float) -> Behaviour:
    """Take nothing of the body for a while; then be healthy."""

    async def act(api: "FakeAPI", request: Request) -> None:
        await asyncio.sleep(seconds)
        await answer_healthily(api, request)

    return act


def stop_reading(size: int = 0, first: Behaviour | None = None) -> Behaviour:
    """Take so many bytes of the body, and no more; the connection stays open. ``first`` is what is answered before."""

    async def act(api: "FakeAPI", request: Request) -> None:
        await request.reader.readexactly(size)
        if first is not None:
            await first(api, replace(request, body=b"not read"))
        # Nothing tells whoever does not read that the client has left.
        await asyncio.Event().wait()

    return act


def read_slowly(size: int, pause: float) -> Behaviour:
    """Take the body so many bytes at a time, with pauses in seconds; then be healthy."""

    async def act(api: "FakeAPI", request: Request) -> None:
        left = int(request.headers["content-length"])
        while left:
            part = await request.reader.readexactly(min(size, left))
            left -= len(part)
            await asyncio.sleep(pause)
        await answer_healthily(api, replace(request, body=b"read"))

    return act


async def accept(api: "FakeAPI", request: Request) -> None:
    """Take the whole request, and create what it asks for."""
    await request.read_body()
    if request.method == "POST":
        api.create()


def reset_after_body() -> Behaviour:
    """Accept a request, and cut the connection without an answer."""

    async def act(api: "FakeAPI", request: Request) -> None:
        await accept(api, request)
        _reset(request.writer)

    return act


def hang() -> Behaviour:
    """Accept a request, and never answer."""

    async def act(api: "FakeAPI", request: Request) -> None:
        await accept(api, request)
        # Until the client gives up.
        await request.reader.read()

    return act


def drip(body: Any, *, pause: float = 0.05) -> Behaviour:
    """Answer one byte at a time, without end as far as a client can tell."""
    raw = json.dumps(body).encode()

    async def act(api: "FakeAPI", request: Request) -> None:
        await request.read_body()
        request.writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(raw)}\r\n\r\n".encode())
        for byte in raw:
            request.writer.write(bytes([byte]))
            await request.writer.drain()
            await asyncio.sleep(pause)

    return act


def drip_head(head: bytes, then: bytes = b"", *, pause: float = 0.05) -> Behaviour:
    """Accept a request, and begin an answer that goes on with the same bytes, one at a time, for ever."""

    async def act(api: "FakeAPI", request: Request) -> None:
        await accept(api, request)
        request.writer.write(head)
        for byte in itertools.cycle(then):
            request.writer.write(bytes([byte]))
            await request.writer.drain()
            await asyncio.sleep(pause)

    return act


def drip_headers() -> Behaviour:
    """Answer with one header that never ends."""
    return drip_head(b"HTTP/1.1 200 OK\r\nX-Header: ", b"a")


def drip_interim_responses() -> Behaviour:
    """Say that the request may go on, again and again, and never answer."""
    return drip_head(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.005)


def drip_chunk_sizes() -> Behaviour:
    """Answer in chunks, the first of which never begins."""
    return drip_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=", b"a")


def drip_until_closed() -> Behaviour:
    """Answer with a body that lasts until the connection ends, which it never does."""
    return drip_head(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" ")


async def answer_healthily(api: "FakeAPI", request: Request) -> None:
    await request.read_body()
    if request.headers.get("authorization") != f"Bearer {api.key}":
        behaviour = reply(401, error_body(401, "Unauthorized"))
    elif request.method == "POST" and request.path == "/v1/stt/create":
        behaviour = reply(201, {"generation_id": api.create(), "status": "queued"})
    elif request.method == "POST" and request.path == "/v1/stt":
        behaviour = reply(201, transcript_reply()["result"])
    elif request.method == "GET" and request.path.startswith("/v1/stt/"):
        behaviour = api.poll(request.path.rsplit("/", 1)[1])
    else:
        behaviour = reply(404, error_body(404, "Not Found"))
    await behaviour(api, request)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class FakeAPI:
    """The server; see the module's docstring."""

    def __init__(
        self, *, key: str = KEY, polls_until_done: int = 2, tls: ssl.SSLContext | None = None
    ) -> None:
        self.key = key
        self._tls = tls
        self.polls_until_done = polls_until_done
        self.requests: list[Request] = []
        self.generations: dict[str, int] = {}
        self.replies: dict[str, dict[str, Any]] = {}
        self.default_reply = transcript_reply()
        self.forget_when_done = False
        self._scripts: dict[str, deque[Behaviour]] = {"POST": deque(), "GET": deque(), "CONNECT": deque()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self) -> None:
        """Listen; on the same port as before after a :meth:`stop`."""

        async def listen() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]

        asyncio.run_coroutine_threadsafe(listen(), self._loop).result(10)

    def stop(self) -> None:
        """Stop listening and cut every connection; connecting is refused from now on."""

        async def close() -> None:
            if self._server:
                self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            pending = asyncio.all_tasks() - {asyncio.current_task()}
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)

    @property
    def open_connections(self) -> int:
        """How many connections have not been closed by either side."""
        return len(self._writers)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def connection(self, **extra: Any) -> str:
        """An Airflow connection to it, as the value of an ``AIRFLOW_CONN_`` variable."""
        return json.dumps({"conn_type": "laplas", "host": self.url, "password": self.key, "extra": extra})

    def script(self, method: str, *behaviours: Behaviour) -> None:
        """Say how the next requests of this method are answered, one each."""
        self._scripts[method].extend(behaviours)

    def create(self) -> str:
        """Create a generation, as a submission does."""
        generation_id = str(uuid.uuid4())
        self.generations[generation_id] = 0
        return generation_id

    def complete(self, generation_id: str, body: dict[str, Any] | None = None) -> None:
        """Have a generation be done, with this reply."""
        self.generations[generation_id] = self.polls_until_done
        self.replies[generation_id] = body or transcript_reply()

    def forget(self, generation_id: str) -> None:
        """Let a generation expire."""
        self.generations.pop(generation_id, None)

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.requests)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                method, path, _ = first.split(" ")
                headers = {
                    name.strip().lower(): value.strip()
                    for name, value in (line.split(":", 1) for line in lines)
                }
                request = Request(method, path, headers, reader, writer)
                self.requests.append(request)
                script = self._scripts[method]
                behave = script.popleft() if script else answer_healthily
                await behave(self, request)
                if writer.is_closing():
                    break
        self._writers.discard(writer)
        writer.close()

    def poll(self, generation_id: str) -> Behaviour:
        if generation_id not in self.generations:
            return reply(404, error_body(404, "Generation not found"))
        self.generations[generation_id] += 1
        polls = self.generations[generation_id]
        if polls > self.polls_until_done:
            if self.forget_when_done:
                self.forget(generation_id)
            return reply(200, self.replies.get(generation_id) or self.default_reply)
        return reply(200, {"id": generation_id, "status": "waiting" if polls == 1 else "active"})


async def until_closed(api: FakeAPI) -> None:
    """Wait until whoever talked to the server has closed every connection."""
    async with asyncio.timeout(10):
        while api.open_connections:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
