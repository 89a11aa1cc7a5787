"""The waiting half of a task, shared by the sensor and the one-task operator: look, defer, resume, return."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, Context

from airflow_provider_laplas.api import Generation
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.exceptions import as_airflow_error
from airflow_provider_laplas.options import is_template, nearest
from airflow_provider_laplas.results import Reference, TaskKey, load_transcript, save_reply
from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.triggers import CompletionEvent, STTCompletionTrigger
from airflow_provider_laplas.waiting import Wait

if TYPE_CHECKING:
    from airflow_provider_laplas.hooks import LaplasHook

BACKSTOP = 120.0
"""Seconds behind our own deadline at which Airflow ends the deferral, should the trigger not have done so."""

_TRIGGER_FAILED = "__fail__"  # Airflow's next_method for a task whose trigger failed or timed out.


class CompletionMixin:
    """What a task that waits for a generation does, whatever its base class."""

    conn_id: str
    deferrable: bool
    poke_interval: float
    results_path: str | None
    soft_fail: bool
    never_fail: bool
    timeout: float

    def generation_id_of(self, context: Context) -> str:
        """Return the id of the generation that this task waits for."""
        raise NotImplementedError

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Take the trigger's event; the API is not asked again."""
        with self.task_errors():
            completion = CompletionEvent.from_payload(event)
            if completion.error is not None:
                raise completion.error
            if completion.result is None:
                raise LaplasError("The trigger's event names no result. Clear the task.")
            transcript = load_transcript(completion.result)
            return summarise(completion.generation_id, transcript, completion.result)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; where Airflow gave the trigger up (its time-out, its death), look once more ourselves."""
        if next_method != _TRIGGER_FAILED:
            return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
        with self.task_errors():
            generation_id = self.generation_id_of(context)
            wait = Wait(generation_id, deadline=time.time())
            with self.hook() as hook:
                generation = wait.observe(hook.look(generation_id))
            if generation is None:
                raise wait.timed_out()
            return self.finish(context, generation)

    def wait_or_defer(self, context: Context, wait: Wait) -> dict[str, Any]:
        """Look once and return a finished transcript; otherwise leave the worker and wait in the triggerer."""
        with self.hook() as hook:
            generation = wait.observe(hook.look(wait.generation_id))
        if generation is None:
            self.defer_until(context, wait)
        return self.finish(context, generation)

    def defer_until(self, context: Context, wait: Wait) -> NoReturn:
        """Leave the worker."""
        seconds = max(wait.deadline - time.time(), 0.0)
        self.defer(  # type: ignore[attr-defined]
            trigger=STTCompletionTrigger(
                conn_id=self.conn_id,
                generation_id=wait.generation_id,
                deadline=wait.deadline,
                poll_interval=wait.poll_interval,
                submitted_at=wait.submitted_at,
                results_path=self.results_path or None,
                task=asdict(TaskKey.from_context(context)),
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=seconds + BACKSTOP),
        )
        raise AssertionError("defer() always raises")

    def finish(self, context: Context, generation: Generation) -> dict[str, Any]:
        """Bring a finished transcript to safety and return the summary of it."""
        reference = save_reply(
            generation.reply,
            generation_id=generation.generation_id,
            task=TaskKey.from_context(context),
            results_path=self.results_path or None,
        )
        return summarise(generation.generation_id, generation.transcript(), reference)

    def hook(self) -> "LaplasHook":
        """Return a hook for the task's connection."""
        # requests, aiohttp and the HTTP provider cost half a second to import, which a DAG file should not pay.
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

        return LaplasHook(self.conn_id)

    @contextmanager
    def task_errors(self) -> Iterator[None]:
        """Turn the core's errors into what Airflow does about them: fail, retry, or skip where the user chose so."""
        try:
            yield
        except LaplasError as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped, because soft_fail is set: {error}") from None
            raise as_airflow_error(error) from None


def summarise(generation_id: str, transcript: Transcript, reference: Reference) -> dict[str, Any]:
    """
    Return what a waiting task returns: small, plain JSON.

    ``text`` joins several channels with newlines; ``confidence`` is 0 to 1, ``duration`` seconds; ``result`` is what
    :func:`~airflow_provider_laplas.results.load_transcript` takes to load words and raw reply.
    """
    return {
        "text": transcript.text,
        "generation_id": generation_id,
        "model": transcript.model,
        "language": transcript.language,
        "duration": transcript.duration,
        "confidence": transcript.confidence,
        "result": reference,
    }


def check_keywords(operator: type[BaseOperator], given: Mapping[str, Any]) -> None:
    """
    Refuse keyword arguments that neither the operator nor its bases know.

    Airflow refuses them too, but does not say which one was meant.

    :raises LaplasArgumentError: naming the argument and the nearest known one
    """
    known: set[str] = set()
    for base in operator.__mro__:
        known.update(getattr(vars(base).get("__init__"), "_BaseOperatorMeta__param_names", ()))
    # Airflow passes markers of its own to operators that it maps.
    unknown = sorted(name for name in given if name not in known and not name.startswith("_airflow"))
    if unknown:
        raise LaplasArgumentError(
            f"{operator.__name__} has no argument `{unknown[0]}`.{nearest(unknown[0], known)}",
            argument=unknown[0],
        )


def check_text(name: str, value: Any, *, optional: bool = False) -> None:
    """
    Refuse an argument that is no text, unless Airflow still has to fill it in.

    :raises LaplasArgumentError: naming the argument
    """
    if (optional and value is None) or is_template(value):
        return
    if not isinstance(value, str) or not value.strip():
        raise LaplasArgumentError(f"`{name}` must be a text that is not empty, not {value!r}.", argument=name)


def check_seconds(name: str, value: Any) -> float:
    """
    Return a duration in seconds.

    :raises LaplasArgumentError: naming the argument, where it is not a number or a timedelta above 0
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise LaplasArgumentError(
            f"`{name}` must be seconds above 0, or a timedelta, not {value!r}.", argument=name
        )
    return float(seconds)


def check_flag(name: str, value: Any) -> bool:
    """
    Return a switch.

    :raises LaplasArgumentError: naming the argument, where it is not True or False
    """
    if not isinstance(value, bool):
        raise LaplasArgumentError(f"`{name}` must be True or False, not {value!r}.", argument=name)
    return value
