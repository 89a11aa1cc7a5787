"""
The client: submit, poll, wait and fetch, blocking or on an event loop.

Everything is built on ``send`` and ``asend`` of :class:`~airflow_provider_laplas.client.sender.Sender`.
"""

import asyncio
import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar, Unpack, cast

import requests
from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from airflow_provider_laplas.api import calls
from airflow_provider_laplas.api.calls import PART_NAMES, Call, Delivery, Upload
from airflow_provider_laplas.api.options import DEFAULT_MODEL, check_options
from airflow_provider_laplas.api.poller import DEFAULT_POLL_INTERVAL, DEFAULT_TIMEOUT, Poller
from airflow_provider_laplas.api.responses import Generation, Response, judge_probe, read
from airflow_provider_laplas.api.retry import as_submit_error, backoff, may_repeat, wants_other_part
from airflow_provider_laplas.arguments import LONGEST_EXCHANGE, check_seconds
from airflow_provider_laplas.audio.sources import check_audio, is_web_url, open_source
from airflow_provider_laplas.client.http import lower_names
from airflow_provider_laplas.client.sender import LOOK_UP_EVERY, Sender
from airflow_provider_laplas.client.settings import (
    ClientFields,
    ConnectionSettings,
    FixedSettings,
    SettingsSource,
    read_arguments,
)
from airflow_provider_laplas.errors import (
    LaplasAuthenticationError,
    LaplasConfigurationError,
    LaplasError,
    LaplasRateLimitError,
    LaplasTooLargeError,
    LaplasTransportError,
)
from airflow_provider_laplas.metrics import NO_METRICS, Metrics
from airflow_provider_laplas.redaction import shown
from airflow_provider_laplas.storage import LOCAL, Storage
from airflow_provider_laplas.transcript.model import Transcript

log = logging.getLogger(__name__)

T = TypeVar("T")

Audio: TypeAlias = str | os.PathLike[str] | Upload
"""An http(s) URL, which the API fetches; or a path, a storage URI or an :class:`Upload`, which is streamed."""

ATTEMPTS = 5
"""The most times that a retryable call is sent."""

LEGACY_TIMEOUT = 600.0
"""Timeout of the legacy one-call endpoint, in seconds: that of the vendor's own client."""

# Shared by all clients of a process, so that only one upload is rejected for the wrong part name.
_PART_NAME_OF: dict[str, str] = {}


class LaplasClient(Sender):
    """
    Client of the Laplas API, blocking or on an event loop.

    As a context manager (``with`` or ``async with``), it closes its connections on exit. Do not call a blocking method
    from an event loop. All errors are those of :mod:`airflow_provider_laplas.errors`.

    :param api_key: the account's key
    :param base_url: like the host of a connection. Default: the API's documented address
    :param source: provides the settings, in place of the other arguments. They are looked up on first use, when a
        poll's key is rejected and, on the event loop, every ``look_up_every`` seconds
    :param storage: opens URIs other than http(s). Default: local files only
    :param metrics: receives the metrics. Default: none are sent
    :param pause: returns the seconds before a retry, given the number of failures and the last error
    :param look_up_every: seconds. Default 300
    :param part_names: the known names of an upload's form part, by base URL. Default: shared within the process
    :param fields: fields of a connection: ``connect_timeout``, ``timeout``, ``verify``, ``proxy``, ``allow_http``,
        ``max_reply_bytes``, ``min_upload_bytes_per_second``, ``max_requests_per_second``, ``max_upload_bytes``
    :raises LaplasConfigurationError: saying which argument is wrong
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        source: SettingsSource | None = None,
        storage: Storage = LOCAL,
        metrics: Metrics = NO_METRICS,
        pause: Callable[[int, BaseException | None], float] = backoff,
        look_up_every: float = LOOK_UP_EVERY,
        part_names: MutableMapping[str, str] | None = None,
        **fields: Unpack[ClientFields],
    ) -> None:
        if source is None:
            source = FixedSettings(read_arguments(api_key, base_url, **fields))
        elif api_key is not None or base_url is not None or fields:
            raise TypeError(
                "LaplasClient takes its settings from `source` or from arguments, but not from both."
            )
        super().__init__(source, look_up_every=check_seconds("look_up_every", look_up_every, least=0))
        self.metrics = metrics
        self.pause = pause
        self._storage = storage
        self._part_names = _PART_NAME_OF if part_names is None else part_names

    def submit(
        self,
        audio: Audio,
        *,
        model: str = DEFAULT_MODEL,
        options: Mapping[str, Any] | None = None,
        delivery: Delivery | None = None,
    ) -> str:
        """
        Submit audio and return the generation id. The audio is billed from then on.

        A submission is retried automatically only if the server cannot have accepted it: the connection failed, 429, or
        the 400 about the upload's part name.

        :param audio: an http(s) URL, or a local path or storage URI, whose content is streamed to the API
        :param model: the API's model id
        :param options: the API's request options, see :class:`~airflow_provider_laplas.api.options.RequestOptions`
        :param delivery: is called before the first byte is submitted, and told how far the request came
        :raises LaplasAmbiguousSubmitError: sent, but not answered: it may have been accepted and billed
        :raises LaplasTooLargeError: an upload is larger than the connection's ``max_upload_bytes``; nothing was sent
        :raises LaplasError: the typed error of the answer
        """
        source = _within_limit(open_source(audio, self._storage), self.settings)
        part = self._part(self.settings)
        return self._post(
            calls.submit(source, model=model, options=_checked(options), part=part, delivery=delivery)
        )

    async def asubmit(
        self,
        audio: Audio,
        *,
        model: str = DEFAULT_MODEL,
        options: Mapping[str, Any] | None = None,
        repeat_refused: bool = True,
    ) -> str:
        """
        Do what :meth:`submit` does, on the event loop.

        :param repeat_refused: whether to retry on 429; False if the caller limits the rate itself
        """
        settings = await self.asettings()
        part = self._part(settings)
        source = audio if isinstance(audio, Upload) else await self._open(check_audio(audio))
        source = _within_limit(source, settings)
        call = calls.submit(source, model=model, options=_checked(options), part=part)
        return await self._apost(call, repeat_refused=repeat_refused)

    async def _open(self, audio: str) -> str | Upload:
        if is_web_url(audio):
            return audio
        return await self._storage.off_loop(audio, open_source, audio, self._storage)

    def fetch(self, generation_id: str) -> Generation:
        """
        Fetch a generation, which is free. Retried on 429, 5xx and network errors.

        :raises LaplasGenerationGoneError: the API does not know the id (any more)
        :raises LaplasError: the typed error of the answer
        """
        return self._repeat(calls.fetch(generation_id))

    async def afetch(self, generation_id: str) -> Generation:
        """Do what :meth:`fetch` does, on the event loop."""
        return await self._arepeat(calls.fetch(generation_id))

    def wait(
        self,
        generation_id: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
    ) -> Generation:
        """
        Block until a generation is completed and return it; call ``.transcript()`` on it.

        :param timeout: total seconds to wait. Default 3600
        :param poll_interval: the longest pause between two polls, in seconds. Default 10
        :raises LaplasGenerationFailedError: the API could not transcribe it
        :raises LaplasGenerationGoneError: the API does not know the id (any more)
        :raises LaplasGenerationTimeoutError: it was not done in time; it continues at the API
        """
        deadline = time.time() + check_seconds("timeout", timeout, least=0)
        # wait_for returns None only with an inline_wait.
        return cast("Generation", self.wait_for(Poller(generation_id, deadline, poll_interval)))

    def wait_for(
        self,
        poller: Poller,
        *,
        inline_wait: float = math.inf,
        first: Generation | LaplasError | None = None,
    ) -> Generation | None:
        """
        Block until a wait is over; see :meth:`wait` for the errors that end it.

        :param inline_wait: the most seconds to wait; it polls at least once. Default: until the deadline
        :param first: the outcome of a poll that was already made
        :return: the generation; None if the next poll would be after ``inline_wait``
        """
        until, outcome = time.time() + inline_wait, first
        try:
            while not (generation := poller.observe(outcome or self.poll(poller.generation_id))):
                outcome = None
                pause = poller.pause()
                if time.time() + pause > until:
                    return None
                time.sleep(pause)
            return generation
        finally:
            self.metrics.waited(*poller.counted())

    async def await_completion(
        self,
        generation_id: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109
        poll_interval: float = DEFAULT_POLL_INTERVAL,
    ) -> Generation:
        """
        Do what :meth:`wait` does, on the event loop.

        It does not limit the request rate: for thousands of concurrent waits, use
        :class:`~airflow_provider_laplas.client.rate_limited.RateLimitedClient`.
        """
        deadline = time.time() + check_seconds("timeout", timeout, least=0)
        poller = Poller(generation_id, deadline, poll_interval)
        try:
            while not (generation := poller.observe(await self.apoll(generation_id))):  # noqa: ASYNC110
                await asyncio.sleep(poller.pause())
            return generation
        finally:
            self.metrics.waited(*poller.counted())

    def poll(self, generation_id: str) -> Generation | LaplasError:
        """
        Poll once. An error is returned, not raised, for :meth:`Poller.observe` to handle.

        If the key is rejected, the settings are looked up and the request is sent once more.
        """
        try:
            call = calls.fetch(generation_id)
            used = self.request_settings()
            try:
                return self.send(call)
            except LaplasAuthenticationError:
                self.metrics.retried()
                self.forget(used)
                return self.send(call)
        except LaplasError as error:
            return error

    async def apoll(self, generation_id: str) -> Generation | LaplasError:
        """Do what :meth:`poll` does, on the event loop."""
        try:
            call = calls.fetch(generation_id)
            used = await self.arequest_settings()
            try:
                return await self.asend(call)
            except LaplasAuthenticationError:
                self.metrics.retried()
                self.forget(used)
                return await self.asend(call)
        except LaplasError as error:
            return error

    def transcribe(
        self,
        audio: Audio,
        *,
        model: str = DEFAULT_MODEL,
        options: Mapping[str, Any] | None = None,
        timeout: float = LEGACY_TIMEOUT,
    ) -> Transcript:
        """
        Transcribe in one blocking call, through the legacy endpoint.

        Prefer :meth:`submit` and :meth:`wait`: this endpoint times out on longer audio, and a timeout is billed without
        a transcript. The arguments and errors are those of :meth:`submit`.

        :param timeout: seconds to wait for the response. Default 600
        """
        check_seconds("timeout", timeout, most=LONGEST_EXCHANGE)
        source = _within_limit(open_source(audio, self._storage), self.settings)
        part = self._part(self.settings)
        return self._post(
            calls.transcribe(source, model=model, options=_checked(options), part=part, timeout=timeout)
        )

    def check(self) -> tuple[bool, str]:
        """
        Check the host and the key, for free, by requesting a generation that does not exist.

        :return: whether both are right, and one sentence that says so
        """
        call = calls.fetch(str(uuid.uuid4()))
        try:
            answer = self.receive(call)
        except LaplasConfigurationError as error:
            return False, str(error)
        except LaplasTransportError as error:
            return False, f"The host cannot be reached: {error.cause}."
        except LaplasError as error:
            return False, f"{self.settings.base_url} does not answer like a Laplas API: {error}"
        return judge_probe(answer, self.settings.base_url)

    def check_response(self, response: requests.Response) -> None:
        """
        Check a response from a :meth:`new_session`. Its body is not logged.

        :raises LaplasError: the typed error of an unsuccessful response
        """
        if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            answer = Response(response.status_code, lower_names(response.headers), response.content)
            read(answer, lambda body, _: body, secrets=self.request_settings().secrets)

    # Retries

    def _repeat(self, call: Call[T]) -> T:
        value: T = Retrying(**self._policy(call))(self.send, call)
        return value

    async def _arepeat(self, call: Call[T], *, repeat_refused: bool = True) -> T:
        value: T = await AsyncRetrying(**self._policy(call, repeat_refused=repeat_refused))(self.asend, call)
        return value

    def _post(self, call: Call[T]) -> T:
        try:
            try:
                return self._repeat(call)
            except LaplasError as error:
                if not wants_other_part(call, error):
                    raise
                return self._repeat(self._with_other_part(call, self.settings))
        except LaplasError as error:
            raise as_submit_error(error) from None

    async def _apost(self, call: Call[T], *, repeat_refused: bool) -> T:
        try:
            try:
                return await self._arepeat(call, repeat_refused=repeat_refused)
            except LaplasError as error:
                # Before anything is looked up, which may fail, too: the error tells whether it may have been submitted.
                if not wants_other_part(call, error):
                    raise
                other = self._with_other_part(call, await self.asettings())
                return await self._arepeat(other, repeat_refused=repeat_refused)
        except LaplasError as error:
            raise as_submit_error(error) from None

    def _part(self, settings: ConnectionSettings) -> str:
        return self._part_names.get(settings.base_url, PART_NAMES[0])

    def _with_other_part(self, call: Call[T], settings: ConnectionSettings) -> Call[T]:
        """Return the call with the other part name for the upload."""
        part = next(name for name in PART_NAMES if name != call.part)
        log.info(
            "The API does not accept the upload as `%s`; sending it as `%s` from now on.", call.part, part
        )
        self._part_names[settings.base_url] = part
        self.metrics.retried()
        return replace(call, part=part)

    def _policy(self, call: Call[Any], *, repeat_refused: bool = True) -> dict[str, Any]:
        """Return tenacity's arguments; :mod:`airflow_provider_laplas.api.retry` decides what is retried."""

        def again(error: BaseException) -> bool:
            refused = isinstance(error, LaplasRateLimitError) and not repeat_refused
            return may_repeat(call, error) and not refused

        def pause(state: RetryCallState) -> float:
            return self.pause(state.attempt_number, state.outcome.exception() if state.outcome else None)

        def say(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self.metrics.retried()
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


def _checked(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return check_options(options or {}, rendered=True)


def _within_limit(source: str | Upload, settings: ConnectionSettings) -> str | Upload:
    """Return the source, unless it is an upload that the API would refuse."""
    most = settings.max_upload_bytes
    if most is None or isinstance(source, str) or source.size <= most:
        return source
    raise LaplasTooLargeError(
        f"The audio is too large for the API: {shown(source.name)} has {source.size:,} bytes, and the connection's "
        f"`max_upload_bytes` is {most:,}. Nothing was sent. {LaplasTooLargeError.advice}",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
