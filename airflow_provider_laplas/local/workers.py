"""The worker threads that process generations, and the thread that deletes expired ones."""

import hashlib
import logging
import queue
import sqlite3
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

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

# Errors are logged with `where`, never with a traceback, which could quote recordings and requests.
logger = logging.getLogger(__name__)

T = TypeVar("T")

STOP_SECONDS = 5.0
RETRY_SECONDS = 1.0
# Above what encoders pad or trim.
AUDIBLE_SECONDS = 0.1


def where(error: BaseException) -> str:
    """Describe an error by its type and location only: its message may quote a request."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} ({frame.name})" for frame in reversed(frames)
    )
    return f"{type(error).__name__} in {places}"


class Workers:
    """Processes `waiting` generations, oldest first, `settings.concurrency` at a time, and suspects alone."""

    def __init__(self, store: Store, engine: Engine, settings: Settings) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._stopping = threading.Event()
        # One token for each generation that may be waiting, and one for each worker on shutdown.
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._watched: dict[str, Future[None]] = {}
        self._claiming = threading.Lock()
        self._running: list[Job] = []
        # Daemon threads, because a running transcription cannot be interrupted; the next start repeats it.
        self._threads = [
            threading.Thread(target=self._run, name=f"laplas-worker-{number}", daemon=True)
            for number in range(settings.concurrency)
        ]
        self._threads.append(threading.Thread(target=self._sweep, name="laplas-sweeper", daemon=True))

    def start(self) -> None:
        """Recover the generations of an earlier server, and start the threads."""
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
        """Abandon running work and stop the threads, without waiting for one that does not stop in time."""
        self._stopping.set()
        for _ in self._threads:
            self._tokens.put(None)
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def forget(self, generation_id: str) -> None:
        """Delete a generation that nobody waits for any more, and abandon the work on it."""
        self._watched.pop(generation_id, None)
        try:
            self._store.forget(generation_id)
        except sqlite3.Error as error:
            # It expires in any case.
            logger.error("generation %s not forgotten: %s", generation_id, where(error))  # noqa: TRY400

    def watch(self, generation_id: str) -> Future[None]:
        """Return a future that is done when the generation has ended. Must be called before `add`."""
        ended = self._watched[generation_id] = Future()
        return ended

    def add(self, generation_id: str, body: Body) -> None:
        """Add a generation whose recording is already in the spool."""
        self._store.add(generation_id, body.model_dump_json(exclude={"url"}, exclude_none=True))
        logger.info("generation %s waiting", generation_id)
        self._tokens.put(None)

    def _run(self) -> None:
        while True:
            self._tokens.get()
            if self._stopping.is_set():
                return
            try:
                job = self._insist(self._claim)
                if job is not None:
                    self._work(job)
            except Abandoned:
                return
            except Exception as error:  # noqa: BLE001 - the worker must survive.
                logger.error("a worker stumbled: %s", where(error))  # noqa: TRY400
                self._stopping.wait(RETRY_SECONDS)
                # The generation may still be waiting; an extra token is harmless.
                self._tokens.put(None)

    def _claim(self) -> Job | None:
        with self._claiming:
            if any(job.suspect for job in self._running):
                return None
            job = self._store.claim(alone=not self._running)
            if job is not None:
                self._running.append(job)
        return job

    def _work(self, job: Job) -> None:
        try:
            self._finish(job)
        finally:
            with self._claiming:
                self._running.remove(job)
            # Those that were not claimed beside this one are waiting; an extra token is harmless.
            for _ in range(self._settings.concurrency):
                self._tokens.put(None)

    def _finish(self, job: Job) -> None:
        """Process `job` and store its outcome."""
        logger.info("generation %s active (start %d)", job.id, job.starts)
        try:
            outcome, write = self._judge(job)
            done = self._insist(write)
        except Abandoned:
            if self._stopping.is_set():
                self._release(job)
                return
            done, outcome = False, ""
        logger.info("generation %s %s", job.id, outcome if done else "gone before it was done")
        try:
            self._store.discard(job.id)
        finally:
            self._ended(job.id)

    def _judge(self, job: Job) -> tuple[str, Callable[[], bool]]:
        """Process `job`; return its outcome for the log, and a function that stores it."""
        try:
            return "completed", partial(self._store.complete, job, self._transcribe(job))
        except Abandoned:
            raise
        except JobError as error:
            outcome, verdict = f"error ({error.name})", (error.name, error.message, error.status)
        except Exception as error:  # noqa: BLE001 - one recording must not affect the next.
            if self._stopping.is_set():
                raise Abandoned from None
            logger.error("generation %s failed: %s", job.id, where(error))  # noqa: TRY400
            outcome, verdict = "error (InternalError)", ("InternalError", SERVER_ERROR, 500)
        return outcome, partial(self._store.fail, job, *verdict)

    def _insist(self, step: Callable[[], T]) -> T:
        """Retry `step` until the database accepts it, as a full disk may be temporary.

        Raises Abandoned if the server stops in the meantime.
        """
        while True:
            try:
                return step()
            except sqlite3.Error as error:
                # A stopping server closes the store, and a worker may outlive it.
                if not self._stopping.is_set():
                    logger.error("the database fails: %s", where(error))  # noqa: TRY400
                if self._stopping.wait(RETRY_SECONDS):
                    raise Abandoned from None

    def _release(self, job: Job) -> None:
        # If this fails, the store is already closed; the next start recovers the job anyway.
        with suppress(sqlite3.Error):
            if self._store.release(job):
                logger.info("generation %s waiting (the server stops)", job.id)

    def _transcribe(self, job: Job) -> dict[str, Any]:
        def abandoned() -> bool:
            return self._stopping.is_set() or not self._store.holds(job)

        body = Body.model_validate_json(job.body)
        path = self._store.audio_path(job.id)
        source = self._store.url_path(job.id)
        if source.exists():
            part = self._store.part_path(job.id)
            download.fetch(source.read_text("utf-8"), part, self._settings, abandoned)
            part.replace(path)
            source.unlink()
        try:
            # Validated again, because the server may have been restarted with other weights since the submission.
            warnings = examine(body, self._engine, substitute=self._settings.substitute, load=True)
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
            try:
                for generation_id in self._store.sweep():
                    logger.info("generation %s expired", generation_id)
                    self._ended(generation_id)
            except Exception as error:  # noqa: BLE001 - the sweeper must survive, or nothing is deleted.
                logger.error("the sweep failed: %s", where(error))  # noqa: TRY400

    def _ended(self, generation_id: str) -> None:
        ended = self._watched.pop(generation_id, None)
        if ended is not None and ended.set_running_or_notify_cancel():
            ended.set_result(None)
