"""Shared by all requests: the error body, the request log, and the documentation of the request body."""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_laplas.local.errors import SERVER_ERROR
from airflow_provider_laplas.local.options import IGNORED, LISTS, REFUSED, Body
from airflow_provider_laplas.local.workers import where

logger = logging.getLogger(__name__)

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
CLIENT_LEFT = 499
LINGER_SECONDS = 2.0
STOPPING = "The server is stopping; nothing of the request was kept"


class ErrorBody(BaseModel):
    """The body of every response with a status of 400 or above."""

    message: str
    path: str
    requestId: str  # noqa: N815 - the API's name.
    statusCode: int  # noqa: N815 - the API's name.
    timestamp: str


def error_response(
    scope: Scope, status: int, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return a response with the API's error body, whose path is without the query string."""
    body = ErrorBody(
        message=message,
        path=scope["path"],
        requestId=scope["state"]["request_id"],
        statusCode=status,
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    return JSONResponse(body.model_dump(), status, headers)


class Observer:
    """Gives each request an id, answers 500 on unhandled errors, and logs one line.

    The line contains nothing that a client chose: the route instead of the path, and ids only if they are UUIDs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; pass the server's own events through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_LEFT
        except asyncio.CancelledError:
            # Uvicorn cancels requests that outlast the shutdown timeout; it would answer in plain text and log
            # a traceback.
            if not exchange.status:
                await error_response(scope, 503, STOPPING)(scope, receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - Uvicorn would log the error's message.
            logger.error("request %s failed: %s", request_id, where(error))  # noqa: TRY400 - the same.
            if not exchange.status:
                await error_response(scope, 500, SERVER_ERROR)(scope, receive, exchange.send)
        finally:
            milliseconds = (time.perf_counter() - began) * 1000
            method = scope["method"] if scope["method"] in METHODS else "(method)"
            logger.info(
                "%s %s %d %.0f ms, request %s",
                *(method, _path(scope), exchange.status, milliseconds, request_id),
            )


class _Exchange:
    """A request and its response. An error before the whole body is read closes the connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.status = 0
        self._receive, self._send = receive, send
        headers = Headers(scope=scope)
        self._unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self._is_last = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._is_last = self._unread and self.status >= HTTPStatus.BAD_REQUEST
            if self._is_last:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        elif self._is_last and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _linger(self) -> None:
        """Discard further data for a while: a client that is cut off while sending may miss the response."""
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self._unread:
                    await self.receive()


def _path(scope: Scope) -> str:
    route = scope.get("route")
    if route is None:
        return "(no such path)"
    template = str(getattr(route, "path", "(no such path)"))
    try:
        return template.format(generation_id=uuid.UUID(scope["path_params"]["generation_id"]))
    except (KeyError, ValueError):
        return template


def describe_body(upload_parts: tuple[str, ...]) -> dict[str, Any]:
    """Return the OpenAPI description of a submission's body, which FastAPI does not parse itself."""
    as_json = Body.model_json_schema()
    as_json["properties"]["url"] = {**as_json["properties"]["url"]["anyOf"][0], "format": "uri"}
    for name, reason in REFUSED.items():
        as_json["properties"][name]["description"] = f"Refused: {reason}."
    for name, reason in IGNORED.items():
        as_json["properties"][name]["description"] = f"Recorded as a warning: {reason}."
    as_json["required"] = ["model", "url"]
    # Forms have no null.
    fields = {
        name: schema | {"anyOf": [one for one in schema["anyOf"] if one != {"type": "null"}]}
        if "anyOf" in schema
        else schema
        for name, schema in as_json["properties"].items()
    }
    for name in LISTS:
        # A form field may occur once or several times.
        fields[name]["anyOf"] = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    recording = {"type": "string", "format": "binary", "minLength": 1}
    as_form = {
        "type": "object",
        "properties": fields | dict.fromkeys(upload_parts, recording),
        "required": ["model"],
        "oneOf": [{"required": [name]} for name in ("url", *upload_parts)],
    }
    content = {"application/json": {"schema": as_json}, "multipart/form-data": {"schema": as_form}}
    return {"requestBody": {"required": True, "content": content}}
