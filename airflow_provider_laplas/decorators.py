"""``@task.transcribe``: a function that says what to transcribe."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import (
    BaseOperator,
    Context,
    DecoratedOperator,
    TaskDecorator,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_laplas.audio import check_audio
from airflow_provider_laplas.base import shown
from airflow_provider_laplas.batch_completion import BatchMixin
from airflow_provider_laplas.completion import TRIGGER_FAILED, trigger_timed_out
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.exceptions import task_errors
from airflow_provider_laplas.operators import TranscribeOperator


class TranscribeDecoratedOperator(DecoratedOperator, TranscribeOperator, BatchMixin):
    """
    Transcribe what a function returns.

    One source of audio is transcribed as by :class:`~airflow_provider_laplas.operators.TranscribeOperator`, whose return
    value is the task's; a list of them as by :class:`~airflow_provider_laplas.operators.TranscribeBatchOperator`, into
    ``results_path``, which a list needs. The arguments are those of both; ``defer_after`` means nothing for a list.

    The function runs again in every try, and where a batch is called back to submit more: it should return the same audio
    each time. A signed URL may be signed anew.
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
                "`audio` is what the function of @task.transcribe returns.", argument="audio"
            )
        if inspect.iscoroutinefunction(python_callable):
            raise LaplasArgumentError(
                "`python_callable` must not be a coroutine function.", argument="python_callable"
            )
        # The keys of the summary are XComs, whatever the function's annotation says.
        kwargs["multiple_outputs"] = True
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            # Checked when the function has returned it.
            audio=python_callable,
            **kwargs,
        )
        self.audio = self._audio = None
        self._args: list[Any] = list(self.op_args)
        self._kwargs: dict[str, Any] = dict(self.op_kwargs)
        self.accept_limits(
            max_in_flight=max_in_flight,
            max_failed=max_failed,
            deduplicate=deduplicate,
            max_files=max_files,
            max_audio_seconds=max_audio_seconds,
        )

    def execute(self, context: Context) -> Any:
        """Call the function, then transcribe what it returned, in the form that fits."""
        self._call(context)
        return self.begin_batch(context) if self._is_batch() else super().execute(context)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Take the event of the one form's trigger or the other's."""
        # The single form's events name their generation.
        if isinstance(event, Mapping) and "generation_id" in event:
            return super().execute_complete(context, event)
        self._call(context)
        return BatchMixin.execute_complete(self, context, event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; where Airflow gave the trigger up, in the form that fits what the function returns."""
        if next_method == TRIGGER_FAILED:
            self._call(context)
            if self._is_batch():
                if trigger_timed_out(next_method, next_kwargs):
                    return self.resume_timed_out(context)
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        return super().resume_execution(next_method, next_kwargs, context)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what the form that ran has read and written, for OpenLineage."""
        form = BatchMixin if self._is_batch() else TranscribeOperator
        return form.get_openlineage_facets_on_complete(self, task_instance)

    def check_audio(self, audio: Any) -> Any:
        """Return one source, or a list of them."""
        return [check_audio(one) for one in audio] if isinstance(audio, list | tuple) else check_audio(audio)

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Render; what Airflow stores and shows of the function's arguments is without the signatures of URLs."""
        super()._do_render_template_fields(parent, *args, **kwargs)
        if parent is self:
            self._args, self._kwargs = list(self.op_args), dict(self.op_kwargs)
            self.op_args = shown(self._args)
            self.op_kwargs = {name: shown(value) for name, value in self._kwargs.items()}

    def _is_batch(self) -> bool:
        return isinstance(self.audio, list)

    def _call(self, context: Context) -> None:
        arguments = determine_kwargs(self.python_callable, self._args, {**context, **self._kwargs})
        with task_errors(skip=self.soft_fail):
            self._audio = self.check_audio(self.python_callable(*self._args, **arguments))
        self.audio = shown(self._audio)


def transcribe_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a function into a task; see :class:`TranscribeDecoratedOperator`. Called as ``@task.transcribe``."""
    return task_decorator_factory(
        python_callable=python_callable,
        decorated_operator_class=TranscribeDecoratedOperator,
        **kwargs,
    )
