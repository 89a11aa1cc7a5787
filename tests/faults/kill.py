"""Ending a client's processes at an exact point of its conversation with the API."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Literal

import psutil

from tests.fake_api import Behaviour, FakeAPI, Request, accept, answer_healthily

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
    """Accept a request, kill the client's process, and only then do the rest."""

    async def act(api: FakeAPI, request: Request) -> None:
        await accept(api, request)
        kill_owner(target)(request.writer.get_extra_info("peername")[1])
        if behaviour is not None:
            await behaviour(api, request)
        request.writer.close()

    return act


class Stopped:
    """Processes that are stopped, as a machine that hangs stops them, and continued later."""

    def __init__(self) -> None:
        self._pids: list[int] = []

    def stop(self, *pids: int) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            self._pids.append(pid)

    def stop_owner(self, port: int) -> None:
        """Stop the task process that has a port, and its supervisor, which would say that it is alive."""
        task = psutil.Process(pid_of_port(port))
        self.stop(task.parent().pid, task.pid)

    def resume(self) -> None:
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Midway:
    """
    Kills a process once, in the middle of POSTs that come together.

    A behaviour for all the requests that are under way then. Each is taken whole, and paid for, and held; the first one
    kills when the time has come. They are let go together, without an answer if there is no ``behaviour``.

    :param act: what is done to the client that has a port
    :param when: the time to do it
    :param until: the time to let go, by default right then
    :param size: the bytes of a body that are taken before that; by default all
    """

    def __init__(
        self,
        act: Callable[[int], None],
        *,
        when: Callable[[], bool],
        until: Callable[[], bool] = lambda: True,
        behaviour: Behaviour | None = None,
        size: int | None = None,
    ) -> None:
        self._size = size
        self._act = act
        self._when = when
        self._until = until
        self._behaviour = behaviour
        self._first = True
        self._let_go = asyncio.Event()

    async def __call__(self, api: FakeAPI, request: Request) -> None:
        if self._let_go.is_set():
            # One that was not under way then, but comes of a later try.
            await answer_healthily(api, request)
            return
        begun = b""
        if self._size is None:
            await request.read_body()
        else:
            begun = await request.reader.readexactly(self._size)
        # One kill only: once the supervisor is gone, the task has another parent, who must live.
        if self._first:
            self._first = False
            await _come_true(self._when)
            self._act(request.writer.get_extra_info("peername")[1])
            await _come_true(self._until)
            self._let_go.set()
        await self._let_go.wait()
        if begun:
            left = int(request.headers["content-length"]) - len(begun)
            request.body = begun + await request.reader.readexactly(left)
        if self._behaviour is not None:
            await self._behaviour(api, request)
            return
        api.create()
        request.writer.close()


async def _come_true(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what it waits for is another process's doing.
        await asyncio.sleep(0.05)
