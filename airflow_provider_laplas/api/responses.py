"""
What an answer means: a value or a typed error.

:func:`read` is the one place where status, headers and body become the one or the other.
"""

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar
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
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.replies import find_result

T = TypeVar("T")

Secrets: TypeAlias = tuple[str, ...]
"""Texts that no error and no value may show: the key."""

RETENTION = 3600.0
"""Seconds for which the API keeps a finished transcript, counted from its creation (observed)."""

# Observed; they vary by model. A word in none of the three sets means "not yet", with a warning.
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
    One poll of a generation: what the API said of it.

    :ivar generation_id: the id that was asked for
    :ivar status: the API's word, as it came
    :ivar state: what that word means
    :ivar reply: the whole reply, untouched
    :ivar reason: why it failed, in the API's words; empty otherwise
    """

    generation_id: str
    status: str
    state: State
    reply: Mapping[str, Any] = field(repr=False)
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether the status word is one that was ever documented or observed."""
        return self.status in PENDING_WORDS | COMPLETED_WORDS | FAILED_WORDS

    def transcript(self) -> Transcript:
        """Return the transcript of a completed generation."""
        return Transcript.from_reply(self.reply)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer, whole. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def read(
    response: Response,
    decode: Callable[[Mapping[str, Any], Secrets], T],
    *,
    generation_id: str | None = None,
    secrets: Secrets = (),
) -> T:
    """
    Make a value or a typed error of an answer.

    :param decode: the JSON object of a successful answer to a value
    :param generation_id: the generation that was asked for, where one was
    :raises LaplasResponseError: or the subclass for the status
    :raises LaplasGenerationGoneError: where the API does not know the generation
    """
    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        body = _json_object(response, generation_id)
        try:
            return decode(body, secrets)
        except LaplasMalformedReplyError as error:
            raise _error(LaplasMalformedReplyError, str(error), response, generation_id) from None
    raise _error_of(response, generation_id, secrets)


def judge_probe(response: Response, base_url: str) -> tuple[bool, str]:
    """
    Judge the answer to a question for a generation that does not exist.

    :return: whether host and key are right, and one sentence for the connection form
    """
    if response.status == HTTPStatus.UNAUTHORIZED:
        return False, "The API refuses the key: put a valid one into the password field."
    if response.status == HTTPStatus.FORBIDDEN:
        return False, "The API takes the key, but the account is out of credits or may not do this."
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
        doubt = (
            ""
            if path == "/v1"
            else f" Should submissions be answered with 404, check the host's path: {path}"
        )
        return True, f"The API answers and takes the key.{doubt}"
    return False, f"{base_url} answers (HTTP {response.status}), but not like a Laplas API: check the host."


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """
    Read a Retry-After header, in seconds or as an HTTP date.

    :param now: epoch seconds
    :return: seconds from now, at least 0; None where there is none that can be read
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
    Read what the API says of a generation.

    :raises LaplasMalformedReplyError: where it lacks what it must have
    """
    status = body.get("status")
    if not isinstance(status, str) or not status.strip():
        raise LaplasMalformedReplyError("The reply holds no status.", status=200)
    word = status.strip().lower()
    if word in FAILED_WORDS:
        return Generation(generation_id, word, State.FAILED, body, _reason(body, secrets))
    if word not in COMPLETED_WORDS:
        return Generation(generation_id, redact(word, secrets=secrets, limit=40), State.PENDING, body)
    if find_result(body) is None:
        raise LaplasMalformedReplyError("The reply says completed but holds no result.", status=200)
    return Generation(generation_id, word, State.COMPLETED, body)


def _reason(body: Mapping[str, Any], secrets: Secrets) -> str:
    result = find_result(body) or {}
    for holder in (body.get("error"), body.get("message"), result.get("error")):
        said = holder.get("message") if isinstance(holder, Mapping) else None
        if text := _flatten(said) or _flatten(holder):
            return redact(text, secrets=secrets)
    return "no reason given"


def _json_object(response: Response, generation_id: str | None) -> Mapping[str, Any]:
    try:
        body = json.loads(response.body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        # The body is not quoted: it may be a transcript that was cut off.
        kind = redact(response.headers.get("content-type", "no content type"), limit=60)
        what = f"The answer is not a JSON object ({kind}, {len(response.body)} bytes)."
        raise _error(LaplasMalformedReplyError, what, response, generation_id)
    return body


def _refuse_constant(name: str) -> Any:
    """NaN and Infinity are no JSON, and neither Airflow's XCom nor a database takes them."""
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_ERRORS: Mapping[int, tuple[type[LaplasResponseError], str]] = {
    400: (LaplasValidationError, "The API refused the request"),
    401: (LaplasAuthenticationError, "The API refused the key"),
    403: (LaplasCreditsError, "The account is out of credits, or may not do this"),
    404: (LaplasNotFoundError, "The API does not know this address"),
    413: (LaplasTooLargeError, "The audio is too large for the API"),
    422: (LaplasValidationError, "The API refused the request"),
    429: (LaplasRateLimitError, "The API asks for fewer requests"),
}


# What ends a wait, or says that a key or an account is of no use, has to come from the API itself.
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
            f"its creation. {_facts(response.status, request_id, detail)} If it was never stored, the audio has to be "
            "submitted (and paid for) again.",
            generation_id=generation_id,
            request_id=request_id,
        )
    kind, what = _ERRORS.get(response.status, (LaplasResponseError, "The API answered unexpectedly"))
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, what = LaplasServerError, "The server failed"
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        what = "The API's address redirects elsewhere, which is not followed (the key would go with it)"
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
    """Return what was said, the request id, and whether the API said it, or a gateway in front of it."""
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        text = response.body[:2000].decode("utf-8", "replace").strip()
        html = text.startswith("<") or "html" in response.headers.get("content-type", "").lower()
        return ("an HTML page" if html else redact(text, secrets=secrets)), None, False
    request_id = None
    said = body
    if isinstance(body, dict):
        said = body.get("message") or body.get("error") or body.get("detail")
        found = body.get("requestId") or body.get("request_id")
        request_id = redact(str(found), secrets=secrets, limit=80) if found else None
    return redact(_flatten(said), secrets=secrets), request_id, _is_error_body(body)


def _flatten(value: Any, depth: int = 4) -> str:
    """Write a message as one text, be it a text, a list or an object."""
    if isinstance(value, str):
        return value
    if value is None or depth == 0:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_flatten(item, depth - 1) for item in value)))
    if isinstance(value, dict):
        parts = ((name, _flatten(item, depth - 1)) for name, item in value.items())
        return "; ".join(f"{name}: {text}" for name, text in parts if text)
    return str(value)


# Names of options that are also words of the sentences around them.
_ENGLISH = frozenset({"audio", "extra", "file", "language", "model", "search", "tag", "topics", "url"})


def _named_field(detail: str) -> str | None:
    """Return the option that a message is about: one that is quoted or stands before a colon, else any it mentions."""
    known = OPTION_NAMES | RESERVED
    marked = ["".join(found) for found in re.findall(r"[`'\"](\w+)[`'\"]|(\w+)\s*:", detail)]
    words = re.findall(r"\w+", detail)
    candidates = [*marked, *(word for word in words if word not in _ENGLISH), *words]
    return next((word for word in candidates if word in known), None)
