"""
A Laplas API that answers fast: the server of every benchmark, in a process of its own.

Jobs last a fixed time or one drawn from a range. Bodies are counted and thrown away, so it takes uploads of any size.
``/missing/v1/...`` answers 404 for a job that is not done, which is what HttpSensor waits with.
"""

import argparse
import asyncio
import json
import random
import time
import uuid
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit

from tests.fake_api import transcript_reply

try:
    from uvloop import run
except ImportError:
    from asyncio import run

STATUS = {200: b"200 OK", 201: b"201 Created", 404: b"404 Not Found", 429: b"429 Too Many Requests"}
DONE = json.dumps(transcript_reply()).encode()


class API:
    """
    Jobs, counters and an optional limit of requests a second.

    :param shortest: seconds that a job lasts at least
    :param longest: and at most
    :param limit: requests a second, beyond which the answer is 429; 0 for no limit
    """

    def __init__(self, shortest: float, longest: float, limit: float) -> None:
        self.shortest, self.longest, self.limit = shortest, longest, limit
        self.jobs: dict[str, float] = {}
        self.counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.gets = 0
        self.tokens, self.filled_at = limit, time.time()

    def create(self, shortest: float, longest: float) -> str:
        """Begin a job and return its id."""
        job = str(uuid.uuid4())
        self.jobs[job] = time.time() + random.uniform(shortest, longest)
        return job

    def answer(self, method: str, target: str) -> tuple[int, bytes]:
        """Return the status and the body."""
        if target.startswith(("/v1/stt", "/missing/")):
            return self._api(method, target)
        url = urlsplit(target)
        if url.path == "/jobs":
            query = {name: float(values[0]) for name, values in parse_qs(url.query).items()}
            jobs = [self.create(query["shortest"], query["longest"]) for _ in range(int(query["count"]))]
            return 201, json.dumps(jobs).encode()
        if url.path == "/finish":
            self.jobs = dict.fromkeys(self.jobs, time.time())
            return 200, b"{}"
        if url.path == "/gets":
            return 200, str(self.gets).encode()
        if url.path == "/stats":
            return 200, json.dumps({"jobs": self.jobs, "seconds": self.counts}).encode()
        return 404, b"{}"

    def _api(self, method: str, target: str) -> tuple[int, bytes]:
        now = time.time()
        counts = self.counts[int(now)]
        counts[method == "GET"] += 1
        if self.limit:
            self.tokens = min(self.limit, self.tokens + (now - self.filled_at) * self.limit)
            self.filled_at = now
            if self.tokens < 1:
                counts[2] += 1
                return 429, b'{"statusCode": 429, "message": "Too Many Requests"}'
            self.tokens -= 1
        if method == "POST":
            job = self.create(self.shortest, self.longest)
            return 201, b'{"generation_id": "%s", "status": "queued"}' % job.encode()
        self.gets += 1
        done_at = self.jobs.get(target.rsplit("/", 1)[1])
        if done_at is not None and done_at <= now:
            return 200, DONE
        if done_at is None or target.startswith("/missing/"):
            return 404, b'{"statusCode": 404, "message": "Generation not found"}'
        return 200, b'{"id": "%s", "status": "waiting"}' % target.rsplit("/", 1)[1].encode()


class Connection(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, api: API) -> None:
        self.api = api
        self.buffer = b""
        self.left = 0
        self.request: tuple[str, str] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Read heads, skip bodies, answer."""
        if self.left > len(data):
            self.left -= len(data)
            return
        if self.left:
            data, self.left = data[self.left :], 0
            self._answer()
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end].decode("latin-1"), self.buffer[end + 4 :]
            method, target, _ = head.split(" ", 2)
            self.request = method, target
            if method == "POST":
                self._expect_body(head.lower())
                if self.left:
                    return
            self._answer()

    def _expect_body(self, head: str) -> None:
        length = int(head.partition("content-length:")[2].split("\r\n", 1)[0] or 0)
        if "expect: 100" in head:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        there = min(length, len(self.buffer))
        self.buffer, self.left = self.buffer[there:], length - there

    def _answer(self) -> None:
        status, body = self.api.answer(*self.request)
        extra = b"Retry-After: 1\r\n" if status == 429 else b""
        self.transport.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
            % (STATUS[status], extra, len(body), body)
        )


async def serve(api: API, port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(api), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--shortest", type=float, default=0)
    parser.add_argument("--longest", type=float, default=0)
    parser.add_argument("--limit", type=float, default=0)
    given = parser.parse_args()
    run(serve(API(given.shortest, given.longest, given.limit), given.port))


if __name__ == "__main__":
    main()
