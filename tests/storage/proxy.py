"""
A proxy in front of an emulator that counts requests, and that can be told to fail.

Left alone it passes everything on, to the letter::

    with CountingProxy("http://127.0.0.1:5000") as proxy:
        proxy.count()                       # {"PUT": 1, "LIST": 2}, since the last reset()
        with proxy.answering(503): ...      # the outage of a storage
        with proxy.answering(403, "DELETE"): ...
        with proxy.hanging("PUT"): ...      # takes the connection and says nothing
"""

import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

UPSTREAM_SECONDS = 30.0
HANG = 0
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}


@dataclass(frozen=True)
class Request:
    """One request: its kind, its path as it came, and what it was answered with (HANG: nothing)."""

    kind: str
    path: str
    status: int


@dataclass(eq=False)
class _Rule:
    status: int
    kinds: frozenset[str]
    left: int | None
    over: threading.Event = field(default_factory=threading.Event)


class CountingProxy:
    """
    The proxy, in a thread; a context manager.

    :param upstream: the emulator's URL
    :ivar url: its own
    """

    def __init__(self, upstream):
        self.upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        self._requests = []
        self._rules = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        for rule in self._rules:
            rule.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def requests(self):
        """What has come since the last reset, those that hang included."""
        with self._lock:
            return list(self._requests)

    def count(self):
        """How many of each kind: a method of HTTP, LIST, COPY or DELETE-MANY."""
        return dict(Counter(request.kind for request in self.requests))

    def reset(self):
        with self._lock:
            self._requests.clear()

    @contextmanager
    def answering(self, status, *kinds, times=None):
        """Answer requests of these kinds, or all, with an error, so many times or all; they are not passed on."""
        rule = _Rule(status, frozenset(kinds), times)
        with self._lock:
            self._rules.append(rule)
        try:
            yield
        finally:
            with self._lock:
                self._rules.remove(rule)
            rule.over.set()

    def hanging(self, *kinds):
        """Take requests of these kinds, or all, and say nothing; at the end their connections are closed."""
        return self.answering(HANG, *kinds)

    def forward(self, method, path, headers, body):
        """Pass a request on, and return the status, reason, headers and content of the answer."""
        connection = HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=UPSTREAM_SECONDS)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    connection.putheader(name, value)
            if body or method in {"PUT", "POST", "PATCH"}:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.reason, response.getheaders(), response.read()
        finally:
            connection.close()

    def rule_for(self, kind):
        """Return what is to be done with a request of that kind: None to pass it on."""
        with self._lock:
            return next(
                (rule for rule in self._rules if rule.left != 0 and kind in (rule.kinds or {kind})), None
            )

    def note(self, request, rule):
        with self._lock:
            self._requests.append(request)
            if rule and rule.left:
                rule.left -= 1


def _error(status):
    """Say it as S3 and Azure do."""
    code = {403: "AccessDenied", 503: "SlowDown"}.get(status, "InternalError")
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        # A client that goes away is none of a test's business.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        # A storage that hangs does not say "go on" either.
        rule = self.server.proxy.rule_for(self._kind())
        if not rule or rule.status != HANG:
            super().handle_expect_100()
            self.wfile.flush()
        return True

    def _handle(self):
        proxy, kind = self.server.proxy, self._kind()
        rule = proxy.rule_for(kind)
        if rule and rule.status == HANG:
            proxy.note(Request(kind, self.path, HANG), rule)
            rule.over.wait()
            self.close_connection = True
            return
        body = self._read_body()
        if rule:
            status, reason, headers, content = (
                rule.status,
                None,
                [("Content-Type", "application/xml")],
                _error(rule.status),
            )
        else:
            status, reason, headers, content = proxy.forward(
                self.command, self.path, self.headers.items(), body
            )
        # Before the answer, after which a test may look.
        proxy.note(Request(kind, self.path, status), rule)
        self._answer(status, reason, headers, content)

    def _kind(self):
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        path = urlsplit(self.path).path
        if self.command == "GET" and (
            "list-type" in query or query.get("comp") == ["list"] or path.endswith("/o")
        ):
            return "LIST"
        if self.command == "PUT" and "x-amz-copy-source" in self.headers:
            return "COPY"
        return "DELETE-MANY" if self.command == "POST" and "delete" in query else self.command

    def _read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _answer(self, status, reason, headers, content):
        self.send_response_only(status, reason)
        announced = False
        for name, value in headers:
            announced = announced or name.lower() == "content-length"
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if not announced:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
