"""
The application of the Transcript tab: its routes, and who may use them.

Every route that answers with data depends on Airflow's own check of the user's rights, before anything is looked up
(:data:`~airflow_provider_laplas.ui.server.MAY_READ_TASK`). What blocks runs in threads, and what a storage may hold up in the
pages' own (:mod:`~airflow_provider_laplas.ui.threads`), without a connection to Airflow's database.
"""

import mimetypes
import re
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from airflow_provider_laplas import __version__
from airflow_provider_laplas.manifest.files import FileRecord
from airflow_provider_laplas.manifest.manifest import NAME
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.sql.searching import PHRASE_LIMIT
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.ui.answers import AsciiJSON, not_there, wrong
from airflow_provider_laplas.ui.audio import stream
from airflow_provider_laplas.ui.batch import Manifests, check_not_of_another, describe, list_page, progress
from airflow_provider_laplas.ui.document import lay_out
from airflow_provider_laplas.ui.headers import SafeHeaders
from airflow_provider_laplas.ui.places import lies_below
from airflow_provider_laplas.ui.replies import StoredReply
from airflow_provider_laplas.ui.search import answer
from airflow_provider_laplas.ui.server import MAY_READ_TASK, GetUserDep, SessionDep, find_instance, release
from airflow_provider_laplas.ui.task import TaskPage, is_web, player
from airflow_provider_laplas.ui.threads import blocking, in_thread

STATIC = Path(__file__).parent / "static"

# A browser runs a module only by its type, which the machine's own list may have otherwise.
mimetypes.add_type("text/javascript", ".js")

manifests = Manifests()


def task_page(
    request: Request,
    session: SessionDep,
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: str = "-1",
) -> TaskPage:
    """
    Return the task instance that the query names, once each.

    :raises HTTPException: 400, if it does not; 404, if there is none
    """
    names = [name for name, _ in request.query_params.multi_items()]
    # The check of the user's rights has looked at one of them only.
    if len(names) != len(set(names)):
        raise wrong("A parameter is given more than once.")
    if not dag_id.strip() or dag_id == "~":
        raise wrong("`dag_id` must name one DAG.")
    if "\0" in f"{dag_id}{run_id}{task_id}":
        raise not_there("There is no such task instance.")
    key = TaskKey(dag_id, run_id, task_id, int(map_index) if _INDEX.fullmatch(map_index) else -1)
    instance = find_instance(session, key)
    if instance is None and " " in run_id:
        # Airflow 3.1 puts ids into the address as they are, where a plus stands for a space.
        instance = find_instance(session, TaskKey(dag_id, run_id.replace(" ", "+"), task_id, key.map_index))
    if instance is None:
        raise not_there("There is no such task instance.")
    # What comes next may wait for its turn.
    release(session)
    return TaskPage(instance, session)


_INDEX = re.compile("[0-9]{1,9}")

TaskDep = Annotated[TaskPage, Depends(task_page)]
File = Annotated[str | None, Query()]

of_task = APIRouter(prefix="/api", dependencies=MAY_READ_TASK)


@of_task.get("/task")
async def get_task(task: TaskDep, file: File = None) -> Response:
    """Answer what is known of a task instance."""
    # It needs no storage, so it does not wait behind those who wait for one.
    facts = await run_in_threadpool(task.facts)
    if file is not None:
        record = await in_thread(_record, task, file)
        facts |= {"source": record.source, **player(record.source, task.instance, file)}
    return AsciiJSON(facts)


@of_task.get("/transcript")
@blocking
def get_transcript(
    task: TaskDep, file: File = None, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """Answer the transcript, as paragraphs of words."""
    reply = _reply(task, file)
    record = None if file is None else _record(task, file)
    etag = _etag(reply, record)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and etag in {
        one.strip().removeprefix("W/") for one in if_none_match.split(",")
    }:
        return Response(status_code=304, headers=headers)
    transcript = reply.transcript()
    page = lay_out(transcript)
    if record is not None:
        page |= describe(record, transcript) | player(record.source, task.instance, file)
    return AsciiJSON(page, headers=headers)


@of_task.get("/download")
@blocking
def get_download(
    task: TaskDep, wanted: Annotated[str, Query(alias="format")] = "json", file: File = None
) -> Response:
    """Answer the transcript as a file."""
    return _reply(task, file).download(wanted, task.instance.fields.get("captions"))


@of_task.api_route("/audio", methods=["GET", "HEAD"])
@blocking
def get_audio(
    request: Request,
    task: TaskDep,
    file: File = None,
    wanted: Annotated[str | None, Header(alias="range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Stream the task's recording."""
    source = task.audio() if file is None else _record(task, file).source
    found = player(source, task.instance, file)
    if found["audio"] is None or source is None or is_web(source):
        raise not_there(found["no_audio"] or "The recording is at a web address.")
    return stream(source, task.storage(), method=request.method, wanted=wanted, if_range=if_range)


@of_task.get("/batch")
@blocking
def get_batch(task: TaskDep) -> Response:
    """Answer how far a batch is."""
    return AsciiJSON(
        progress(task.manifest(), task.instance.key.dag_id, task.price_per_minute(), task.storage())
    )


@of_task.get("/files")
@blocking
def get_files(
    task: TaskDep,
    q: Annotated[str, Query(max_length=1000)] = "",
    state: str = "",
    sort: str = "name",
    page: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """Answer a page of a batch's files."""
    records = manifests.files(task.manifest(), task.instance.key.dag_id, task.storage())
    return AsciiJSON(list_page(records, q=q, state=state, sort=sort, page=page))


of_user = APIRouter(prefix="/api")


@of_user.get("/search")
@blocking
def get_search(
    user: GetUserDep,
    session: SessionDep,
    q: Annotated[str, Query(max_length=PHRASE_LIMIT)] = "",
    page: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> Response:
    """Answer what is found in the transcripts that the user may read."""
    return AsciiJSON(
        answer(q, page, user=user, session=session, manifests=manifests, storage=object_storage())
    )


pages = APIRouter()


@pages.get("/page")
@pages.get("/search")
def get_page() -> Response:
    """Answer the page, which holds no data: it asks for them."""
    file = STATIC / "index.html"
    if not file.is_file():
        raise not_there("The page was not installed.")
    return FileResponse(file, media_type="text/html; charset=utf-8")


def _record(task: TaskPage, file: str) -> FileRecord:
    return manifests.file(task.manifest(), file, task.instance.key.dag_id, task.storage())


def _etag(reply: StoredReply, record: FileRecord | None) -> str:
    """Return the ETag of a transcript's page, which holds what the manifest says as well, as this version lays it out."""
    noted = record and (
        record.source,
        record.generation_id,
        record.audio_seconds,
        record.completed_at,
        record.error,
    )
    return f'"{sha256(repr((reply.etag, noted, __version__)).encode()).hexdigest()[:32]}"'


def _reply(task: TaskPage, file: str | None) -> StoredReply:
    if file is not None:
        folder = task.manifest().removesuffix(NAME)
        uri = folder + _record(task, file).output
        if not lies_below(uri, folder):
            raise not_there("The batch has no such file.")
        return StoredReply.in_file(uri, task.storage())
    reference = task.reference()
    if isinstance(reference, str):
        check_not_of_another(reference, task.instance.key.dag_id, manifests, task.storage())
        return StoredReply.in_file(reference, task.storage())
    return StoredReply.in_xcom(task.found("reply"), str(task.value("generation_id") or "transcript"))


def _one_sentence(_: Request, error: Exception) -> Response:
    """Answer for a parameter that is missing or is no number."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    names = ", ".join(sorted({f"`{each['loc'][-1]}`" for each in found}))
    return AsciiJSON({"detail": f"The address lacks a valid {names}."}, 400)


def make_app() -> FastAPI:
    """Make the application."""
    made = FastAPI(title="Laplas", docs_url=None, redoc_url=None, openapi_url=None)
    made.include_router(of_task)
    made.include_router(of_user)
    made.include_router(pages)
    if STATIC.is_dir():
        made.mount("/static", StaticFiles(directory=STATIC))
    made.add_exception_handler(RequestValidationError, _one_sentence)
    return made


app = SafeHeaders(make_app())
