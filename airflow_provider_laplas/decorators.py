"""``@task.transcribe``: transcribe the audio that a function returns."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_laplas.airflow_compat import (
    Asset,
    Context,
    DecoratedOperator,
    TaskDecorator,
    determine_kwargs,
    task_decorator_factory,
)
from airflow_provider_laplas.audio.sources import check_audio
from airflow_provider_laplas.batch.limits import BatchLimits
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.operators import TranscribeOperator, batch_task, plan_task
from airflow_provider_laplas.task.base import Task


class TranscribeDecoratedOperator(TranscribeOperator, DecoratedOperator):
    """
    Transcribe the audio that a function returns.

    A single source is transcribed as by :class:`~airflow_provider_laplas.operators.TranscribeOperator`, a list as by
    :class:`~airflow_provider_laplas.operators.TranscribeBatchOperator`. The arguments and the return value are theirs.
    A list needs ``results_path`` and ignores ``defer_after``.

    The function runs again in every try, and each time a batch submits more files. It should return the same audio each
    time, but may sign URLs anew.
    """

    custom_operator_name = "@task.transcribe"
    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *TranscribeOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = DecoratedOperator.template_fields_renderers

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        max_in_flight: int = 200,
        max_failed: int = 0,
        deduplicate: bool = False,
        max_files: int | None = None,
        max_audio_seconds: float | None = None,
        **kwargs: Any,
    ) -> None:
        if "audio" in kwargs:
            raise LaplasArgumentError(
                "`audio` must not be set: @task.transcribe uses what its function returns.", argument="audio"
            )
        if inspect.iscoroutinefunction(python_callable):
            raise LaplasArgumentError(
                "`python_callable` must not be a coroutine function.", argument="python_callable"
            )
        # Push each key of the return value as an XCom, whatever the function's annotation.
        kwargs["multiple_outputs"] = True
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            # A placeholder: the audio is checked once the function has returned it.
            audio=python_callable,
            **kwargs,
        )
        self.audio = None
        self.limits = BatchLimits.check(
            max_in_flight=max_in_flight,
            max_failed=max_failed,
            deduplicate=deduplicate,
            max_files=max_files,
            max_audio_seconds=max_audio_seconds,
        )

    def make_task(self, context: Context, event: Any = None) -> Task:
        """Call the function, and return the task for one source or for a list."""
        # An event with a generation id is of a single source, whose audio is not needed any more.
        if not (isinstance(event, Mapping) and "generation_id" in event):
            self._call(context)
        if isinstance(self.audio, list):
            return (plan_task if self.plan_only else batch_task)(self, context, self.limits)
        return super().make_task(context, event)

    def execute(self, context: Context) -> Any:
        """Call the function, then transcribe what it returned."""
        # As in DecoratedOperator.execute, which does not run here.
        given = (*self.given("op_args"), *self.given("op_kwargs").values())
        self.inlets += [one for one in given if isinstance(one, Asset)]
        return super().execute(context)

    def check_audio(self, audio: Any) -> Any:
        """Return one source, or a list of them."""
        return [check_audio(one) for one in audio] if isinstance(audio, list | tuple) else check_audio(audio)

    def _call(self, context: Context) -> None:
        args, kwargs = self.given("op_args"), self.given("op_kwargs")
        arguments = determine_kwargs(self.python_callable, args, {**context, **kwargs})
        self.show("audio", self.check_audio(self.python_callable(*args, **arguments)))


def transcribe_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Implement ``@task.transcribe``; see :class:`TranscribeDecoratedOperator`."""
    return task_decorator_factory(
        python_callable=python_callable,
        decorated_operator_class=TranscribeDecoratedOperator,
        **kwargs,
    )
