"""The operators: submit audio, submit it and wait in one task, or do so with thousands of files."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_laplas.arguments import check_flag, check_seconds, check_text
from airflow_provider_laplas.base import BaseSTTOperator
from airflow_provider_laplas.completion import CompletionMixin
from airflow_provider_laplas.durable import RecordStore
from airflow_provider_laplas.exceptions import airflow_errors
from airflow_provider_laplas.results import check_results_path, choose_results_path
from airflow_provider_laplas.waiting import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT

GENERATION_ID_KEY = "generation_id"
"""The XCom key under which a submission's id is found, beside the task's return value."""


class SubmitSTTOperator(BaseSTTOperator):
    """
    Submit audio and return the generation id.

    An :class:`~airflow_provider_laplas.sensors.STTCompletionSensor` waits for it. The id is pushed to XCom as the return value and under the key ``generation_id``. The arguments are those of
    :class:`BaseSTTOperator`.

    The API has no idempotency key. A submission that was sent and not answered is a
    :class:`~airflow_provider_laplas.errors.LaplasAmbiguousSubmitError`, which Airflow does not retry.
    """

    def execute(self, context: Context) -> str:
        """Submit, unless an earlier try of this task already has."""
        # requests, aiohttp and the HTTP provider cost half a second to import, which a DAG file should not pay.
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

        with airflow_errors(), LaplasHook(check_text("conn_id", self.conn_id)) as hook:
            folder = choose_results_path(None, hook.settings.results_path)
            record = self.obtain(context, hook, timeout=DEFAULT_TIMEOUT, folder=folder)
        generation_id = str(record.generation_id)
        context["ti"].xcom_push(key=GENERATION_ID_KEY, value=generation_id)
        return generation_id


class TranscribeOperator(CompletionMixin, BaseSTTOperator):
    """
    Submit audio, wait for the transcript, and return it: one task.

    The request's arguments are those of :class:`BaseSTTOperator`; waiting, the return value and the remaining
    arguments are those of :class:`~airflow_provider_laplas.sensors.STTCompletionSensor`.

    :param results_path: a folder in object storage for the API's whole reply. Templated
    :param deferrable: wait in the triggerer, without a worker slot. Default True
    :param poke_interval: the longest pause between two looks, in seconds. Default 10
    :param timeout: seconds from the submission until the task gives up. Default 3600
    :param soft_fail: skip the task instead of failing it
    """

    template_fields: Sequence[str] = (*BaseSTTOperator.template_fields, "results_path")

    def __init__(
        self,
        *,
        results_path: str | None = None,
        deferrable: bool = True,
        poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        soft_fail: bool = False,
        **kwargs: Any,
    ) -> None:
        check_results_path(results_path)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.results_path = results_path
        self.deferrable = check_flag("deferrable", deferrable)
        self.poke_interval = check_seconds("poke_interval", poke_interval)
        self.timeout = check_seconds("timeout", timeout)
        self.soft_fail = check_flag("soft_fail", soft_fail)
        self.never_fail = False

    def execute(self, context: Context) -> Any:
        """Submit, unless an earlier try of this task already has; then wait in the way that was chosen."""
        with self.task_errors():
            with self.hook() as hook:
                folder = choose_results_path(self.results_path, hook.settings.results_path)
                earlier = RecordStore(context).load()
                record = self.obtain(context, hook, timeout=self.timeout, folder=folder)
            context["ti"].xcom_push(key=GENERATION_ID_KEY, value=record.generation_id)
            known = earlier is not None and earlier.generation_id == record.generation_id
            return self.wait_for_generation(context, record, first_try=not known)
