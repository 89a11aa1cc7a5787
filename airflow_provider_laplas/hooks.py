"""The hook: the client with an Airflow connection, raising Airflow exceptions."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from weakref import WeakKeyDictionary

import requests
from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_laplas.airflow_compat import (
    METRICS,
    AirflowNotFoundException,
    aconnection_fields,
    connection_fields,
    form_widgets,
)
from airflow_provider_laplas.api.options import DEFAULT_MODEL
from airflow_provider_laplas.api.poller import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT
from airflow_provider_laplas.api.responses import Generation
from airflow_provider_laplas.client.client import LEGACY_TIMEOUT, LaplasClient
from airflow_provider_laplas.client.rate_limited import RateLimitedClient
from airflow_provider_laplas.client.settings import (
    CONNECTION_TYPE,
    DEFAULT_CONN_ID,
    EXTRA_FIELDS,
    USUAL_FIELDS,
    ConnectionSettings,
    read_connection,
)
from airflow_provider_laplas.errors import LaplasConfigurationError, LaplasError, LaplasTransportError
from airflow_provider_laplas.exceptions import airflow_errors
from airflow_provider_laplas.redaction import redact, redacted
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.transcript.model import Transcript


class LaplasHook(HttpHook):
    """
    Call the Laplas API with the credentials of an Airflow connection.

    For use in any Python task. It raises Airflow exceptions with the right retry behaviour, so that a task is not
    retried if that would pay again. The connection is looked up once per hook. Use it as a context manager (``with``
    or ``async with``) to close its sockets. Do not make blocking calls from an event loop. For details of each method,
    see the method of the same name in :class:`~airflow_provider_laplas.client.client.LaplasClient`.

    :param conn_id: the id of a connection of type ``laplas``
    :ivar client: the underlying client, whose errors are not Airflow exceptions
    """

    conn_name_attr = "conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONNECTION_TYPE
    hook_name = "Laplas"

    def __init__(self, conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__(http_conn_id=conn_id)
        self.conn_id = conn_id
        self.client = LaplasClient(source=_AirflowConnection(self), storage=object_storage(), metrics=METRICS)

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the fields of the connection's form, which Airflow 3.0 and 3.1 do not read in the registration."""
        return form_widgets(EXTRA_FIELDS)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form shows the usual fields, for Airflow 3.0 and 3.1."""
        return {name.replace("-", "_"): value for name, value in USUAL_FIELDS.items()}

    @property
    def settings(self) -> ConnectionSettings:
        """The connection's settings, looked up and checked at the first use."""
        with airflow_errors():
            return self.client.settings

    async def asettings(self) -> ConnectionSettings:
        """Return :attr:`settings` without blocking the event loop; refreshed after some minutes."""
        with airflow_errors():
            return await self.client.asettings()

    @airflow_errors()
    def submit(
        self, audio: Any, *, model: str = DEFAULT_MODEL, options: Mapping[str, Any] | None = None
    ) -> str:
        """Submit an http(s) URL, a local path or an object-storage URI and return the generation id. Billed."""
        return self.client.submit(audio, model=model, options=options)

    async def asubmit(
        self, audio: Any, *, model: str = DEFAULT_MODEL, options: Mapping[str, Any] | None = None
    ) -> str:
        """Async version of :meth:`submit`."""
        with airflow_errors():
            return await self.client.asubmit(audio, model=model, options=options)

    @airflow_errors()
    def fetch(self, generation_id: str) -> Generation:
        """Fetch a generation. Costs nothing."""
        return self.client.fetch(generation_id)

    async def afetch(self, generation_id: str) -> Generation:
        """Async version of :meth:`fetch`."""
        with airflow_errors():
            return await self.client.afetch(generation_id)

    @airflow_errors()
    def wait(
        self,
        generation_id: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
    ) -> Generation:
        """Block until a generation is completed and return it; ``.transcript()`` returns its transcript."""
        return self.client.wait(generation_id, timeout=timeout, poll_interval=poll_interval)

    async def await_completion(
        self,
        generation_id: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109
        poll_interval: float = DEFAULT_POLL_INTERVAL,
    ) -> Generation:
        """
        Async version of :meth:`wait`.

        It has no rate limit: for thousands of concurrent waits, use deferrable tasks.
        """
        with airflow_errors():
            return await self.client.await_completion(
                generation_id, timeout=timeout, poll_interval=poll_interval
            )

    @airflow_errors()
    def transcribe(
        self,
        audio: Any,
        *,
        model: str = DEFAULT_MODEL,
        options: Mapping[str, Any] | None = None,
        timeout: float = LEGACY_TIMEOUT,
    ) -> Transcript:
        """Transcribe in one call to the legacy endpoint. Prefer :meth:`submit` and :meth:`wait`: it bills timeouts."""
        return self.client.transcribe(audio, model=model, options=options, timeout=timeout)

    # Overrides of HttpHook

    @airflow_errors()
    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """
        Return a new session with the connection's key, TLS and proxy settings.

        ``HttpHook.get_conn`` would send unknown extras as headers, and the key over plain http.

        :param headers: additional headers for every request
        :param extra_options: ignored; the connection's fields are used instead
        """
        settings = self.client.settings
        self.base_url, self._base_url_initialized = settings.base_url, True
        self.merged_extra = {
            "timeout": (settings.connect_timeout, settings.timeout),
            "allow_redirects": False,
        }
        session = self.client.new_session()
        session.headers.update(headers or {})
        return session

    @airflow_errors()
    def check_response(self, response: requests.Response) -> None:
        """Raise the typed error for a response; called by ``run``. The body is not logged."""
        self.client.check_response(response)

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the host and the key work, and a message for the connection form. Costs nothing."""
        return self.client.check()

    def close(self) -> None:
        """Close the blocking session, if one was opened. The hook stays usable."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self.client.open_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close_session()


# Keyed by event loop: a session belongs to the loop that opened it, and a forked child has another loop.
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RateLimitedClient]] = WeakKeyDictionary()


def shared_client(conn_id: str) -> RateLimitedClient:
    """Return the client that all waits on a connection share in this event loop, making one if there is none."""
    clients = _shared.setdefault(asyncio.get_running_loop(), {})

    def forget(client: RateLimitedClient) -> None:
        if clients.get(conn_id) is client:
            del clients[conn_id]

    if conn_id not in clients:
        clients[conn_id] = RateLimitedClient(
            LaplasHook(conn_id).client, name=f"Connection {conn_id}", when_idle=forget
        )
    return clients[conn_id]


class _AirflowConnection:
    """Looks up the settings of a hook's connection."""

    def __init__(self, hook: LaplasHook) -> None:
        self._hook = hook

    def look_up(self) -> ConnectionSettings:
        with self._typed_errors():
            return read_connection(**connection_fields(self._hook, self._hook.conn_id))

    async def alook_up(self) -> ConnectionSettings:
        with self._typed_errors():
            return read_connection(**await aconnection_fields(self._hook, self._hook.conn_id))

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except LaplasError:
            raise
        except AirflowNotFoundException:
            raise LaplasConfigurationError(
                f"There is no connection `{redacted(self._hook.conn_id)}`. Create one of type laplas, with the API key as the "
                "password."
            ) from None
        except Exception as error:  # noqa: BLE001
            raise LaplasTransportError(
                f"Connection {redacted(self._hook.conn_id)} could not be looked up: {redact(repr(error))}",
                sent=False,
            ) from None
