"""The processes of a demo that was started, known by the temporary folder in their environment."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil


def left_running(folder: Path) -> list[int]:
    """Return the ids of those that still run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(folder):
                found.append(process.pid)
    return found


def end_left_running(folder: Path) -> None:
    """Kill those that still run: after a failure they are nobody's."""
    for pid in left_running(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
