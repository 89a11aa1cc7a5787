"""
One HTTP exchange, over requests or aiohttp.

There are no retries here. A transport error says whether the server can have received the whole request.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiohttp
import requests
import urllib3
from asgiref.sync import sync_to_async
from requests.auth import AuthBase
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from airflow_provider_laplas.api.calls import Call
from airflow_provider_laplas.api.responses import Response
from airflow_provider_laplas.client.deadlines import Adapter, Deadline, Watchdog, ended_by
from airflow_provider_laplas.client.multipart import Body, BodyError, make_body
from airflow_provider_laplas.client.settings import ConnectionSettings
from airflow_provider_laplas.errors import (
    LaplasConfigurationError,
    LaplasError,
    LaplasMalformedReplyError,
    LaplasTransportError,
)
from airflow_provider_laplas.known_secrets import Secrets
from airflow_provider_laplas.redaction import redact

_CHUNK = 64 * 1024


class BearerAuth(AuthBase):
    """Bearer authentication for requests."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class RequestSettings:
    """
    What all requests of one client share, derived once from its settings.

    The proxy and CA bundle of the settings take precedence over the environment's. May block on reading a CA file.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self.base_url = settings.base_url
        self.headers = {"Authorization": f"Bearer {settings.api_key}", "Accept": "application/json"}
        environment = select_proxy(self.base_url, get_environ_proxies(self.base_url))
        self.proxy: str | None = settings.proxy or environment
        proxy = self.proxy or ""
        self.secrets = Secrets([settings.api_key], words=[proxy] if proxy else []) + Secrets.of_url(proxy)
        self.verify: bool | str = settings.verify
        if settings.verify is True:
            self.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        self.ssl = self.verify if isinstance(self.verify, bool) else _ssl_context(self.verify)
        connect = settings.connect_timeout
        # aiohttp ends a poll by itself, which saves a timer for each.
        self.poll_timeouts = aiohttp.ClientTimeout(
            total=connect + settings.timeout, sock_connect=connect, sock_read=settings.timeout
        )
        self.submit_timeouts = aiohttp.ClientTimeout(total=None, sock_connect=connect)

    def session(self) -> requests.Session:
        """Return a new blocking session."""
        session = requests.Session()
        # Otherwise .netrc would override the key, and the environment the connection's settings.
        session.trust_env = False
        session.auth = BearerAuth(self.settings.api_key)
        session.verify = self.verify
        if self.proxy:
            session.proxies = {"http": self.proxy, "https": self.proxy}
        session.headers["Accept"] = "application/json"
        # As in the HTTP provider: otherwise firewalls and NAT may drop a connection during a long wait for a response.
        adapter = Adapter(idle=120, count=20, interval=30)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session

    def deadline(self, call: Call[Any], body: Body | None) -> Deadline:
        """Return the deadline of an exchange that begins now."""
        return Deadline(
            body,
            connect=self.settings.connect_timeout,
            reply=call.timeout or self.settings.timeout,
            rate=self.settings.min_upload_bytes_per_second,
        )


def exchange(session: requests.Session, call: Call[Any], using: RequestSettings) -> Response:
    """
    Send a call over requests and return the whole answer.

    :raises LaplasTransportError: no answer came
    :raises LaplasMalformedReplyError: the answer is larger than the connection allows
    """
    body = make_body(call) if call.submits else None
    try:
        with _transport_errors(call, body, using):
            return _exchange(session, call, using, body)
    finally:
        if body:
            body.close()


def _exchange(
    session: requests.Session, call: Call[Any], using: RequestSettings, body: Body | None
) -> Response:
    with (
        Watchdog(using.deadline(call, body)),
        session.request(
            call.method,
            using.base_url + call.path,
            data=body,
            headers={"Content-Type": body.content_type} if body else None,
            # Everything else is the watchdog's.
            timeout=(using.settings.connect_timeout, None),
            allow_redirects=False,
            stream=True,
        ) as answer,
    ):
        content = bytearray()
        # Not iter_content, which blocks until a whole chunk is there.
        while chunk := answer.raw.read1(_CHUNK, decode_content=True):
            content += chunk
            _check_size(content, call, using, answer.status_code)
        return Response(answer.status_code, lower_names(answer.headers), bytes(content))


_CLOSING = 5.0
"""Seconds to wait until an upload's file is closed."""

_READERS = ThreadPoolExecutor(64, thread_name_prefix="laplas-upload")
"""Read the audio of uploads. Not the event loop's own threads: a storage that hangs would hold up its name look-ups, too."""


async def aexchange(session: aiohttp.ClientSession, call: Call[Any], using: RequestSettings) -> Response:
    """
    Send a call over aiohttp and return the whole answer.

    :raises LaplasTransportError: no answer came
    :raises LaplasMalformedReplyError: the answer is larger than the connection allows
    """
    if not call.submits:
        with _transport_errors(call, None, using):
            return await _aexchange(session, call, using)
    # Object storage may look up an Airflow connection, which a plain thread cannot do while an event loop runs.
    make = sync_to_async(make_body, thread_sensitive=False, executor=_READERS) if call.upload else None
    body = await make(call) if make else make_body(call)
    try:
        with _transport_errors(call, body, using):
            async with ended_by(using.deadline(call, body)):
                return await _aexchange(session, call, using, body)
    finally:
        if call.upload:
            # A read that hangs holds the file: then it is closed whenever the read ends.
            closed = asyncio.get_running_loop().run_in_executor(_READERS, body.close)
            await asyncio.wait([closed], timeout=_CLOSING)


async def _aexchange(
    session: aiohttp.ClientSession, call: Call[Any], using: RequestSettings, body: Body | None = None
) -> Response:
    headers = using.headers
    if body:
        headers = headers | {"Content-Type": body.content_type, "Content-Length": str(body.len)}
    async with session.request(
        call.method,
        # Already quoted: yarl would undo some of it.
        URL(using.base_url + call.path, encoded=True),
        data=_pieces(body, call) if body else None,
        headers=headers,
        timeout=using.submit_timeouts if body else using.poll_timeouts,
        allow_redirects=False,
        ssl=using.ssl,
        proxy=using.proxy,
    ) as answer:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            _check_size(content, call, using, answer.status)
        return Response(answer.status, lower_names(answer.headers), bytes(content))


async def _pieces(body: Body, call: Call[Any]) -> AsyncIterator[bytes]:
    if call.upload is None:
        for piece in body:
            yield piece
    else:
        loop = asyncio.get_running_loop()
        while piece := await loop.run_in_executor(_READERS, body.next_piece):
            yield piece


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with lower-case names."""
    return {name.lower(): value for name, value in headers.items()}


_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
    # Of a proxy's password that no header can hold.
    UnicodeError,
)


@contextmanager
def _transport_errors(call: Call[Any], body: Body | None, using: RequestSettings) -> Iterator[None]:
    try:
        yield
    except LaplasError:
        raise
    except (*_ERRORS, BodyError) as error:
        if body and body.failure:
            raise body.failure from None
        # The last piece may have left though the library has not said so yet.
        sent = body.handed_over >= body.len if body else True
        about = f" for generation {call.generation_id}" if call.generation_id else ""
        what = f"No answer came{about}" if sent else "The API could not be reached"
        cause = _cause(error, using.secrets + call.secrets)
        hint = (
            " The host does not speak TLS: should it be http:// instead of https://?"
            if "WRONG_VERSION" in cause
            else ""
        )
        if not sent:
            hint += " Nothing was submitted; check the connection's host and the network."
        raise LaplasTransportError(
            f"{what}: {cause}.{hint}", sent=sent, cause=cause, generation_id=call.generation_id
        ) from None


def _cause(error: BaseException, secrets: Secrets) -> str:
    """Return the cause on one line. urllib3 wraps the helpful reason in two other errors."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    shown = reason if isinstance(reason, BaseException) else error
    return redact(f"{type(shown).__name__}: {shown}", secrets=secrets).rstrip(".: ")


def _check_size(content: bytearray, call: Call[Any], using: RequestSettings, status: int) -> None:
    limit = using.settings.max_reply_bytes
    if len(content) <= limit:
        return
    if call.submits:
        raise LaplasMalformedReplyError(f"The reply is larger than {limit} bytes.", status=status)
    # Not retried: the reply would be just as large.
    raise LaplasConfigurationError(
        f"The reply for generation {call.generation_id} is larger than {limit} bytes. Raise `max_reply_bytes` in the "
        "connection's extra and clear the task, within the hour for which the API keeps the reply.",
        generation_id=call.generation_id,
    )


def _ssl_context(bundle: str) -> ssl.SSLContext:
    try:
        return _loaded(bundle, Path(bundle).stat().st_mtime_ns)
    except OSError as error:
        raise LaplasConfigurationError(
            f"The CA bundle cannot be read: {redact(str(error))}. It is set by the connection's extra `verify` or by "
            "REQUESTS_CA_BUNDLE."
        ) from None


# It takes some 30 ms, for each client that a process makes.
@lru_cache(maxsize=8)
def _loaded(bundle: str, changed_at: int) -> ssl.SSLContext:  # noqa: ARG001 - part of the key
    # As in requests: a file, or a folder of hashed certificates.
    folder = Path(bundle).is_dir()
    return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)
