"""The API over HTTP: endpoints, authentication and error handlers."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
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
from airflow_provider_laplas.local.engine import Engine, WhisperEngine
from airflow_provider_laplas.local.errors import ApiError
from airflow_provider_laplas.local.service import Service
from airflow_provider_laplas.local.settings import Settings
from airflow_provider_laplas.local.store import Store


class Created(BaseModel):
    """The response to a submission."""

    generation_id: str
    status: Literal["waiting"]


class JobFailure(BaseModel):
    """Why a generation ended as `error`."""

    name: str
    message: str


class Generation(BaseModel):
    """A generation, with `result` when `completed` and with `error` when `error`."""

    generation_id: str
    status: Literal["waiting", "active", "completed", "error"]
    result: dict[str, Any] | None = None
    error: JobFailure | None = None


class Health(BaseModel):
    """The response of the health check."""

    status: Literal["ok"]


def create_app(
    settings: Settings, engine: Engine | None = None, *, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Return the server as an ASGI app. `engine` defaults to faster-whisper with `settings.weights`.

    clock: the time in seconds since the epoch, by which generations expire.
    The app's lifespan locks and releases the data folder. Raises SetupError for weights that do not exist.
    """
    chosen = engine or WhisperEngine(settings.weights, threads=settings.concurrency)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with closing(Store(settings.data_dir, retention=settings.retention, clock=clock)) as store:
            service = Service(settings, chosen, store)
            app.state.service = service
            service.workers.start()
            yield
            await run_in_threadpool(service.workers.stop)

    app = FastAPI(
        title="Laplas speech-to-text, local server",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        # The documentation pages load scripts from a CDN; /openapi.json is enough.
        docs_url=None,
        redoc_url=None,
        responses={
            "4XX": {"model": wire.ErrorBody, "description": "The request was refused"},
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

    # Asynchronous, so that polls do not queue behind submissions in the thread pool.
    async def authorized(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    ) -> None:
        given = hashlib.sha256((credentials.credentials if credentials else "").encode()).digest()
        # All keys are compared, by digests of equal length, so that the timing reveals nothing.
        if not any([hmac.compare_digest(given, digest) for digest in digests]):  # noqa: C419
            raise ApiError(401, "Missing or invalid API key")

    guarded = [Depends(authorized)]
    with_body = wire.describe_body(settings.upload_parts)

    @app.get("/health", tags=["server"])
    async def health() -> Health:
        """Check that the server is up. No key is needed."""
        return Health(status="ok")

    @app.post(
        "/v1/stt/create",
        status_code=HTTPStatus.CREATED,
        dependencies=guarded,
        openapi_extra=with_body,
        tags=["stt"],
    )
    async def create(request: Request) -> Created:
        """Submit a recording, by URL or as a file. Fetch the transcript with the returned id."""
        service = _service(request)
        generation_id = service.store.new_id()
        await service.submit(request, generation_id)
        return Created(generation_id=generation_id, status="waiting")

    @app.get("/v1/stt/create", include_in_schema=False)
    async def create_is_post() -> None:
        # Otherwise `create` would be taken for a generation's id.
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})

    @app.post("/v1/stt", dependencies=guarded, openapi_extra=with_body, tags=["stt"])
    async def transcribe(request: Request) -> dict[str, Any]:
        """Submit a recording and wait for the reply. Legacy: it times out on long recordings."""
        return await _service(request).transcribe(request)

    @app.get("/v1/stt/{generation_id}", dependencies=guarded, response_model_exclude_unset=True, tags=["stt"])
    def fetch(
        request: Request, generation_id: Annotated[str, Path(json_schema_extra={"format": "uuid"})]
    ) -> Generation:
        """Fetch a generation: its status, and its result once it is `completed`."""
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
