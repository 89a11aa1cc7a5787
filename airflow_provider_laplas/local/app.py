"""The API over HTTP: endpoints, the key, error bodies, the request log."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Path, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from airflow_provider_laplas import __version__
from airflow_provider_laplas.local import wire
from airflow_provider_laplas.local.download import check_url
from airflow_provider_laplas.local.engine import Engine, WhisperEngine
from airflow_provider_laplas.local.errors import ApiError, FieldError, SetupError
from airflow_provider_laplas.local.options import (
    NOTHING_TO_TRANSCRIBE,
    Body,
    examine,
    parse_form,
    parse_json,
)
from airflow_provider_laplas.local.settings import Settings
from airflow_provider_laplas.local.store import Store
from airflow_provider_laplas.local.uploads import TOO_LARGE, read_form, read_json
from airflow_provider_laplas.local.workers import Workers

GONE = "Generation not found: it is unknown, or has expired"


class Created(BaseModel):
    """The answer to a submission."""

    generation_id: str
    status: Literal["waiting"]


class JobFailure(BaseModel):
    """Why a generation ended as `error`."""

    name: str
    message: str


class Generation(BaseModel):
    """A generation as it is fetched: with `result` when `completed`, with `error` when `error`."""

    generation_id: str
    status: Literal["waiting", "active", "completed", "error"]
    result: dict[str, Any] | None = None
    error: JobFailure | None = None


class Health(BaseModel):
    """The answer of a server that is up."""

    status: Literal["ok"]


class Service:
    """What the endpoints do, once HTTP is out of the way."""

    def __init__(self, settings: Settings, engine: Engine, store: Store) -> None:
        self.settings = settings
        self.engine = engine
        self.store = store
        self.workers = Workers(store, engine, settings)

    async def submit(self, request: Request) -> tuple[str, Future[None]]:
        """Take a request's body in; return the new generation's id and the future of its end.

        Raises ApiError for a body that is refused; nothing of it stays on disk then.
        """
        generation_id = self.store.new_id()
        try:
            async with asyncio.timeout(self.settings.upload_timeout):
                body, has_audio = await self._receive(request, generation_id)
            await run_in_threadpool(self._accept, generation_id, body, has_audio=has_audio)
            return generation_id, await run_in_threadpool(self.workers.add, generation_id, body)
        except TimeoutError:
            self.store.discard(generation_id)
            raise ApiError(408, "The request's body did not arrive in time") from None
        except BaseException:
            self.store.discard(generation_id)
            raise

    async def _receive(self, request: Request, generation_id: str) -> tuple[Body, bool]:
        settings = self.settings
        kind = request.headers.get("content-type", "application/json")
        media_type = kind.split(";")[0].strip().lower()
        limit = settings.max_fields + (settings.max_upload if media_type == "multipart/form-data" else 0)
        if int(request.headers.get("content-length", 0)) > limit:
            raise ApiError(413, TOO_LARGE)
        if media_type == "application/json":
            return parse_json(await read_json(request.stream(), limit)), False
        if media_type != "multipart/form-data":
            raise ApiError(415, "The body must be application/json or multipart/form-data")
        form = await read_form(
            request.stream(),
            kind,
            self.store.audio_path(generation_id),
            parts=settings.upload_parts,
            max_audio=settings.max_upload,
            max_fields=settings.max_fields,
        )
        body = parse_form(form.fields)
        if form.audio_size == 0:
            raise FieldError("file", "The file is empty")
        return body, form.audio_size is not None

    def _accept(self, generation_id: str, body: Body, *, has_audio: bool) -> None:
        if has_audio is (body.url is not None):
            raise ApiError(
                400, "Only one of url or file can be given" if has_audio else NOTHING_TO_TRANSCRIBE
            )
        if body.url is not None:
            check_url(body.url, allow_private=self.settings.allow_private_urls)
        try:
            examine(body, self.engine, substitute=self.settings.substitute)
        except SetupError as error:
            raise ApiError(500, str(error)) from None
        if body.url is not None:
            self.store.url_path(generation_id).write_text(body.url, "utf-8")

    def fetch(self, generation_id: str) -> dict[str, Any]:
        """Return a generation as the API answers it, or raise ApiError (404)."""
        job = self.store.get(generation_id)
        if job is None:
            raise ApiError(404, GONE)
        reply: dict[str, Any] = {"generation_id": job.id, "status": job.status}
        if job.result is not None:
            reply["result"] = job.result
        if job.error is not None:
            reply["error"] = {"name": job.error["name"], "message": job.error["message"]}
        return reply

    async def transcribe(self, request: Request) -> dict[str, Any]:
        """Submit, wait, and return the reply itself; raise ApiError if there is none, or none in time (504)."""
        generation_id, ended = await self.submit(request)
        try:
            async with asyncio.timeout(self.settings.legacy_timeout):
                await asyncio.wrap_future(ended)
        except TimeoutError:
            # Nobody else knows its id.
            await run_in_threadpool(self.workers.forget, generation_id)
            raise ApiError(504, "Generation timeout") from None
        job = await run_in_threadpool(self.store.get, generation_id)
        if job is None:
            raise ApiError(404, GONE)
        if job.error is not None:
            raise ApiError(job.error["status"], job.error["message"])
        return job.result or {}


def create_app(
    settings: Settings, engine: Engine | None = None, *, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Return the server as an ASGI app. `engine` is faster-whisper with `settings.weights` unless given.

    clock: the time in seconds since the epoch, by which generations expire.
    The data folder is taken when the app starts (its lifespan), and given back when it ends. Raises SetupError for
    weights that are not there.
    """
    chosen = engine or WhisperEngine(settings.weights, threads=settings.concurrency)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = Store(settings.data_dir, retention=settings.retention, clock=clock)
        service = Service(settings, chosen, store)
        app.state.service = service
        service.workers.start()
        yield
        await run_in_threadpool(service.workers.stop)
        store.close()

    app = FastAPI(
        title="Laplas speech-to-text, on this machine",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        responses={
            "4XX": {"model": wire.ErrorBody, "description": "The request is refused"},
            "5XX": {"model": wire.ErrorBody, "description": "The server failed"},
        },
    )
    app.add_middleware(wire.Observer)
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    _add_endpoints(app, settings)
    return app


def _add_endpoints(app: FastAPI, settings: Settings) -> None:
    digests = [hashlib.sha256(key.encode()).digest() for key in settings.keys]
    bearer = HTTPBearer(auto_error=False, description="An API key of this server")

    def authorized(credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]) -> None:
        given = hashlib.sha256((credentials.credentials if credentials else "").encode()).digest()
        # Every key is compared, and digests are all of one length: the time taken tells nothing.
        if not any([hmac.compare_digest(given, digest) for digest in digests]) or credentials is None:  # noqa: C419
            raise ApiError(401, "Missing or invalid API key")

    guarded = [Depends(authorized)]
    with_body = wire.describe_body(settings.upload_parts)

    @app.get("/health", tags=["server"])
    async def health() -> Health:
        """Tell that the server is up. Needs no key."""
        return Health(status="ok")

    @app.post(
        "/v1/stt/create",
        status_code=HTTPStatus.CREATED,
        dependencies=guarded,
        openapi_extra=with_body,
        tags=["stt"],
    )
    async def create(request: Request) -> Created:
        """Submit a recording, by URL or as a file; the transcript is fetched with the id."""
        generation_id, _ = await _service(request).submit(request)
        return Created(generation_id=generation_id, status="waiting")

    @app.get("/v1/stt/create", include_in_schema=False)
    async def create_is_post() -> None:
        # Else it would be looked up as a generation's id.
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})

    @app.post("/v1/stt", dependencies=guarded, openapi_extra=with_body, tags=["stt"])
    async def transcribe(request: Request) -> dict[str, Any]:
        """Submit a recording and wait for the reply itself. Superseded: it times out."""
        return await _service(request).transcribe(request)

    @app.get("/v1/stt/{generation_id}", dependencies=guarded, response_model_exclude_unset=True, tags=["stt"])
    def fetch(
        request: Request, generation_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]
    ) -> Generation:
        """Fetch a generation: its status, and its reply once it is `completed`."""
        return Generation(**_service(request).fetch(generation_id))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _on_api_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ApiError):
        raise error
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
    return wire.error_response(request.scope, error.status, error.message, headers)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return wire.error_response(
        request.scope, error.status_code, HTTPStatus(error.status_code).phrase, error.headers
    )


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    listed = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
    return wire.error_response(request.scope, 400, f"Validation error: {listed}")
