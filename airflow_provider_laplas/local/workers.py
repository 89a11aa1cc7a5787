"""The threads that work on generations, and the one that deletes them when they expire."""

import hashlib
import logging
import queue
import sqlite3
import threading
import traceback
from concurrent.futures import Future
from typing import Any

from airflow_provider_laplas.local import audio, download, replies
from airflow_provider_laplas.local.engine import Engine
from airflow_provider_laplas.local.errors import (
    SERVER_ERROR,
    Abandoned,
    ApiError,
    JobError,
    SetupError,
)
from airflow_provider_laplas.local.options import Body, Warned, examine
from airflow_provider_laplas.local.settings import Settings
from airflow_provider_laplas.local.store import Job, Store

logger = logging.getLogger(__name__)

STOP_SECONDS = 5.0
# Encoders pad and trim by less.
AUDIBLE_SECONDS = 0.1


def where(error: BaseException) -> str:
    """Describe an error by its type and place only: its message may quote what a client sent."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} in {places}"


class Workers:
    """Takes up `waiting` generations, oldest first, `settings.concurrency` at a time."""

    def __init__(self, store: Store, engine: Engine, settings: Settings) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._stopping = threading.Event()
        # One token for each generation that may be waiting, and one for each worker when it is time to go.
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._watched: dict[str, Future[None]] = {}
        # Daemons: a transcription that is under way cannot be interrupted, and the next start takes it up again.
        self._threads = [
            threading.Thread(target=self._run, name=f"laplas-worker-{number}", daemon=True)
            for number in range(settings.concurrency)
        ]
        self._threads.append(threading.Thread(target=self._sweep, name="laplas-sweeper", daemon=True))

    def start(self) -> None:
        """Take up what an earlier server left, and begin."""
        again, failed = self._store.recover(self._settings.max_starts)
        for generation_id in again:
            logger.info("generation %s waiting (taken up again)", generation_id)
        for generation_id in failed:
            logger.error("generation %s error (CrashError)", generation_id)
        for _ in range(self._store.count_waiting()):
            self._tokens.put(None)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Give up what is under way and end the threads; one that does not end within seconds is left behind."""
        self._stopping.set()
        for _ in self._threads:
            self._tokens.put(None)
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def forget(self, generation_id: str) -> None:
        """Drop a generation whose end nobody waits for any more; the work on it is given up."""
        self._watched.pop(generation_id, None)
        self._store.forget(generation_id)

    def add(self, generation_id: str, body: Body) -> Future[None]:
        """Record a generation whose recording is in the spool; the future is done when it has ended."""
        ended: Future[None] = Future()
        self._watched[generation_id] = ended
        self._store.add(generation_id, body.model_dump_json(exclude={"url"}, exclude_none=True))
        logger.info("generation %s waiting", generation_id)
        self._tokens.put(None)
        return ended

    def _run(self) -> None:
        while True:
            self._tokens.get()
            if self._stopping.is_set():
                return
            job = self._store.claim()
            if job is not None:
                logger.info("generation %s active (start %d)", job.id, job.starts)
                try:
                    self._finish(job)
                except sqlite3.ProgrammingError:
                    # The server has stopped without us and closed the store; the next start takes the job up.
                    if self._stopping.is_set():
                        return
                    raise

    def _finish(self, job: Job) -> None:
        """Work on `job` and write down how it ended."""
        try:
            done = self._store.complete(job, self._transcribe(job))
            outcome = "completed"
        except Abandoned:
            if self._store.release(job):
                logger.info("generation %s waiting (the server stops)", job.id)
                return
            done, outcome = False, ""
        except JobError as error:
            done = self._store.fail(job, error.name, error.message, error.status)
            outcome = f"error ({error.name})"
        except Exception as error:  # noqa: BLE001 - whatever one recording does, the next one gets its turn.
            logger.error("generation %s failed: %s", job.id, where(error))  # noqa: TRY400 - a trace would quote it.
            done = self._store.fail(job, "InternalError", SERVER_ERROR, 500)
            outcome = "error (InternalError)"
        self._store.discard(job.id)
        logger.info("generation %s %s", job.id, outcome if done else "gone before it was done")
        self._ended(job.id)

    def _transcribe(self, job: Job) -> dict[str, Any]:
        def abandoned() -> bool:
            return self._stopping.is_set() or not self._store.holds(job)

        body = Body.model_validate_json(job.body)
        path = self._store.audio_path(job.id)
        source = self._store.url_path(job.id)
        if source.exists():
            part = path.with_suffix(".part")
            download.fetch(source.read_text("utf-8"), part, self._settings, abandoned)
            part.replace(path)
            source.unlink()
        try:
            # Judged again: the server may have been restarted with other weights since the request was taken.
            warnings = examine(body, self._engine, substitute=self._settings.substitute)
            split = bool(body.multi_channel)
            recording = audio.decode(path, split=split, max_seconds=self._settings.max_audio)
            hearings = [
                self._engine.transcribe(
                    samples,
                    size=body.size,
                    language=body.spoken,
                    hotwords=body.hotwords,
                    abandoned=abandoned,
                )
                for samples in recording.channels
            ]
        except ApiError as error:
            raise JobError("OptionError", error.message, error.status) from None
        except SetupError as error:
            raise JobError("EngineError", str(error), 500) from None
        if recording.damaged_frames or recording.missing_seconds > AUDIBLE_SECONDS:
            message = (
                f"{recording.damaged_frames} frames could not be decoded,"
                f" {recording.missing_seconds:.2f} s of the stated length are missing"
            )
            warnings.append(Warned("audio", "damaged", message))
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        facts = replies.Facts(
            generation_id=job.id,
            created=job.created,
            sha256=sha256,
            seconds=recording.seconds,
            weights=self._engine.weights_for(body.size),
            version=self._engine.version(),
            warnings=tuple(warnings),
        )
        return replies.build(body, facts, hearings)

    def _sweep(self) -> None:
        while not self._stopping.wait(self._settings.sweep_every):
            for generation_id in self._store.sweep():
                logger.info("generation %s expired", generation_id)
                self._ended(generation_id)

    def _ended(self, generation_id: str) -> None:
        ended = self._watched.pop(generation_id, None)
        if ended is not None and ended.set_running_or_notify_cancel():
            ended.set_result(None)
