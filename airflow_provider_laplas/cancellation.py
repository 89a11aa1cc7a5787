"""
Why Airflow has cancelled a wait: its trigger's hook ``on_kill`` is not told.

A user who clears or marks the task is one reason. The other is a triggerer that stalled: another one has taken its waits
over by the time it comes back, and it then cancels its own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from enum import Enum, auto

from airflow_provider_laplas.airflow_compat import task_state
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.storage import off_loop

log = logging.getLogger(__name__)

LOOK_SECONDS = 20.0
"""Seconds to find the cause in; Airflow gives ``on_kill`` 30."""


class Cause(Enum):
    """
    Why a wait was cancelled.

    :cvar USER: somebody cleared or marked the task, and nobody waits; also if it cannot be found out
    :cvar TAKEN_OVER: another trigger waits; after a Clear, that of the next try may be there already
    :cvar DONE: another trigger has waited to the end
    """

    USER = auto()
    TAKEN_OVER = auto()
    DONE = auto()


async def find_cause(task: TaskKey | None, done: Callable[[], Awaitable[bool]]) -> Cause:
    """
    Return why the wait of a task was cancelled. Never raises.

    :param task: the task instance that waits, if it is known
    :param done: whether what was waited for has been brought to safety, or is being dealt with
    """
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            if task is not None and await off_loop(lambda: task_state(**asdict(task))) == "deferred":
                return Cause.TAKEN_OVER
            return Cause.DONE if await done() else Cause.USER
    except Exception as error:  # noqa: BLE001
        log.debug("Why the wait was cancelled is not known: %s", redact(repr(error)))
        return Cause.USER
