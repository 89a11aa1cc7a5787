"""Programs that are started, watched and ended as a whole, and conditions that are waited for."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TypeVar

import psutil

T = TypeVar("T")

LOG_TAIL_LINES = 40
# Seconds that only a defect takes, and no busy machine. A program that ends by itself is noticed at once.
PATIENCE = 600.0
PAUSE_SECONDS = 0.2


class ProcessDiedError(RuntimeError):
    """A program ended that should have gone on; the message carries the end of its log."""


class Program:
    """
    One program in a session of its own, with its output in a file.

    A session and not only a process group: Airflow gives every task a group of its own, so ending a group
    would leave the running tasks behind.

    :param name: what errors call it
    :param command: the program and its arguments
    :param log: the file that its output is appended to
    :param environment: all of its environment
    :param folder: its working directory
    :param user: the system's user that it runs as; by default this process's
    :param end_signal: the signal that asks it to end
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path,
        user: str | None = None,
        end_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._user = user
        self._end_signal = end_signal
        self._command = list(command)
        self._environment = dict(environment)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running program; ``RuntimeError`` when it was not started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it, appending to its log; ``RuntimeError`` when it runs already."""
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError(f"{self.name} is running already, as process {self._process.pid}")
        # One that ended by itself may have left children.
        self.kill()
        with self.log.open("ab") as output, _signals_held_back():
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user,
            )

    @property
    def has_ended(self) -> bool:
        """Whether it was started, and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def check(self) -> None:
        """Raise ``ProcessDiedError`` when the program was started and has ended by itself."""
        if self._process is None or (code := self._process.poll()) is None:
            return
        raise ProcessDiedError(
            f"{self.name} ended by itself with status {code}. The end of {self.log}:\n{tail(self.log.read_text(errors='replace'))}"
        )

    def terminate(self) -> None:
        """Ask the program to end (by a signal to its process group), without waiting for it."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, self._end_signal)

    def kill(self) -> None:
        """End everything the program started, at once (SIGKILL), and wait until it is gone."""
        if self._process is None:
            return
        # A member can start another one between the look and the signal.
        while members := session_members(self._process.pid):
            for member in members:
                with suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
            self._process.poll()
            time.sleep(0.02)
        self._process.wait()
        self._process = None

    def wait(self, seconds: float) -> None:
        """Wait for the program to end, at most so many seconds."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)


def end(programs: Iterable[Program], *, grace: float = 10.0) -> None:
    """End programs: ask all of them, wait up to ``grace`` seconds altogether, then kill what is left."""
    programs = list(programs)
    deadline = time.monotonic() + grace
    try:
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for program in programs:
            program.kill()


def remove_folder(folder: Path, *, patience: float = 10.0) -> None:
    """Delete a folder, again for some seconds where what was killed just now still wrote into it."""
    deadline = time.monotonic() + patience
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(PAUSE_SECONDS)


def session_members(session: int) -> list[int]:
    """Return the ids of the live processes in the session of that id."""
    members = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
    return members


def await_condition(
    condition: Callable[[], T],
    *,
    timeout: float = PATIENCE,
    what: str,
    programs: Iterable[Program] = (),
    pause: float = PAUSE_SECONDS,
) -> T:
    """
    Return the first value of ``condition`` that is true, as Python sees it: an empty list is waited past.

    :param timeout: seconds
    :param what: what is waited for, in the error's words
    :param programs: those that the condition depends on
    :param pause: seconds between two looks
    :raises TimeoutError: when the time is over
    :raises ProcessDiedError: as soon as one of the programs has ended by itself
    """
    programs = list(programs)
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        for program in programs:
            program.check()
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(pause)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def tail(text: str, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a text, or a note that there are none."""
    return "\n".join(text.splitlines()[-lines:]) or "(empty)"


def clean_environment() -> dict[str, str]:
    """Return this process's environment without anything that would steer Airflow or write into the project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "LAPLAS"))}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Handle SIGINT and SIGTERM after the block: amid it, the program that is being started would be nobody's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number)) or signal.SIG_DFL
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """
    Turn SIGTERM into ``KeyboardInterrupt`` inside the block, so that clean-up code runs.

    Only in the main thread, the one that may set handlers, and only where nobody else handles the signal.
    """

    def interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        # A second signal must not cut the clean-up short.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
