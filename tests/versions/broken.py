"""Triggers that fail, for the scenarios: a triggerer imports them by this name."""

from collections.abc import AsyncIterator

from airflow_provider_laplas.airflow_compat import TriggerEvent
from airflow_provider_laplas.triggers import STTCompletionTrigger


class BrokenTrigger(STTCompletionTrigger):
    """Ends with an error that nobody expects."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        raise RuntimeError("This trigger is broken.")
        yield
