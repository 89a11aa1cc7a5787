"""
A call's way over a socket and back, over requests and over aiohttp.

Nothing is repeated here, and nothing judged but whether the server can have received the request.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from ssl import SSLCertVerificationError
from typing import Any

import aiohttp
import requests
import urllib3
from asgiref.sync import sync_to_async
from requests.auth import AuthBase
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from airflow_provider_laplas.api import Call, Response
from airflow_provider_laplas.connection import ConnectionSettings
from airflow_provider_laplas.errors import LaplasError, LaplasMalformedReplyError, LaplasTransportError
from airflow_provider_laplas.multipart import MultipartBody
from airflow_provider_laplas.redaction import redact

_CHUNK = 64 * 1024


class BearerAuth(AuthBase):
    """Put the key into a request of the requests library."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def exchange(session: requests.Session, call: Call[Any], settings: ConnectionSettings) -> Response:
    """
    Send a call over requests and return the whole answer.

    :raises LaplasTransportError: no answer came
    :raises LaplasMalformedReplyError: the answer is larger than the connection allows
    """
    with _transport_errors(call, _REQUESTS_ERRORS, _requests_sent):
        return _exchange(session, call, settings)


def _exchange(session: requests.Session, call: Call[Any], settings: ConnectionSettings) -> Response:
    timeout = call.timeout or settings.timeout
    body = MultipartBody(call) if call.upload else None
    try:
        with session.request(
            call.method,
            settings.base_url + call.path,
            json=call.json,
            data=body,
            headers={"Content-Type": body.content_type} if body else None,
            timeout=(settings.connect_timeout, timeout),
            allow_redirects=False,
            stream=True,
        ) as answer:
            latest = time.monotonic() + timeout
            content = bytearray()
            # Not iter_content: it waits for a whole chunk, however slowly that fills.
            while chunk := answer.raw.read1(_CHUNK, decode_content=True):
                content += chunk
                _check_size(content, settings, answer.status_code)
                # The socket's own time-out starts anew with every byte; one that drips must end as well.
                if time.monotonic() > latest:
                    raise requests.ReadTimeout("the reply came too slowly")
            return Response(answer.status_code, lower_names(answer.headers), bytes(content))
    finally:
        if body:
            body.close()


_REQUESTS_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


def _requests_sent(error: BaseException) -> bool:
    """Tell whether the server may have the request: not if no connection was made, which urllib3 says as a reason."""
    if isinstance(error, requests.ConnectTimeout):
        return False
    reason = getattr(error.args[0], "reason", None) if error.args else None
    never = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
    )
    certificate = isinstance(reason, urllib3.exceptions.SSLError) and isinstance(
        next(iter(reason.args), None), SSLCertVerificationError
    )
    return not (isinstance(reason, never) or certificate)


class Route:
    """What every request of an event loop over one connection has in common, worked out once."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self.secrets = (settings.api_key,)
        self.base_url = settings.base_url
        self.headers = {"Authorization": f"Bearer {settings.api_key}", "Accept": "application/json"}
        self.ssl = _ssl(settings.verify)
        # Not aiohttp's trust_env: that would read .netrc at every request, and put its entry in place of the key.
        self.proxy = settings.proxy or select_proxy(self.base_url, get_environ_proxies(self.base_url))
        self.usual_timeouts = self.timeouts(settings.timeout)

    def timeouts(self, reply: float, *, upload: bool = False) -> aiohttp.ClientTimeout:
        """Return the time-outs for a reply of so many seconds; an upload before it takes as long as it takes."""
        connect = self.settings.connect_timeout
        return aiohttp.ClientTimeout(
            total=None if upload else connect + reply, sock_connect=connect, sock_read=reply
        )


async def aexchange(session: aiohttp.ClientSession, call: Call[Any], route: Route) -> Response:
    """
    Send a call over aiohttp and return the whole answer.

    :raises LaplasTransportError: no answer came
    :raises LaplasMalformedReplyError: the answer is larger than the connection allows
    """
    with _transport_errors(call, _AIOHTTP_ERRORS, _aiohttp_sent):
        if call.upload is None:
            timeouts = route.timeouts(call.timeout) if call.timeout else route.usual_timeouts
            return await _aexchange(session, call, route, timeouts)
        body = await sync_to_async(MultipartBody, thread_sensitive=False)(call)
        timeouts = route.timeouts(call.timeout or route.settings.timeout, upload=True)
        try:
            return await _aexchange(session, call, route, timeouts, body)
        except aiohttp.ClientError:
            if body.failure:
                raise body.failure from None
            raise
        finally:
            await asyncio.to_thread(body.close)


async def _aexchange(
    session: aiohttp.ClientSession,
    call: Call[Any],
    route: Route,
    timeouts: aiohttp.ClientTimeout,
    body: MultipartBody | None = None,
) -> Response:
    headers = route.headers
    if body:
        headers = headers | {"Content-Type": body.content_type, "Content-Length": str(body.len)}
    async with session.request(
        call.method,
        # Already quoted: yarl would undo some of it.
        URL(route.base_url + call.path, encoded=True),
        json=call.json,
        data=_pieces(body) if body else None,
        headers=headers,
        timeout=timeouts,
        allow_redirects=False,
        ssl=route.ssl,
        proxy=route.proxy,
    ) as answer:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            _check_size(content, route.settings, answer.status)
        return Response(answer.status, lower_names(answer.headers), bytes(content))


async def _pieces(body: MultipartBody) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(body.next_piece):
        yield chunk


_AIOHTTP_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


def _aiohttp_sent(error: BaseException) -> bool:
    """Tell whether the server may have the request."""
    return not isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientHttpProxyError
    )


def _ssl(verify: bool | str) -> Any:
    if isinstance(verify, bool):
        return verify
    import ssl  # noqa: PLC0415

    return ssl.create_default_context(cafile=verify)


@contextmanager
def _transport_errors(
    call: Call[Any], kinds: tuple[type[BaseException], ...], was_sent: Callable[[BaseException], bool]
) -> Iterator[None]:
    try:
        yield
    except LaplasError:
        raise
    except kinds as error:
        sent = was_sent(error)
        about = f" for generation {call.generation_id}" if call.generation_id else ""
        what = "No answer came" if sent else "The API could not be reached"
        raise LaplasTransportError(
            f"{what}{about}: {redact(f'{type(error).__name__} {error}', limit=200)}",
            sent=sent,
            generation_id=call.generation_id,
        ) from None


def _check_size(content: bytearray, settings: ConnectionSettings, status: int) -> None:
    if len(content) > settings.max_reply_bytes:
        raise LaplasMalformedReplyError(
            f"The reply is larger than {settings.max_reply_bytes} bytes. Raise `max_reply_bytes` in the connection's "
            "extra if that is right.",
            status=status,
        )


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their names in lower case, as the core wants them."""
    return {name.lower(): value for name, value in headers.items()}
