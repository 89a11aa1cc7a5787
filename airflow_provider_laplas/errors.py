"""
The package's exceptions. Independent of Airflow.

::

    LaplasError
    ├── LaplasArgumentError            an argument or option is wrong; nothing was sent
    ├── LaplasConfigurationError       the connection is wrong; nothing was sent
    ├── LaplasStorageError             a storage refuses, fails or does not answer; the API is not to blame
    ├── LaplasTransportError           no reply came: refused, reset, timed out
    ├── LaplasResponseError            a reply came, and it is an error
    │   ├── LaplasValidationError      400, 422: the request is wrong
    │   ├── LaplasAuthenticationError  401: the key is missing or refused
    │   ├── LaplasCreditsError         403: the account is out of credits
    │   ├── LaplasNotFoundError        404 for a path that is not a generation
    │   ├── LaplasTooLargeError        413: the audio is too large
    │   ├── LaplasRateLimitError       429: too many requests
    │   ├── LaplasServerError          5xx: the server's own failure
    │   └── LaplasMalformedReplyError  a reply that is not what the API promises
    ├── LaplasAmbiguousSubmitError     sent, no answer: may have been accepted and billed
    ├── LaplasBatchError               more files of a batch failed than are allowed to
    └── LaplasGenerationError          about one generation
        ├── LaplasGenerationFailedError   the API could not transcribe it
        ├── LaplasGenerationGoneError     the API does not know the id (any more)
        ├── LaplasGenerationTimeoutError  our deadline passed first
        └── LaplasQualityError            it is finished, but not good enough

An error's details are attributes. Its message says what happened and what to do next. No message contains a key, a
query string or text from a transcript.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

E = TypeVar("E", bound="LaplasError")


class LaplasError(Exception):
    """
    Base class of all errors of this package.

    :ivar generation_id: the generation that it is about, if there is one
    """

    def __init__(self, message: str, *, generation_id: str | None = None) -> None:
        super().__init__(message)
        self.generation_id = generation_id

    def __reduce__(self) -> Any:
        """Pickle the message and the attributes, because subclasses have other constructors."""
        return rebuild, (type(self), self.message, vars(self))

    @property
    def kind(self) -> str:
        """The class's name for metrics: ``LaplasGenerationGoneError`` is ``generation_gone``."""
        name = type(self).__name__.removeprefix("Laplas").removesuffix("Error") or "unknown"
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()

    @property
    def message(self) -> str:
        """The message without the class name."""
        return str(self.args[0])


class LaplasArgumentError(LaplasError, ValueError):
    """
    An argument or a request option is wrong. Nothing was sent.

    :ivar argument: the argument's name
    """

    def __init__(self, message: str, *, argument: str) -> None:
        super().__init__(message)
        self.argument = argument


class LaplasConfigurationError(LaplasError):
    """The Airflow connection is missing or wrong. Nothing was sent."""


class LaplasStorageError(LaplasError):
    """
    A storage of files refuses a call, fails or does not answer. The API is not to blame.

    :ivar permission: what the caller lacks the permission to do, None where that is not why
    """

    def __init__(self, message: str, *, permission: str | None = None) -> None:
        super().__init__(message)
        self.permission = permission


class LaplasTransportError(LaplasError):
    """
    No reply came: the connection was refused, reset or timed out.

    :ivar sent: whether the server may have received the whole request
    :ivar cause: what went wrong, in a line
    """

    def __init__(
        self, message: str, *, sent: bool, cause: str = "", generation_id: str | None = None
    ) -> None:
        super().__init__(message, generation_id=generation_id)
        self.sent = sent
        self.cause = cause


class LaplasResponseError(LaplasError):
    """
    The API answered with an error.

    :ivar status: the HTTP status
    :ivar request_id: the API's ``requestId``, which its support asks for
    :ivar detail: what the API said, shortened to one line
    :ivar retry_after: seconds that the API asks to wait, if it does
    """

    advice: ClassVar[str] = "See what the API said and the state of its service."

    def __init__(
        self,
        message: str,
        *,
        status: int,
        request_id: str | None = None,
        detail: str = "",
        retry_after: float | None = None,
        generation_id: str | None = None,
    ) -> None:
        super().__init__(message, generation_id=generation_id)
        self.status = status
        self.request_id = request_id
        self.detail = detail
        self.retry_after = retry_after


class LaplasValidationError(LaplasResponseError):
    """
    400 or 422: the request is wrong and would fail again. Nothing was created or billed.

    :ivar field: the option that the API names, if any
    """

    advice = "Correct the option that it names: the same request will be refused again."
    field: str | None = None


class LaplasAuthenticationError(LaplasResponseError):
    """401: the key is missing, wrong or revoked."""

    advice = "Put a valid API key into the connection's password field."


class LaplasCreditsError(LaplasResponseError):
    """403: the account has no credits left. Generations that are already running are paid for and continue."""

    advice = "Top up the account, then clear the task."


class LaplasNotFoundError(LaplasResponseError):
    """404 for a path that names no generation: the base URL is wrong."""

    advice = "Check the connection's host: it should be the API's base URL."


class LaplasTooLargeError(LaplasResponseError):
    """
    413, or larger than the connection's ``max_upload_bytes``: the audio is larger than the API takes.

    Nothing was created or billed.
    """

    advice = (
        "Give the task media={}: it then sends of a video the audio alone, and long recordings in parts. "
        "Or submit the audio by URL."
    )


class LaplasRateLimitError(LaplasResponseError):
    """429: too many requests. Nothing was created or billed."""

    advice = "Submit fewer at once (an Airflow pool) or lower the request rate."


class LaplasServerError(LaplasResponseError):
    """5xx: the server, or a gateway in front of it, failed."""

    advice = "The API is failing: check its status page and try again later."


class LaplasMalformedReplyError(LaplasResponseError):
    """The reply is not what the API documents: not JSON, truncated, too large, or without a required field."""

    advice = "Check that the connection's host is a Laplas API and not a proxy or a login page."


class LaplasAmbiguousSubmitError(LaplasError):
    """
    A submission was sent but got no usable answer: it may have been accepted and billed.

    The API has no idempotency key, so sending it again may pay twice. Check the account's usage page first.

    :ivar request_id: the API's ``requestId``, if there was an answer
    """

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class LaplasBatchError(LaplasError):
    """
    More files of a batch failed than ``max_failed`` allows, or a limit was reached before all were submitted.

    Finished transcripts are in the folder, and the state of each file is in the manifest.

    :ivar manifest: the manifest's URI
    """

    def __init__(self, message: str, *, manifest: str) -> None:
        super().__init__(message)
        self.manifest = manifest


class LaplasGenerationError(LaplasError):
    """Base class of the errors of a single generation."""

    def __init__(self, message: str, *, generation_id: str, request_id: str | None = None) -> None:
        super().__init__(message, generation_id=generation_id)
        self.generation_id: str = generation_id
        self.request_id = request_id


class LaplasGenerationFailedError(LaplasGenerationError):
    """
    The API could not transcribe the audio.

    :ivar reason: the API's reason
    """

    def __init__(
        self, message: str, *, generation_id: str, reason: str, request_id: str | None = None
    ) -> None:
        super().__init__(message, generation_id=generation_id, request_id=request_id)
        self.reason = reason


class LaplasGenerationGoneError(LaplasGenerationError):
    """The API does not know the generation: its result was kept for one hour, or the id was never valid."""


class LaplasGenerationTimeoutError(LaplasGenerationError):
    """
    The deadline passed before the generation was done. It keeps running at the API and is billed.

    :ivar status: the last status that was seen; None if no poll succeeded
    """

    def __init__(self, message: str, *, generation_id: str, status: str | None) -> None:
        super().__init__(message, generation_id=generation_id)
        self.status = status


class LaplasQualityError(LaplasGenerationError):
    """
    The transcript is finished, billed and kept, but failed a quality check whose action is ``fail``.

    :ivar findings: the messages of these checks, in one line
    """

    def __init__(self, message: str, *, generation_id: str, findings: str) -> None:
        super().__init__(message, generation_id=generation_id)
        self.findings = findings


def to_payload(error: LaplasError) -> dict[str, Any]:
    """Return an error as plain JSON, to send it from a trigger to a worker."""
    facts = {
        name: value for name, value in vars(error).items() if isinstance(value, str | int | float | None)
    }
    return {"type": type(error).__name__, "message": error.message, "facts": facts}


def from_payload(payload: Mapping[str, Any]) -> LaplasError:
    """Make an error from the output of :func:`to_payload`; an unknown type becomes a plain :class:`LaplasError`."""
    kinds = {kind.__name__: kind for kind in _subclasses(LaplasError)}
    return rebuild(
        kinds.get(payload.get("type", ""), LaplasError),
        str(payload.get("message", "The trigger failed without saying why.")),
        payload.get("facts") or {"generation_id": None},
    )


def rebuild(kind: type[E], message: str, facts: Mapping[str, Any]) -> E:
    """Make an error of a given class from a message and attributes."""
    error = kind.__new__(kind, message)
    error.args = (message,)
    vars(error).update(facts)
    return error


def _subclasses(kind: type[LaplasError]) -> Iterator[type[LaplasError]]:
    # Payloads name only this module's classes, not those that exceptions.py derives from them.
    if kind.__module__ == __name__:
        yield kind
    for subclass in kind.__subclasses__():
        yield from _subclasses(subclass)
