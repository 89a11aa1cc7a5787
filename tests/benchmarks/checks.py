"""The check that HttpEventTrigger calls; it reloads this module at every poll."""

from typing import Any


async def is_completed(response: Any) -> bool:
    """Say whether a reply is the last one."""
    return response.status_code == 200 and response.json()["status"] == "completed"
