"""
A proxy in front of an emulator that counts requests, and that can be told to fail.

Left alone it passes everything on, to the letter::

    with CountingProxy("http://127.0.0.1:5000") as proxy:
        proxy.count()                       # {"PUT": 1, "LIST": 2}, since the last reset()
        with proxy.answering(503): ...      # the outage of a storage
        with proxy.answering(403, "DELETE"): ...
        with proxy.hanging("PUT"): ...      # takes the connection and says nothing
"""

import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
        for _, _, over in self._rules:
            over.set()
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
    def answering(self, status, *kinds):
        """Answer requests of these kinds, or all, with an error, and do not pass them on."""
        rule = (status, frozenset(kinds), threading.Event())
        with self._lock:
            self._rules.append(rule)
        try:
            yield
        finally:
            with self._lock:
                self._rules.remove(rule)
            rule[2].set()

    def hanging(self, *kinds):
        """Take requests of these kinds, or all, and say nothing; at the end their connections are closed."""
        return self.answering(HANG, *kinds)

    def _rule_for(self, kind):
        with self._lock:
            return next((rule for rule in self._rules if not rule[1] or kind in rule[1]), None)

    def _note(self, request):
        with self._lock:
            self._requests.append(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


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
        rule = self.server.proxy._rule_for(self._kind())
        if not rule or rule[0] != HANG:
            super().handle_expect_100()
            self.wfile.flush()
        return True

    def _handle(self):
        proxy, kind = self.server.proxy, self._kind()
        rule = proxy._rule_for(kind)
        if rule and rule[0] == HANG:
            proxy._note(Request(kind, self.path, HANG))
            rule[2].wait()
            self.close_connection = True
            return
        body = self._read_body()
        status, reason, headers, content = (rule[0], None, [], b"") if rule else self._pass_on(body)
        # Before the answer, after which a test may look.
        proxy._note(Request(kind, self.path, status))
        with suppress(ConnectionError):
            self._answer(status, reason, headers, content)

    def _kind(self):
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        path = urlsplit(self.path).path
        if self.command == "GET" and ("list-type" in query or query.get("comp") == ["list"] or path.endswith("/o")):
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

    def _pass_on(self, body):
        upstream = self.server.proxy.upstream
        connection = HTTPConnection(upstream.hostname, upstream.port, timeout=UPSTREAM_SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    connection.putheader(name, value)
            if body or self.command in {"PUT", "POST", "PATCH"}:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.reason, response.getheaders(), response.read()
        finally:
            connection.close()

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
        self.wfile.write(content)
