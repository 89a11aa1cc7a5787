"""The triggers, which wait without a worker slot."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_laplas.airflow_compat import BaseTrigger, TriggerEvent
from airflow_provider_laplas.api.poller import DEFAULT_POLL_INTERVAL, Poller
from airflow_provider_laplas.api.responses import RETENTION
from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.events import BatchEvent, CompletionEvent
from airflow_provider_laplas.persistence import apersistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import Place, Reference, TaskKey, akeep_reply
from airflow_provider_laplas.stalls import recent_stall, watched
from airflow_provider_laplas.storage import object_storage

if TYPE_CHECKING:
    from airflow_provider_laplas.manifest.state import BatchState

log = logging.getLogger(__name__)

FIRST_POLL = 5.0
"""
Seconds from the deferral to the trigger's first poll.

A trigger that fires sooner can overtake the report of the process that deferred, and Airflow then fails the task
(observed with Airflow 3.3.2: 8 of 60 tasks with triggers of 1 s, none of 80 with 5 s).
"""


class STTCompletionTrigger(BaseTrigger):
    """
    Wait for a generation, store its reply, and report where.

    The reply is stored by the trigger because the resumed task may wait hours for a worker slot, and the API keeps the
    reply for one hour only.

    :param conn_id: the connection's id; the API key is never among a trigger's arguments
    :param generation_id: the generation to wait for
    :param deadline: epoch seconds, after which one last poll is made, and the wait ends with a
        :class:`~airflow_provider_laplas.errors.LaplasGenerationTimeoutError`
    :param poll_interval: the longest pause between two polls, in seconds. Default 10
    :param submitted_at: epoch seconds of the submission, if known
    :param results_path: the folder in object storage for the reply; without one it becomes an XCom
    :param task: the ids of the task instance that owns the XCom. Default: the one that deferred
    :param first_poll: seconds until the first poll, which is not after the deadline, if that is not nearer than the
        default. Default :data:`FIRST_POLL`
    :param first_look: old name of ``first_poll``, for tasks that were deferred by version 0.1
    """

    def __init__(
        self,
        *,
        conn_id: str = DEFAULT_CONN_ID,
        generation_id: str,
        deadline: float,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        submitted_at: float | None = None,
        results_path: str | None = None,
        task: Mapping[str, Any] | None = None,
        first_poll: float | None = None,
        first_look: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped.
        self.conn_id = conn_id
        self.generation_id = generation_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.submitted_at = submitted_at
        self.results_path = results_path
        self.task_ids = dict(task) if task else None
        self.first_poll = _first_poll(first_poll, first_look)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, which are stored in plain JSON."""
        return (
            f"{type(self).__module__}.{type(self).__name__}",
            {
                "conn_id": self.conn_id,
                "generation_id": self.generation_id,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "submitted_at": self.submitted_at,
                "results_path": self.results_path,
                "task": self.task_ids,
                "first_poll": self.first_poll,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, store, and yield the one event."""
        try:
            with watched():
                event = CompletionEvent(self.generation_id, result=await self._wait_and_store())
        except LaplasError as error:
            event = CompletionEvent(self.generation_id, error=error)
        yield TriggerEvent(event.to_payload())

    async def on_kill(self) -> None:
        """Log what becomes of the generation: the API cannot cancel it."""
        if _is_moved(f"the wait for generation {self.generation_id}"):
            return
        log.warning(
            "The wait for generation %s was cancelled. The API cannot cancel it: it goes on and is billed. Use an "
            "STTCompletionSensor with this id to wait for it.",
            self.generation_id,
        )

    async def _wait_and_store(self) -> Reference:
        # Imported here to keep DAG parsing fast: the HTTP clients take half a second.
        from airflow_provider_laplas.hooks import shared_client  # noqa: PLC0415

        wait = Poller(self.generation_id, self.deadline, self.poll_interval, self.submitted_at)
        # Spread over two seconds, so that tasks that deferred together do not poll together, but not past the deadline.
        first_poll = self.first_poll + 2 * random.random()  # noqa: S311
        await asyncio.sleep(min(first_poll, max(wait.left(), FIRST_POLL)))
        generation = await shared_client(self.conn_id).wait_for(wait)
        # Shielded, so that the paid reply is stored even if the trigger is being moved to another triggerer.
        place = Place(self.generation_id, self.results_path, self._task_key())
        return await asyncio.shield(akeep_reply(generation.reply, place))

    def _task_key(self) -> TaskKey | None:
        if self.task_ids is not None:
            return TaskKey(**self.task_ids)
        ti = self.task_instance
        return TaskKey(ti.dag_id, ti.run_id, ti.task_id, ti.map_index) if ti else None


class STTBatchTrigger(BaseTrigger):
    """
    Wait for all submitted files of a batch, writing each transcript and the manifest as they finish.

    Fires once: when all are done or, if more files are to be submitted, when ``resume_at`` or fewer are in progress.

    :param conn_id: the connection's id
    :param manifest: the manifest's URI; the transcripts are beside it
    :param lease_token: the token of the task's lease on the batch, without which the manifest must not be written
    :param poll_interval: the longest pause between two polls of one file, in seconds
    :param resume_at: how many files may be in progress when the worker is called back to submit the next ones
    :param first_poll: seconds until the first poll. Default :data:`FIRST_POLL`
    :param formats: what is written beside each transcript that passes ``quality``; the rest is left to the worker
    :param captions: the captions' limits
    :param quality: the settings of the quality checks
    :param claim: old name of ``lease_token``, for tasks that were deferred by version 0.1
    :param first_look: old name of ``first_poll``, likewise
    """

    def __init__(
        self,
        *,
        conn_id: str,
        manifest: str,
        poll_interval: float,
        resume_at: int,
        lease_token: str | None = None,
        first_poll: float | None = None,
        formats: Sequence[str] = ("json",),
        captions: Mapping[str, Any] | None = None,
        quality: Mapping[str, Any] | None = None,
        claim: str | None = None,
        first_look: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped.
        self.conn_id = conn_id
        self.manifest = manifest
        self.lease_token = str(lease_token or claim)
        self.poll_interval = poll_interval
        self.resume_at = resume_at
        self.formats = list(formats)
        self.captions = dict(captions) if captions is not None else None
        self.quality = dict(quality) if quality is not None else None
        self.first_poll = _first_poll(first_poll, first_look)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, which are stored in plain JSON."""
        names = (
            *("conn_id", "manifest", "lease_token", "poll_interval", "resume_at", "first_poll"),
            *("formats", "captions", "quality"),
        )
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, store, and yield the one event."""
        event = BatchEvent()
        try:
            with watched():
                await self._wait()
        except LaplasError as error:
            event = BatchEvent(error)
        yield TriggerEvent(event.to_payload())

    async def _wait(self) -> None:
        # Imported here to keep DAG parsing fast: the HTTP clients take half a second.
        from airflow_provider_laplas.batch.wait import wait_for_submitted  # noqa: PLC0415
        from airflow_provider_laplas.hooks import shared_client  # noqa: PLC0415
        from airflow_provider_laplas.results.output import Output  # noqa: PLC0415

        await asyncio.sleep(self.first_poll)
        # What is under way is paid for, and the API keeps it for so long.
        until = time.time() + RETENTION
        state = await apersistently(object_storage().off_loop, self.manifest, self._load, until=until)
        # Else the worker takes over what it finds.
        if state is not None:
            await wait_for_submitted(
                shared_client(self.conn_id),
                state,
                poll_interval=self.poll_interval,
                resume_at=self.resume_at,
                output=Output.read(self.formats, self.captions, self.quality),
            )

    def _load(self) -> "BatchState | None":
        from airflow_provider_laplas.manifest.lease import held_lease  # noqa: PLC0415
        from airflow_provider_laplas.manifest.state import BatchState  # noqa: PLC0415

        if not self.lease_token.isdigit():
            # A batch that version 0.1 has deferred.
            return None
        storage = object_storage()
        return BatchState.resumed(held_lease(self.manifest, int(self.lease_token), storage), storage)

    async def on_kill(self) -> None:
        """Log what becomes of the generations: the API cannot cancel them."""
        if _is_moved("the wait for the batch"):
            return
        log.warning(
            "The wait for a batch was cancelled. The API cannot cancel what was submitted: it goes on and is billed. "
            "Clear the task to resume from %s.",
            redacted(self.manifest),
        )


def _is_moved(what: str) -> bool:
    """Return whether Airflow has moved a wait because this triggerer stood still, and log that."""
    stall = recent_stall()
    if stall is None:
        return False
    log.info(
        "This triggerer stood still for %.0f s, so Airflow has moved %s to another triggerer. Nothing is lost, and there is "
        "nothing to do.",
        stall,
        what,
    )
    return True


def _first_poll(first_poll: float | None, first_look: float | None) -> float:
    given = first_look if first_poll is None else first_poll
    return FIRST_POLL if given is None else given
