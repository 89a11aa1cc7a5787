"""Triggers that fail, for the scenarios: a triggerer imports them by this name."""

import asyncio
from collections.abc import AsyncIterator

from airflow_provider_laplas.airflow_compat import TriggerEvent
from airflow_provider_laplas.triggers import FIRST_POLL, STTCompletionTrigger


class BrokenTrigger(STTCompletionTrigger):
    """Ends with an error that nobody expects."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        # Airflow fails a task whose trigger ends before its executor has reported the deferral.
        await asyncio.sleep(FIRST_POLL)
        raise RuntimeError("This trigger is broken.")
        yield
