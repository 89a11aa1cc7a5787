"""Turns an HTTP response into a value or a typed error: see :func:`read`."""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_laplas.api.options import OPTION_NAMES, RESERVED
from airflow_provider_laplas.errors import (
    LaplasAuthenticationError,
    LaplasCreditsError,
    LaplasError,
    LaplasGenerationGoneError,
    LaplasMalformedReplyError,
    LaplasNotFoundError,
    LaplasRateLimitError,
    LaplasResponseError,
    LaplasServerError,
    LaplasTooLargeError,
    LaplasValidationError,
)
from airflow_provider_laplas.known_secrets import NO_SECRETS, Secrets
from airflow_provider_laplas.redaction import BOUND, redact
from airflow_provider_laplas.transcript.json_objects import read_object
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.replies import find_result
from airflow_provider_laplas.transcript.values import text_of

T = TypeVar("T")

RETENTION = 3600.0
"""Seconds for which the API keeps a finished transcript, counted from its creation (observed)."""

# Observed; they vary by model. Any other word is treated as pending, with a warning.
PENDING_WORDS = frozenset({"queued", "waiting", "active", "generating", "processing", "pending", "running"})
COMPLETED_WORDS = frozenset({"completed"})
FAILED_WORDS = frozenset({"error", "failed"})


class State(Enum):
    """What a status word means."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Generation:
    """
    A generation, as the API reported it in one poll.

    :ivar generation_id: the requested id
    :ivar status: the API's status word, in lower case
    :ivar state: what that word means
    :ivar reply: the whole reply, unmodified
    :ivar reason: why it failed, in the API's words; empty otherwise
    """

    generation_id: str
    status: str
    state: State
    reply: Mapping[str, Any] = field(repr=False)
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether the status word is a documented or observed one."""
        return self.status in PENDING_WORDS | COMPLETED_WORDS | FAILED_WORDS

    def transcript(self) -> Transcript:
        """Return the transcript of a completed generation."""
        return Transcript.from_reply(self.reply)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete HTTP response. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def read(
    response: Response,
    decode: Callable[[Mapping[str, Any], Secrets], T],
    *,
    generation_id: str | None = None,
    secrets: Secrets = NO_SECRETS,
) -> T:
    """
    Return a response's value, or raise its typed error.

    :param decode: turns the JSON object of a successful response into a value
    :param generation_id: the requested generation, if any
    :param secrets: what no error and no value may expose, such as the key
    :raises LaplasResponseError: or its subclass for the status
    :raises LaplasGenerationGoneError: if the API does not know the generation
    """
    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        body = _json_object(response, generation_id, secrets)
        try:
            return decode(body, secrets)
        except LaplasMalformedReplyError as error:
            raise _error(LaplasMalformedReplyError, str(error), response, generation_id) from None
    raise _error_of(response, generation_id, secrets)


def judge_probe(response: Response, base_url: str) -> tuple[bool, str]:
    """
    Interpret the response to a request for a generation that does not exist.

    :return: whether host and key are right, and one sentence for the connection form
    """
    if response.status == HTTPStatus.UNAUTHORIZED:
        return False, "The API refuses the key: put a valid one in the password field."
    if response.status == HTTPStatus.FORBIDDEN:
        return False, "The API accepts the key, but the account is out of credits or lacks permission."
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return False, f"The API answers, but cannot serve right now (HTTP {response.status})."
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        body = None
    if _is_error_body(body) and response.status in {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.GONE,
        HTTPStatus.BAD_REQUEST,
    }:
        path = urlsplit(base_url).path
        doubt = "" if path == "/v1" else f" If submissions fail with 404, check the host's path: {path}"
        return True, f"The API answers and accepts the key.{doubt}"
    return False, f"{base_url} answers (HTTP {response.status}), but not like a Laplas API: check the host."


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """
    Read a Retry-After header, in seconds or as an HTTP date.

    :param now: epoch seconds
    :return: seconds from now, at least 0; None if there is no valid value
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def decode_generation(generation_id: str, body: Mapping[str, Any], secrets: Secrets) -> Generation:
    """
    Read a generation from a reply's JSON object.

    :raises LaplasMalformedReplyError: if the status is missing, or the result of a completed generation
    """
    word = text_of(body.get("status")).lower()
    if not word:
        raise LaplasMalformedReplyError("The reply contains no status.", status=200)
    if word in FAILED_WORDS:
        return Generation(generation_id, word, State.FAILED, body, _reason(body, secrets))
    if word not in COMPLETED_WORDS:
        return Generation(generation_id, redact(word, secrets=secrets, limit=40), State.PENDING, body)
    if find_result(body) is None:
        raise LaplasMalformedReplyError("The reply says completed but contains no result.", status=200)
    return Generation(generation_id, word, State.COMPLETED, body)


def _reason(body: Mapping[str, Any], secrets: Secrets) -> str:
    result = find_result(body) or {}
    for holder in (body.get("error"), body.get("message"), result.get("error")):
        if text := _flatten(_message(holder)):
            return redact(text, secrets=secrets)
    return "no reason given"


def _message(holder: Any) -> Any:
    """Return an error's message; what else an object has may be speech."""
    if isinstance(holder, list):
        return [_message(item) for item in holder]
    return holder.get("message") if isinstance(holder, Mapping) else holder


def _json_object(response: Response, generation_id: str | None, secrets: Secrets) -> Mapping[str, Any]:
    body = read_object(response.body)
    if body is None:
        what = f"The response is not a JSON object ({_kind_and_size(response, secrets)})."
        raise _error(LaplasMalformedReplyError, what, response, generation_id)
    return body


def _kind_and_size(response: Response, secrets: Secrets) -> str:
    """Return what is said of a body that is not quoted, as it may be a transcript or a part of one."""
    found = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,40}(?=\s*(;|$))", response.headers.get("content-type", ""))
    kind = redact(found.group(), secrets=secrets) if found else "no content type"
    return f"{kind}, {len(response.body)} bytes"


_ERRORS: Mapping[int, tuple[type[LaplasResponseError], str]] = {
    400: (LaplasValidationError, "The API refused the request"),
    401: (LaplasAuthenticationError, "The API refused the key"),
    403: (LaplasCreditsError, "The account is out of credits, or lacks permission"),
    404: (LaplasNotFoundError, "The API does not know this address"),
    413: (LaplasTooLargeError, "The audio is too large for the API"),
    422: (LaplasValidationError, "The API refused the request"),
    429: (LaplasRateLimitError, "The API asks for fewer requests"),
}


# Statuses that end a wait, or mean that the key or the account is unusable: they must come from the API itself.
_DECISIVE = frozenset({401, 403, 404, 410})


def _is_error_body(body: Any) -> bool:
    return isinstance(body, dict) and "message" in body and ("statusCode" in body or "requestId" in body)


def _error_of(response: Response, generation_id: str | None, secrets: Secrets) -> LaplasError:
    detail, request_id, from_api = _error_body(response, secrets)
    if not from_api and response.status in _DECISIVE:
        what = f"A gateway, and not the API, answered with HTTP {response.status}."
        return _error(LaplasMalformedReplyError, what, response, generation_id, detail=detail)
    gone = response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
    if gone and generation_id is not None:
        return LaplasGenerationGoneError(
            f"The API does not know generation {generation_id} (any more): a result is kept for one hour from "
            f"its creation. {_facts(response.status, request_id, detail)} If the transcript was never stored, the "
            "audio has to be submitted (and paid for) again.",
            generation_id=generation_id,
            request_id=request_id,
        )
    kind, what = _ERRORS.get(response.status, (LaplasResponseError, "The API answered unexpectedly"))
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, what = LaplasServerError, "The server failed"
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        what = (
            "The API's address redirects elsewhere; redirects are not followed, to keep the key from leaking"
        )
    return _error(kind, f"{what}.", response, generation_id, detail=detail, request_id=request_id)


def _error(
    kind: type[LaplasResponseError],
    what: str,
    response: Response,
    generation_id: str | None,
    *,
    detail: str = "",
    request_id: str | None = None,
) -> LaplasResponseError:
    about = f" Generation {generation_id}." if generation_id else ""
    error = kind(
        f"{what}{about} {_facts(response.status, request_id, detail)} {kind.advice}",
        status=response.status,
        request_id=request_id,
        detail=detail,
        retry_after=parse_retry_after(response.headers.get("retry-after"), now=time.time()),
        generation_id=generation_id,
    )
    if isinstance(error, LaplasValidationError):
        error.field = _named_field(detail)
    return error


def _facts(status: int, request_id: str | None, detail: str) -> str:
    request = f", requestId {request_id}" if request_id else ""
    return f"(HTTP {status}{request}{': ' + detail if detail else ''})."


def _error_body(response: Response, secrets: Secrets) -> tuple[str, str | None, bool]:
    """Return what the server said, the request id, and whether the API sent it (rather than a gateway)."""
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        body = None
    said, request_id = "", None
    if isinstance(body, dict):
        said = redact(_flatten(body.get("message")), secrets=secrets)
        found = body.get("requestId") or body.get("request_id")
        request_id = redact(str(found), secrets=secrets, limit=80) if isinstance(found, str | int) else None
    return said or _kind_and_size(response, secrets), request_id, _is_error_body(body)


def _flatten(value: Any, depth: int = 4) -> str:
    """Flatten a message (a string, a list or an object) into one string; of a long one, no more than is looked at."""
    if isinstance(value, str):
        # One more, as what is cut is treated as such.
        return value[: BOUND + 1]
    if value is None or depth == 0:
        return ""
    if isinstance(value, list):
        return _joined(_flatten(item, depth - 1) for item in value)
    if isinstance(value, dict):
        parts = ((name[:BOUND], _flatten(item, depth - 1)) for name, item in value.items())
        return _joined(f"{name}: {text}" for name, text in parts if text)
    return str(value)[: BOUND + 1]


def _joined(texts: Iterable[str]) -> str:
    joined: list[str] = []
    length = 0
    for text in filter(None, texts):
        joined.append(text)
        length += len(text)
        if length > BOUND:
            break
    return "; ".join(joined)


# Option names that are also common English words in error messages.
_ENGLISH = frozenset({"audio", "extra", "file", "language", "model", "search", "tag", "topics", "url"})


def _named_field(detail: str) -> str | None:
    """Return the option that a message is about: a quoted one or one before a colon, else any that it mentions."""
    known = OPTION_NAMES | RESERVED
    marked = ["".join(found) for found in re.findall(r"[`'\"](\w+)[`'\"]|(\w+)\s*:", detail)]
    words = re.findall(r"\w+", detail)
    candidates = [*marked, *(word for word in words if word not in _ENGLISH), *words]
    return next((word for word in candidates if word in known), None)
