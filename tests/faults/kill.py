"""Ending a client's processes at an exact point of its conversation with the API."""

import os
import signal
from collections.abc import Callable
from typing import Literal

import psutil

from tests.fake_api import Behaviour, FakeAPI, Request

Target = Literal["task", "supervisor"]


def pid_of_port(port: int) -> int:
    """The process at the other end of a loopback connection."""
    for connection in psutil.net_connections("tcp4"):
        if (
            connection.laddr
            and connection.laddr.port == port
            and connection.pid
            and connection.pid != os.getpid()
        ):
            return connection.pid
    raise LookupError(f"nobody has port {port}")


def kill_owner(target: Target) -> Callable[[int], None]:
    """Kill -9 the task process that has a port, or the supervisor that started it."""

    def kill(port: int) -> None:
        task = psutil.Process(pid_of_port(port))
        os.kill((task if target == "task" else task.parent()).pid, signal.SIGKILL)

    return kill


def killing(target: Target, behaviour: Behaviour | None = None) -> Behaviour:
    """Take the whole request, kill the client's process, and only then do the rest."""

    async def act(api: FakeAPI, request: Request) -> None:
        await request.read_body()
        if request.method == "POST":
            api.create()
        kill_owner(target)(request.writer.get_extra_info("peername")[1])
        if behaviour is not None:
            await behaviour(api, request)
        request.writer.close()

    return act
