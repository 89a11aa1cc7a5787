"""Waiting in the triggerer, where a wait costs no worker slot."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_laplas.airflow_compat import BaseTrigger, TriggerEvent
from airflow_provider_laplas.api.poller import DEFAULT_POLL_INTERVAL, Poller
from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID
from airflow_provider_laplas.errors import LaplasError, from_payload, to_payload
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import Place, Reference, TaskKey, akeep_reply
from airflow_provider_laplas.storage import object_storage

log = logging.getLogger(__name__)

FIRST_POLL = 5.0
"""
Seconds from the deferral to the trigger's first poll.

A trigger that fires sooner can overtake the report of the half that deferred, and Airflow then fails the task
(observed with Airflow 3.3.2: 8 of 60 tasks with triggers of 1 s, none of 80 with 5 s).
"""


@dataclass(frozen=True, slots=True)
class CompletionEvent:
    """
    What the trigger tells the worker: small, because Airflow logs it and stores it unencrypted.

    :ivar generation_id: the generation that was waited for
    :ivar result: where the reply was put; None where the wait ended in an error
    :ivar error: the error, None where it ended well
    """

    generation_id: str
    result: Reference | None = None
    error: LaplasError | None = None

    def to_payload(self) -> dict[str, Any]:
        """Write the event as plain JSON."""
        if self.error is not None:
            return {"status": "error", "generation_id": self.generation_id, "error": to_payload(self.error)}
        return {"status": "completed", "generation_id": self.generation_id, "result": self.result}

    @classmethod
    def from_payload(cls, payload: Any) -> "CompletionEvent":
        """
        Read what :meth:`to_payload` wrote.

        :raises LaplasError: for anything else: an event that is not understood must not count as success
        """
        match payload:
            case {
                "status": "completed",
                "generation_id": str(generation_id),
                "result": str() | dict() as result,
            }:
                return cls(generation_id, result=result)
            case {"status": "error", "generation_id": str(generation_id), "error": Mapping() as error}:
                return cls(generation_id, error=from_payload(error))
        raise _not_ours()


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """
    What the batch's trigger tells the worker: to go on, or why it cannot; the manifest says the rest.

    :ivar error: the error that ended the wait, None where there is something to do
    """

    error: LaplasError | None = None

    def to_payload(self) -> dict[str, Any]:
        """Write the event as plain JSON."""
        if self.error is not None:
            return {"status": "error", "error": to_payload(self.error)}
        return {"status": "waited"}

    @classmethod
    def from_payload(cls, payload: Any) -> "BatchEvent":
        """
        Read what :meth:`to_payload` wrote.

        :raises LaplasError: for anything else
        """
        match payload:
            case {"status": "waited"}:
                return cls()
            case {"status": "error", "error": Mapping() as error}:
                return cls(from_payload(error))
        raise _not_ours()


class STTCompletionTrigger(BaseTrigger):
    """
    Wait for a generation, bring its transcript to safety, and say where it lies.

    The reply is stored here and not by the resumed task: a worker slot may be hours away, and the API keeps the
    reply for one.

    :param conn_id: the connection's id; the key itself never travels in a trigger's arguments
    :param generation_id: what to wait for
    :param deadline: epoch seconds; past it the wait ends in a
        :class:`~airflow_provider_laplas.errors.LaplasGenerationTimeoutError` after one last poll
    :param poll_interval: the longest pause between two polls, in seconds. Default 10
    :param submitted_at: epoch seconds of the submission, where it is known
    :param results_path: the folder in object storage for the reply; without one it becomes an XCom
    :param task: the ids of the task instance that owns the XCom. Default: the one that deferred
    :param first_poll: seconds until the first poll. Default :data:`FIRST_POLL`
    :param first_look: the same, as tasks have stored it that were deferred by 0.1
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
            event = CompletionEvent(self.generation_id, result=await self._wait_and_store())
        except LaplasError as error:
            event = CompletionEvent(self.generation_id, error=error)
        yield TriggerEvent(event.to_payload())

    async def on_kill(self) -> None:
        """Say that the generation goes on: the API cannot cancel one."""
        log.warning(
            "The wait for generation %s was ended from outside. The API cannot cancel it: it goes on and is billed. An "
            "STTCompletionSensor with this id takes it up again.",
            self.generation_id,
        )

    async def _wait_and_store(self) -> Reference:
        # The HTTP clients cost half a second to import, which the DAG processor should not pay.
        from airflow_provider_laplas.hooks import shared_client  # noqa: PLC0415

        wait = Poller(self.generation_id, self.deadline, self.poll_interval, self.submitted_at)
        # Spread over two seconds: many tasks that deferred together should not poll together.
        await asyncio.sleep(self.first_poll + 2 * random.random())  # noqa: S311
        generation = await shared_client(self.conn_id).wait_for(wait)
        # Shielded: what is paid for is stored even if the trigger is moved right now.
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

    The one event comes when all are done, or, where files are left to submit, when ``resume_at`` or fewer are open.

    :param conn_id: the connection's id
    :param manifest: the manifest's URI; the transcripts lie beside it
    :param lease_token: of the lease that the task holds on the batch, with which alone the manifest may be written
    :param poll_interval: the longest pause between two polls at one file, in seconds
    :param resume_at: how many may be open when the worker is called back to submit the next ones
    :param first_poll: seconds until the first poll. Default :data:`FIRST_POLL`
    :param claim: ``lease_token``, and ``first_look`` ``first_poll``, as tasks have stored them that were deferred by 0.1
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
        claim: str | None = None,
        first_look: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped.
        self.conn_id = conn_id
        self.manifest = manifest
        self.lease_token = str(lease_token or claim)
        self.poll_interval = poll_interval
        self.resume_at = resume_at
        self.first_poll = _first_poll(first_poll, first_look)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments, which are stored in plain JSON."""
        names = ("conn_id", "manifest", "lease_token", "poll_interval", "resume_at", "first_poll")
        return f"{type(self).__module__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, store, and yield the one event."""
        # The HTTP clients cost half a second to import, which the DAG processor should not pay.
        from airflow_provider_laplas.batch.wait import wait_for_submitted  # noqa: PLC0415
        from airflow_provider_laplas.hooks import shared_client  # noqa: PLC0415
        from airflow_provider_laplas.manifest.manifest import Manifest  # noqa: PLC0415

        event = BatchEvent()
        try:
            await asyncio.sleep(self.first_poll)
            manifest = await object_storage().off_loop(
                self.manifest, Manifest.resumed, self.manifest, self.lease_token
            )
            await wait_for_submitted(
                shared_client(self.conn_id),
                manifest,
                poll_interval=self.poll_interval,
                resume_at=self.resume_at,
            )
        except LaplasError as error:
            event = BatchEvent(error)
        yield TriggerEvent(event.to_payload())

    async def on_kill(self) -> None:
        """Say that the generations go on: the API cannot cancel one."""
        log.warning(
            "The wait for a batch was ended from outside. The API cannot cancel what was submitted: it goes on and is "
            "billed. Clearing the task takes it up again, from %s.",
            redacted(self.manifest),
        )


def _not_ours() -> LaplasError:
    return LaplasError("The task was resumed with an event that its trigger never sends. Clear the task.")


def _first_poll(first_poll: float | None, first_look: float | None) -> float:
    given = first_look if first_poll is None else first_poll
    return FIRST_POLL if given is None else given
