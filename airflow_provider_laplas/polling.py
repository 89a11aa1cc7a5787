"""The one client that all waits of a process on the same connection share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from airflow_provider_laplas.hooks import LaplasHook


@dataclass(slots=True)
class _Shared:
    hook: LaplasHook
    users: int = 0


# By event loop: a session belongs to the loop that opened it, and a forked child has another loop.
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_hook(conn_id: str) -> AsyncIterator[LaplasHook]:
    """
    Lend the hook that all waits of this event loop on one connection share.

    The connection is looked up once for all of them, and again when its key is refused; the sockets are closed when
    the last one leaves.
    """
    hooks = _shared.setdefault(asyncio.get_running_loop(), {})
    shared = hooks.setdefault(conn_id, _Shared(LaplasHook(conn_id)))
    shared.users += 1
    shared.hook.open_session()
    try:
        yield shared.hook
    finally:
        shared.users -= 1
        if shared.users == 0:
            # Out of the dictionary before the first await: whoever comes now gets a hook of its own.
            del hooks[conn_id]
            await shared.hook.close_session()
