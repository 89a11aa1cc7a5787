"""The endpoints' logic without HTTP: submit, fetch, and both in one call."""

import asyncio
import shutil
from concurrent.futures import Future
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from airflow_provider_laplas.local.download import check_url
from airflow_provider_laplas.local.engine import Engine
from airflow_provider_laplas.local.errors import NO_ROOM, ApiError, FieldError, is_full
from airflow_provider_laplas.local.options import (
    NOTHING_TO_TRANSCRIBE,
    Body,
    examine,
    parse_form,
    parse_json,
)
from airflow_provider_laplas.local.settings import MIB, Settings
from airflow_provider_laplas.local.store import Job, Store
from airflow_provider_laplas.local.uploads import TOO_LARGE, read_form, read_json
from airflow_provider_laplas.local.workers import Workers

GONE = "Generation not found: it is unknown or has expired"
# Disk space to keep free for the database when a recording is accepted.
RESERVE = 16 * MIB


class Service:
    """A running server: its store, its workers and its endpoints' logic."""

    def __init__(self, settings: Settings, engine: Engine, store: Store) -> None:
        self.settings = settings
        self.engine = engine
        self.store = store
        self.workers = Workers(store, engine, settings)

    async def submit(self, request: Request, generation_id: str) -> None:
        """Accept a request's body as a new generation, with an id from the store.

        Raises ApiError for a rejected body, of which nothing stays on disk.
        """
        try:
            async with asyncio.timeout(self.settings.upload_timeout):
                body, has_audio = await self._receive(request, generation_id)
            await run_in_threadpool(self._accept, generation_id, body, has_audio=has_audio)
            await run_in_threadpool(self.workers.add, generation_id, body)
        except BaseException as error:
            self.store.discard(generation_id)
            if isinstance(error, TimeoutError):
                raise ApiError(408, "The request's body did not arrive in time") from None
            if is_full(error):
                raise ApiError(503, NO_ROOM) from None
            raise

    async def _receive(self, request: Request, generation_id: str) -> tuple[Body, bool]:
        settings = self.settings
        kind = request.headers.get("content-type", "application/json")
        media_type = kind.split(";")[0].strip().lower()
        limit = settings.max_fields + (settings.max_upload if media_type == "multipart/form-data" else 0)
        size = int(request.headers.get("content-length", limit))
        if size > limit:
            raise ApiError(413, TOO_LARGE)
        if shutil.disk_usage(self.store.spool).free < size + RESERVE:
            raise ApiError(503, NO_ROOM)
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
        # The weights are not loaded here: that may take minutes, and a client that times out would not know
        # whether its request was accepted.
        examine(body, self.engine, substitute=self.settings.substitute, load=False)
        if body.url is not None:
            self.store.url_path(generation_id).write_text(body.url, "utf-8")

    def fetch(self, generation_id: str) -> dict[str, Any]:
        """Return a generation in the API's format, or raise ApiError (404)."""
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
        """Submit, wait, and return the reply; raise ApiError if there is none (504 if it does not come in time)."""
        generation_id = self.store.new_id()
        ended = self.workers.watch(generation_id)
        try:
            await self.submit(request, generation_id)
            await self._wait(request, ended)
            reply = _reply(await run_in_threadpool(self.store.get, generation_id))
        except BaseException:
            # Nobody else knows its id. Not in a thread, or a stopping server might close the store first.
            self.workers.forget(generation_id)
            raise
        return reply

    async def _wait(self, request: Request, ended: Future[None]) -> None:
        end = asyncio.wrap_future(ended)
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait(
                {end, gone}, timeout=self.settings.legacy_timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            gone.cancel()
        if end.done():
            return
        if gone.done():
            raise ClientDisconnect
        raise ApiError(504, "Generation timeout")


def _reply(job: Job | None) -> dict[str, Any]:
    if job is None:
        raise ApiError(404, GONE)
    if job.error is not None:
        raise ApiError(job.error["status"], job.error["message"])
    return job.result or {}


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
