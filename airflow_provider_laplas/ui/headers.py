"""The headers that every answer has: nothing of it is run, framed by others, guessed, cached or told to others."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self' https: http:; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_DATA = "default-src 'none'; frame-ancestors 'none'"


class SafeHeaders:
    """Sets the headers of every answer; Cache-Control only where the answer has none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _set(MutableHeaders(scope=message), is_static="/static/" in scope["path"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _set(headers: MutableHeaders, *, is_static: bool) -> None:
    kind = headers.get("content-type", "")
    headers["Content-Security-Policy"] = _PAGE if kind.startswith("text/html") else _DATA
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("Cache-Control", "no-cache" if is_static else "private, no-store")
