"""The sensor: wait for a generation that another task submitted."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import (
    BaseSensorOperator,
    Context,
    PokeReturnValue,
)
from airflow.sdk.exceptions import AirflowRescheduleException

from airflow_provider_laplas.api import check_generation_id
from airflow_provider_laplas.completion import (
    CompletionMixin,
    check_flag,
    check_keywords,
    check_seconds,
    check_text,
)
from airflow_provider_laplas.connection import DEFAULT_CONN_ID
from airflow_provider_laplas.options import is_template
from airflow_provider_laplas.waiting import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT, Wait


class STTCompletionSensor(CompletionMixin, BaseSensorOperator):
    """
    Wait until a generation is completed and return its transcript.

    Returns a dict of ``text``, ``generation_id``, ``model``, ``language``, ``duration`` (seconds), ``confidence``
    (0 to 1) and ``result``, each of them an XCom key as well, so that ``wait.output["text"]`` works. Several channels'
    texts are joined with newlines. ``load_transcript(wait.output["result"])`` in a downstream task loads the words and
    the raw reply.

    A look that fails does not end the wait. A sensor never submits: to a generation that failed or is gone it says so,
    and the task fails without an Airflow retry.

    :param generation_id: what :class:`~airflow_provider_laplas.operators.SubmitSTTOperator` returned. Templated
    :param conn_id: a connection of type ``laplas``. Default ``laplas_default``. Templated
    :param results_path: a folder in object storage to which the API's whole reply is written, as
        ``<generation_id>.json``; without one it becomes an XCom of this task, which Airflow deletes when the task is
        tried again or cleared. Templated
    :param deferrable: wait in the triggerer, without a worker slot. Default True, whatever Airflow's
        ``[operators] default_deferrable`` says
    :param poke_interval: the longest pause between two looks, in seconds. Default 10; the first ones are shorter
    :param timeout: seconds until the task gives up, counted from its start. Default 3600: the API keeps a result no
        longer. The generation itself goes on
    :param soft_fail: skip the task instead of failing it, in every mode
    """

    template_fields: Sequence[str] = ("generation_id", "conn_id", "results_path")
    ui_color = "#d6e9f8"

    def __init__(
        self,
        *,
        generation_id: str,
        conn_id: str = DEFAULT_CONN_ID,
        results_path: str | None = None,
        deferrable: bool = True,
        poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        check_keywords(type(self), kwargs)
        check_text("conn_id", conn_id)
        check_text("results_path", results_path, optional=True)
        if not is_template(generation_id):
            check_generation_id(generation_id)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(
            poke_interval=check_seconds("poke_interval", poke_interval),
            timeout=check_seconds("timeout", timeout),
            **kwargs,
        )
        self.generation_id = generation_id
        self.conn_id = conn_id
        self.results_path = results_path
        self.deferrable = check_flag("deferrable", deferrable)

    def generation_id_of(self, context: Context) -> str:
        """Return the id that the sensor was given."""
        return self.generation_id

    def execute(self, context: Context) -> Any:
        """Wait in the way that was chosen: deferred, rescheduled or in place."""
        with self.task_errors():
            wait = Wait(self.generation_id, self._started(context) + self.timeout, self.poke_interval)
            if self.deferrable:
                return self.wait_or_defer(context, wait)
            if self.reschedule:
                return self._look_or_reschedule(context, wait)
            with self.hook() as hook:
                generation = hook.wait_for(wait)
            return self.finish(context, generation)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        with self.task_errors(), self.hook() as hook:
            wait = Wait(self.generation_id, float("inf"), self.poke_interval)
            generation = wait.observe(hook.look(self.generation_id))
            if generation is None:
                return PokeReturnValue(is_done=False)
            return PokeReturnValue(is_done=True, xcom_value=self.finish(context, generation))

    def _look_or_reschedule(self, context: Context, wait: Wait) -> dict[str, Any]:
        with self.hook() as hook:
            generation = wait.observe(hook.look(wait.generation_id))
        if generation is None:
            again = pendulum.now("UTC") + timedelta(seconds=wait.pause())
            raise AirflowRescheduleException(again)  # type: ignore[no-untyped-call]
        return self.finish(context, generation)

    def _started(self, context: Context) -> float:
        """Return when the wait began, in epoch seconds: rescheduling starts the task anew, but not the wait."""
        first: datetime | None = None
        if self.reschedule and not self.deferrable:
            first = context["ti"].get_first_reschedule_date(context)
        return first.timestamp() if first else time.time()
