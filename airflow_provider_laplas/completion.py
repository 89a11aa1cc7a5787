"""The waiting half of a task, shared by the sensor and the one-task operator: look, defer, resume, return."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, Context

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.poller import SETTLING, Poller
from airflow_provider_laplas.api.responses import Generation
from airflow_provider_laplas.arguments import check_flag, check_pause, check_text
from airflow_provider_laplas.durable import Record, RecordStore
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.exceptions import task_errors
from airflow_provider_laplas.formats import check_formats
from airflow_provider_laplas.lineage import lineage
from airflow_provider_laplas.publishing import (
    QualitySkip,
    asset_uri,
    check_captions,
    check_quality,
    emit_asset,
    judge,
    publish,
    read_captions,
    read_quality,
)
from airflow_provider_laplas.results import (
    Reference,
    TaskKey,
    check_results_path,
    choose_results_path,
    find_reply,
    inline,
    load_reply,
    save_reply,
)
from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.triggers import CompletionEvent, STTCompletionTrigger
from airflow_provider_laplas.usage import USAGE_KEY, transcript_usage

if TYPE_CHECKING:
    from airflow_provider_laplas.hooks import LaplasHook

log = logging.getLogger(__name__)

BACKSTOP = 120.0
"""Seconds behind our own deadline at which Airflow ends the deferral, should the trigger not have done so."""

TRIGGER_FAILED = "__fail__"
"""Airflow's ``next_method`` for a task whose trigger failed or timed out."""

TRIGGER_TIMEOUT = "Trigger timeout"
"""What Airflow's ``next_kwargs`` then say of a deferral's own time-out."""


class CompletionMixin:
    """What a task that waits for a generation does, whatever its base class."""

    captions: dict[str, Any] | None
    conn_id: str
    deferrable: bool
    defer_after: float | None
    execution_timeout: timedelta | None
    formats: Any
    outlets: list[Any]
    poke_interval: float
    quality: dict[str, Any] | None
    results_path: str | None
    shown_source: Callable[[], str | None]
    soft_fail: bool
    never_fail: bool
    timeout: float
    written: str | None = None
    """The stored reply's URI, once the task has brought it to safety."""
    _waiting_for: str | None = None
    _files: Mapping[str, str] = MappingProxyType({})
    usual_stay: float = 0.0
    """Seconds of looking in the worker before deferring, where the user does not say and the task is not mapped."""

    def accept(
        self,
        *,
        results_path: Any,
        formats: Any,
        captions: Any,
        quality: Any,
        deferrable: Any,
        defer_after: Any,
    ) -> None:
        """
        Take over the arguments that say how to wait and what to make of the transcript.

        :raises LaplasArgumentError: naming the one that cannot be right
        """
        check_results_path(results_path)
        self.results_path = results_path
        self.formats = check_formats(formats)
        self.captions = check_captions(captions)
        self.quality = check_quality(quality)
        self.deferrable = check_flag("deferrable", deferrable)
        self.defer_after = check_pause("defer_after", defer_after)

    def choose_folder(self, hook: "LaplasHook") -> str | None:
        """
        Return the folder for replies.

        :raises LaplasArgumentError: where there is none, and files are asked for; or a template has made an argument of
            what comes after the wait a wrong one
        """
        folder = choose_results_path(self.results_path, hook.settings.results_path)
        if folder is None and set(check_formats(self.formats)) - {"json"}:
            raise LaplasArgumentError(
                "`formats` needs a folder: set `results_path`. Nothing was submitted by this try.",
                argument="formats",
            )
        read_captions(self.captions)
        read_quality(self.quality)
        return folder

    def wait_for_generation(self, context: Context, record: Record, *, first_try: bool) -> dict[str, Any]:
        """
        Return the summary of the record's generation: stored already, finished now, or after a wait.

        :param first_try: whether nothing can be stored yet, so that nobody needs to look
        """
        generation_id = _known(record.generation_id)
        with self.hook() as hook:
            folder = self.choose_folder(hook)
            if not first_try and (reply := self._find_stored(record, folder)) is not None:
                log.info("Generation %s is stored; the API is not asked.", generation_id)
                return self.finish(context, generation_id, reply, folder)
            wait = Poller(
                generation_id,
                record.deadline,
                self.poke_interval,
                record.submitted_at,
                started=record.deadline - self.timeout,
            )
            self._waiting_for = generation_id
            # A mapped task may have hundreds of brothers, which must not sit on worker slots.
            mapped = TaskKey.from_context(context).map_index >= 0
            stay = (0.0 if mapped else self.usual_stay) if self.defer_after is None else self.defer_after
            generation = self.look(hook, wait, stay=stay)
            if generation is None:
                self._defer(context, wait, folder)
            self._waiting_for = None
        return self.finish(context, generation_id, generation.reply, folder)

    def look(self, hook: "LaplasHook", wait: Poller, *, stay: float) -> Generation | None:
        """
        Look for some seconds, once at least; or wait in place where the task is not deferrable. None means: defer.

        :param stay: how many
        """
        if not self.deferrable:
            return hook.client.wait_for(wait)
        # What was just submitted is not done yet.
        if not stay and wait.submitted_at is not None and time.time() - wait.submitted_at < SETTLING:
            return None
        return hook.client.wait_for(wait, stay=stay)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Take the trigger's event; the API is not asked again."""
        with self.task_errors():
            completion = CompletionEvent.from_payload(event)
            if completion.error is not None:
                raise completion.error
            reference: Any = completion.result
            return self._hand_on(context, completion.generation_id, load_reply(reference), reference)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; where Airflow gave the trigger up (its time-out, its death), look once more ourselves."""
        if next_method != TRIGGER_FAILED:
            return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
        with self.task_errors():
            generation_id = self.generation_id_of(context)
            why = (next_kwargs or {}).get("error", "no reason given")
            trace = "\n".join((next_kwargs or {}).get("traceback") or ())
            log.warning(
                "The wait for generation %s ended early (%s); looking once more. %s",
                generation_id,
                why,
                trace,
            )
            wait = Poller(generation_id, deadline=float("inf"))
            with self.hook() as hook:
                folder = self.choose_folder(hook)
                record = RecordStore(context).load() or Record("", 0, 0.0, generation_id)
                reply = self._find_stored(record, folder)
                if reply is None:
                    generation = wait.observe(_last_look(hook, generation_id))
                    broken = not trigger_timed_out(next_method, next_kwargs)
                    if generation is None and broken and time.time() < record.deadline:
                        # Airflow's own error, which is worth a retry: that goes on waiting.
                        return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
                    if generation is None:
                        raise wait.timed_out(
                            f"was not done when the trigger that waited for it ended ({why})"
                        )
                    reply = dict(generation.reply)
            return self.finish(context, generation_id, reply, folder)

    def finish(
        self, context: Context, generation_id: str, reply: Mapping[str, Any], folder: str | None
    ) -> dict[str, Any]:
        """Bring a finished transcript to safety and return the summary of it."""
        task = TaskKey.from_context(context)
        try:
            reference = save_reply(reply, generation_id=generation_id, task=task, results_path=folder)
        except Exception:
            if folder is None:
                raise
            log.exception(
                "Generation %s cannot be stored in the folder, so it becomes an XCom.", generation_id
            )
            reference = save_reply(reply, generation_id=generation_id, task=task, results_path=None)
        return self._hand_on(context, generation_id, reply, reference)

    def generation_id_of(self, context: Context) -> str:
        """Return the id of the generation that this task waits for."""
        record = RecordStore(context).load()
        return str(_known(record.generation_id if record else None))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the audio and the files made of it, for OpenLineage."""
        source = self.shown_source()
        return lineage([source] if source else [], map(asset_uri, self._files.values()))

    def hook(self) -> "LaplasHook":
        """Return a hook for the task's connection."""
        return make_hook(self.conn_id)

    def on_kill(self) -> None:
        """Say that the generation goes on: the API cannot cancel one."""
        if self._waiting_for:
            log.warning(
                "The task was ended while it waited for generation %s. The API cannot cancel it: it goes on and is "
                "billed. An STTCompletionSensor with this id takes it up again.",
                self._waiting_for,
            )

    @contextmanager
    def task_errors(self) -> Iterator[None]:
        """Turn the core's errors into what Airflow does about them: fail, retry, or skip where the user chose so."""
        with task_errors(skip=self.soft_fail or self.never_fail):
            try:
                yield
            except QualitySkip as skip:
                raise AirflowSkipException(str(skip)) from None

    def _hand_on(
        self, context: Context, generation_id: str, reply: Mapping[str, Any], reference: Reference
    ) -> dict[str, Any]:
        """Judge a reply that is kept, write its other formats, tell other tasks, and return the summary."""
        fresh = _remember(context, reference, reply)
        transcript = Transcript.from_reply(reply)
        if fresh:
            METRICS.finished(transcript.duration)
        # Before the checks: it is billed, whatever they say.
        context["ti"].xcom_push(key=USAGE_KEY, value=transcript_usage(transcript, price_of(self.conn_id)))
        judge(transcript, read_quality(self.quality), generation_id)
        if isinstance(reference, str):
            self.written = reference
            self._files = publish(reference, transcript, self.formats, read_captions(self.captions))
        elif set(self.formats) - {"json"}:
            raise LaplasArgumentError(
                f"`formats` cannot be written: the reply of generation {generation_id} could be kept in XCom only. Clear "
                "the task once `results_path` can be written to; nothing is paid again.",
                argument="formats",
            )
        for uri in self._files.values():
            emit_asset(
                context,
                self.outlets,
                uri,
                uri=uri,
                source=self.shown_source(),
                duration=transcript.duration,
                language=transcript.language,
                generation_id=generation_id,
            )
        return summarise(generation_id, transcript, reference, self._files)

    def _find_stored(self, record: Record, folder: str | None) -> dict[str, Any] | None:
        reference = record.result or find_reply(_known(record.generation_id), folder)
        try:
            return load_reply(reference) if reference is not None else None
        except LaplasArgumentError as error:
            log.warning("The stored reply cannot be taken, so the API is asked: %s", error)
            return None

    def _defer(self, context: Context, wait: Poller, folder: str | None) -> NoReturn:
        self.defer(  # type: ignore[attr-defined]
            trigger=STTCompletionTrigger(
                conn_id=self.conn_id,
                generation_id=wait.generation_id,
                deadline=wait.deadline,
                poll_interval=wait.poll_interval,
                submitted_at=wait.submitted_at,
                results_path=folder,
                task=asdict(TaskKey.from_context(context)),
            ),
            method_name="execute_complete",
            timeout=deferral_timeout(wait.deadline - time.time(), self.execution_timeout),
        )
        raise AssertionError("defer() always raises")


def make_hook(conn_id: Any) -> "LaplasHook":
    """
    Return a hook for a connection id that a template may have filled in.

    :raises LaplasArgumentError: where it is no text
    """
    # requests, aiohttp and the HTTP provider cost half a second to import, which a DAG file should not pay.
    from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

    return LaplasHook(check_text("conn_id", conn_id))


def deferral_timeout(seconds: float, execution_timeout: timedelta | None) -> timedelta:
    """Return the deferral's time-out for a wait of so many seconds: Airflow counts deferred time towards no other."""
    timeout = timedelta(seconds=max(seconds, 0.0) + BACKSTOP)
    return timeout if execution_timeout is None else min(timeout, execution_timeout)


def trigger_timed_out(next_method: str, next_kwargs: Mapping[str, Any] | None) -> bool:
    """Tell whether Airflow resumes a task because its deferral's time-out has passed."""
    return next_method == TRIGGER_FAILED and (next_kwargs or {}).get("error") == TRIGGER_TIMEOUT


def price_of(conn_id: str) -> float | None:
    """Return a connection's price of a minute; one that is gone by now does not matter to what is finished."""
    try:
        with make_hook(conn_id) as hook:
            return hook.settings.price_per_minute
    except LaplasError as error:
        log.warning("The cost cannot be estimated: %s", error)
        return None


def _last_look(hook: "LaplasHook", generation_id: str) -> Generation | LaplasError:
    """Look with all the repetitions that a hook makes: nobody looks again after this."""
    try:
        return hook.fetch(generation_id)
    except LaplasError as error:
        return error


def summarise(
    generation_id: str, transcript: Transcript, reference: Reference, files: Mapping[str, str]
) -> dict[str, Any]:
    """
    Return what a waiting task returns: small, plain JSON.

    ``text`` joins several channels with newlines; ``confidence`` is 0 to 1, ``duration`` seconds; ``result`` is what
    :func:`~airflow_provider_laplas.results.load_transcript` takes to load words and raw reply; ``files`` the URI of each
    format, empty without a ``results_path``.
    """
    return {
        "text": transcript.text,
        "generation_id": generation_id,
        "model": transcript.model,
        "language": transcript.language,
        "duration": transcript.duration,
        "confidence": transcript.confidence,
        "result": reference,
        "files": dict(files),
    }


def _remember(context: Context, reference: Reference, reply: Mapping[str, Any]) -> bool:
    """
    Note where the reply lies for a later try; an XCom would be gone by then, so a short reply itself is noted.

    :return: whether it was not noted before
    """
    store = RecordStore(context)
    record = store.load()
    if record is None:
        return True
    store.save(replace(record, result=reference if isinstance(reference, str) else inline(reply)))
    return record.result is None


def _known(value: Any) -> Any:
    if value is None:
        raise LaplasError(
            "The task does not know which generation it waits for: nothing was noted. Clear it to start anew."
        )
    return value
