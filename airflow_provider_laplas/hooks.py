"""
The hook: an Airflow connection and a socket, which is all that the core does not have.

``send`` (requests, on the HTTP provider's hook) and ``asend`` (aiohttp) each carry one
:class:`~airflow_provider_laplas.api.Call` to the API and its answer back; everything else is built on the two, once for
each of them.
"""

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar, cast

import aiohttp
import requests
from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException, Connection
from airflow.providers.http.hooks.http import HttpHook
from asgiref.sync import sync_to_async
from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from airflow_provider_laplas import api
from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api import Call, Generation, Response
from airflow_provider_laplas.audio import open_source
from airflow_provider_laplas.connection import (
    CONNECTION_TYPE,
    DEFAULT_CONN_ID,
    ConnectionSettings,
    read_connection,
)
from airflow_provider_laplas.errors import (
    LaplasAuthenticationError,
    LaplasConfigurationError,
    LaplasError,
    LaplasRateLimitError,
    LaplasTransportError,
)
from airflow_provider_laplas.exceptions import airflow_errors
from airflow_provider_laplas.options import DEFAULT_MODEL, check_options
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.transports import Route, aexchange, exchange, lower_names
from airflow_provider_laplas.waiting import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT, Wait

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 5
"""How often a call is sent at most, where it may be repeated at all."""

LOOK_UP_EVERY = 300.0
"""Seconds after which a long-lived hook looks its connection up again, to notice a key that was replaced."""

MAX_CONNECTIONS = 64
"""Sockets that all waits of one process on one connection share."""

LEGACY_TIMEOUT = 600.0
"""Seconds for the answer of the legacy one-call endpoint: as long as the vendor's own client waits."""


class LaplasHook(HttpHook):
    """
    Talk to the Laplas API with the credentials of an Airflow connection.

    Usable from any Python task: what is raised are Airflow exceptions with the right retry behaviour, so that a task
    that submits is not retried where that would pay again. The connection is looked up once for each hook. As a context manager (``with`` or
    ``async with``) it closes its sockets at the end; a blocking call must not be made from an event loop.

    :param conn_id: the id of a connection of type ``laplas``
    """

    conn_name_attr = "conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONNECTION_TYPE
    hook_name = "Laplas"

    # Which part name a server takes is found out by one refused upload; not by one for each task of a process.
    _part_names: ClassVar[dict[str, str]] = {}

    def __init__(self, conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__(http_conn_id=conn_id)
        self.conn_id = conn_id
        self._route: Route | None = None
        self._looked_up_at = 0.0
        self._looking_up = asyncio.Lock()
        self._requests: requests.Session | None = None
        self._aiohttp: aiohttp.ClientSession | None = None

    # The connection

    @property
    def settings(self) -> ConnectionSettings:
        """
        The connection, read and checked; looked up at the first use.

        :raises LaplasConfigurationError: saying which field is wrong
        """
        return self._connect().settings

    def _connect(self) -> Route:
        if self._route is None:
            try:
                connection = self.get_connection(self.conn_id)
            except AirflowNotFoundException:
                raise _missing(self.conn_id) from None
            self._route = Route(_read(connection, connection.extra_dejson))
            self._looked_up_at = time.monotonic()
        return self._route

    async def asettings(self) -> ConnectionSettings:
        """Return :attr:`settings` without holding up the event loop; they are looked up again after some minutes."""
        return (await self._aroute()).settings

    async def _aroute(self) -> Route:
        # Without the lock: thousands of looks a second come by here, and one look-up in five minutes.
        if self._route is not None and time.monotonic() - self._looked_up_at < LOOK_UP_EVERY:
            return self._route
        async with self._looking_up:
            if self._route is None or time.monotonic() - self._looked_up_at >= LOOK_UP_EVERY:
                settings = await self._alook_up()
                self._looked_up_at = time.monotonic()
                if self._route is None or settings != self._route.settings:
                    self._route = await asyncio.to_thread(Route, settings)
            return self._route

    async def _alook_up(self) -> ConnectionSettings:
        try:
            connection = await get_async_connection(self.conn_id, hook=self)
            return _read(connection, await get_async_extra_dejson(connection))
        except LaplasError:
            raise
        except AirflowNotFoundException:
            raise _missing(self.conn_id) from None
        except Exception as error:  # noqa: BLE001
            # Airflow's API server may be restarting, which must not end what waits: go on with what is known.
            if self._route is not None:
                log.warning(
                    "Connection %s could not be looked up again: %s", self.conn_id, redact(repr(error))
                )
                return self._route.settings
            raise LaplasTransportError(
                f"Connection {self.conn_id} could not be looked up: {redact(repr(error))}", sent=False
            ) from None

    def get_conn(
        self,
        headers: dict[Any, Any] | None = None,
        extra_options: dict[str, Any] | None = None,
    ) -> requests.Session:
        """
        Return a new session with the connection's key, TLS and proxy settings.

        The HTTP provider's own would send unknown extras as headers and the key over plain http.

        :param headers: more headers for every request
        :param extra_options: ignored: the connection's fields say it all
        """
        route = self._connect()
        settings = route.settings
        self.base_url, self._base_url_initialized = settings.base_url, True
        self.merged_extra = {
            "timeout": (settings.connect_timeout, settings.timeout),
            "allow_redirects": False,
        }
        session = route.session()
        session.headers.update(headers or {})
        return self._configure_session_from_mount_adapters(session)

    def check_response(self, response: requests.Response) -> None:
        """Raise the typed error of a response, for those who call ``run``. The body is not logged."""
        if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            answer = Response(response.status_code, lower_names(response.headers), response.content)
            api.read(Call("GET", "", lambda body, _: body), answer, secrets=self._connect().secrets)

    def close(self) -> None:
        """Close the blocking session, if one was opened. The hook stays usable."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self.open_session()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_session()

    def open_session(self) -> None:
        """Keep the event loop's sockets open between looks, until :meth:`close_session`."""
        if self._aiohttp is None:
            self._aiohttp = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS))

    async def close_session(self) -> None:
        """Close what :meth:`open_session` opened."""
        if self._aiohttp is not None:
            session, self._aiohttp = self._aiohttp, None
            await session.close()

    def test_connection(self) -> tuple[bool, str]:
        """
        Ask for a generation that does not exist: it shows whether the host and the key are right, and costs nothing.

        :return: whether all is well, and one sentence for the connection form
        """
        call = api.fetch(str(uuid.uuid4()))
        try:
            answer = self._receive(call)
        except LaplasConfigurationError as error:
            return False, str(error)
        except LaplasTransportError as error:
            return False, f"The host cannot be reached: {error.cause}."
        except LaplasError as error:
            return False, f"{self.settings.base_url} does not answer like a Laplas API: {error}"
        return api.judge_probe(answer, self.settings.base_url)

    # One call, one answer

    def send(self, call: Call[T]) -> T:
        """
        Send a call once and return its value.

        :raises LaplasError: the typed error of the answer, or of its absence
        """
        return api.read(call, self._receive(call), secrets=self._connect().secrets)

    async def asend(self, call: Call[T]) -> T:
        """
        Send a call once and return its value, on the event loop.

        :raises LaplasError: the typed error of the answer, or of its absence
        """
        route = await self._aroute()
        if call.submits or self._aiohttp is None:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
                answer = await aexchange(session, call, route)
        else:
            answer = await aexchange(self._aiohttp, call, route)
        return api.read(call, answer, secrets=route.secrets)

    def _receive(self, call: Call[Any]) -> Response:
        route = self._connect()
        if not call.submits:
            self._requests = self._requests or self.get_conn()
            return exchange(self._requests, call, route)
        # A submission goes over a connection of its own: on a kept one that the server just closed, it could not be
        # told whether the server had taken it.
        with self.get_conn() as session:
            return exchange(session, call, route)

    # What people call

    @airflow_errors()
    def submit(
        self, audio: Any, *, model: str = DEFAULT_MODEL, options: Mapping[str, Any] | None = None
    ) -> str:
        """
        Submit audio and return the generation id. From here on it is billed.

        It is repeated by itself only where the server cannot have taken it: the connection was never made, 429, or
        the 400 about the upload's part name.

        :param audio: an http(s) URL, a local path or an object-storage URI (the last two are uploaded, streamed)
        :param model: the API's model id
        :param options: the API's request options, see :class:`~airflow_provider_laplas.options.RequestOptions`
        :raises LaplasAmbiguousSubmitError: sent, but no answer came: it may have been accepted and billed
        :raises LaplasError: the typed error of the answer
        """
        return self._post(
            api.submit(
                open_source(audio, object_storage()),
                model=model,
                options=_checked(options),
                part=self._part(),
            )
        )

    async def asubmit(
        self,
        audio: Any,
        *,
        model: str = DEFAULT_MODEL,
        options: Mapping[str, Any] | None = None,
        repeat_refused: bool = True,
    ) -> str:
        """
        Do what :meth:`submit` does, on the event loop.

        :param repeat_refused: whether a 429 is repeated here; not where the caller keeps to a budget
        """
        with airflow_errors():
            await self.asettings()
            # Object storage looks its own connection up, which a plain thread could not do from an event loop.
            source = await sync_to_async(open_source, thread_sensitive=False)(audio, object_storage())
            call = api.submit(source, model=model, options=_checked(options), part=self._part())
            return await self._apost(call, repeat_refused=repeat_refused)

    @airflow_errors()
    def fetch(self, generation_id: str) -> Generation:
        """
        Look at a generation. Repeated on 429, 5xx and the network's failures; it costs nothing.

        :raises LaplasGenerationGoneError: the API does not know the id (any more)
        :raises LaplasError: the typed error of the answer
        """
        return self._repeat(api.fetch(generation_id))

    async def afetch(self, generation_id: str) -> Generation:
        """Do what :meth:`fetch` does, on the event loop."""
        with airflow_errors():
            return await self._arepeat(api.fetch(generation_id))

    @airflow_errors()
    def wait(
        self,
        generation_id: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
    ) -> Generation:
        """
        Block until a generation is completed and return it; ``.transcript()`` is what was said.

        :param timeout: seconds in all
        :param poll_interval: the longest pause between two looks, in seconds
        :raises LaplasGenerationFailedError: the API could not transcribe it
        :raises LaplasGenerationGoneError: the API does not know the id (any more)
        :raises LaplasGenerationTimeoutError: it was not done in time; it goes on at the API
        """
        # None is for a wait that is left early only.
        return cast("Generation", self.wait_for(Wait(generation_id, time.time() + timeout, poll_interval)))

    def wait_for(
        self, wait: Wait, *, stay: float = math.inf, first: Generation | LaplasError | None = None
    ) -> Generation | None:
        """
        Block until a wait is over; see :meth:`wait` for the errors that end it.

        :param stay: seconds to stay at most, though it looks once at least. Default: until the wait's deadline
        :param first: what came of a look that was made already
        :return: the generation; None where the next look would come after the stay
        """
        until, outcome = time.time() + stay, first
        try:
            while not (generation := wait.observe(outcome or self.look(wait.generation_id))):
                outcome = None
                pause = wait.pause()
                if time.time() + pause > until:
                    return None
                time.sleep(pause)
            return generation
        finally:
            METRICS.waited(*wait.counted())

    async def await_generation(
        self,
        generation_id: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109
        poll_interval: float = DEFAULT_POLL_INTERVAL,
    ) -> Generation:
        """
        Do what :meth:`wait` does, on the event loop.

        As all that a hook is asked directly, it keeps to no budget of requests: for thousands of waits side by side
        there are the deferrable tasks, whose waits share one.
        """
        with airflow_errors():
            wait = Wait(generation_id, time.time() + timeout, poll_interval)
            try:
                while not (generation := wait.observe(await self.alook(generation_id))):  # noqa: ASYNC110
                    await asyncio.sleep(wait.pause())
                return generation
            finally:
                METRICS.waited(*wait.counted())

    def look(self, generation_id: str) -> Generation | LaplasError:
        """
        Look once; what went wrong is returned, for :meth:`Wait.observe` to judge.

        Only a refused key is not taken at its word: the connection is looked up again, and the request sent again.
        """
        call = api.fetch(generation_id)
        try:
            used = self._connect()
            try:
                return self.send(call)
            except LaplasAuthenticationError:
                self._forget(used)
                return self.send(call)
        except LaplasError as error:
            return error

    async def alook(self, generation_id: str) -> Generation | LaplasError:
        """Do what :meth:`look` does, on the event loop."""
        call = api.fetch(generation_id)
        try:
            used = await self._aroute()
            try:
                return await self.asend(call)
            except LaplasAuthenticationError:
                self._forget(used)
                return await self.asend(call)
        except LaplasError as error:
            return error

    @airflow_errors()
    def transcribe(
        self,
        audio: Any,
        *,
        model: str = DEFAULT_MODEL,
        options: Mapping[str, Any] | None = None,
        timeout: float = LEGACY_TIMEOUT,
    ) -> Transcript:
        """
        Transcribe in one call, through the legacy endpoint, blocking.

        The API replaced it because it times out on longer audio, and a time-out is billed without a transcript: use
        :meth:`submit` and :meth:`wait`. The arguments and errors are those of :meth:`submit`.

        :param timeout: seconds for the answer
        """
        return self._post(
            api.transcribe(
                open_source(audio, object_storage()),
                model=model,
                options=_checked(options),
                part=self._part(),
                timeout=timeout,
            )
        )

    # Repeating

    def _forget(self, used: Route) -> None:
        """Have the connection looked up again before one more try: its key may have been replaced meanwhile."""
        METRICS.retried()
        # Of many waits that share the hook and see the same refusal, the first one forgets for all.
        if self._route is used:
            self._route = None
            self.close()

    def _repeat(self, call: Call[T]) -> T:
        value: T = Retrying(**_policy(call))(self.send, call)
        return value

    async def _arepeat(self, call: Call[T], *, repeat_refused: bool = True) -> T:
        value: T = await AsyncRetrying(**_policy(call, repeat_refused=repeat_refused))(self.asend, call)
        return value

    def _post(self, call: Call[T]) -> T:
        try:
            try:
                return self._repeat(call)
            except LaplasError as error:
                return self._repeat(self._with_other_part(call, error))
        except LaplasError as error:
            raise api.as_submit_error(error) from None

    async def _apost(self, call: Call[T], *, repeat_refused: bool) -> T:
        try:
            try:
                return await self._arepeat(call, repeat_refused=repeat_refused)
            except LaplasError as error:
                other = self._with_other_part(call, error)
                return await self._arepeat(other, repeat_refused=repeat_refused)
        except LaplasError as error:
            raise api.as_submit_error(error) from None

    def _part(self) -> str:
        return self._part_names.get(self.settings.base_url, api.PART_NAMES[0])

    def _with_other_part(self, call: Call[T], error: LaplasError) -> Call[T]:
        """Return the call with the upload's other part name, or raise the error if that is not what it is about."""
        if not api.wants_other_part(call, error):
            raise error
        part = next(name for name in api.PART_NAMES if name != call.part)
        log.info("The API does not take the upload as `%s`; sending it as `%s` from now on.", call.part, part)
        self._part_names[self.settings.base_url] = part
        METRICS.retried()
        return replace(call, part=part)


def _missing(conn_id: str) -> LaplasConfigurationError:
    return LaplasConfigurationError(
        f"There is no connection `{conn_id}`. Create one of type laplas, with the API key as its password."
    )


def _read(connection: Connection, extra: Mapping[str, Any]) -> ConnectionSettings:
    return read_connection(
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
        password=connection.password,
        extra=extra,
    )


def _checked(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return check_options(options or {}, rendered=True)


def _policy(call: Call[Any], *, repeat_refused: bool = True) -> dict[str, Any]:
    """Return how tenacity repeats a call; the judgement is the core's."""

    def again(error: BaseException) -> bool:
        refused = isinstance(error, LaplasRateLimitError) and not repeat_refused
        return api.may_repeat(call, error) and not refused

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return api.backoff(state.attempt_number, error)

    def say(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        METRICS.retried()
        log.warning(
            "Sending it again in %.1f s: %s", state.next_action.sleep if state.next_action else 0, error
        )

    return {
        "retry": retry_if_exception(again),
        "wait": pause,
        "stop": stop_after_attempt(ATTEMPTS),
        "before_sleep": say,
        "reraise": True,
    }
