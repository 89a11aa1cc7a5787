"""
The API without sockets and without Airflow: what is sent, what an answer means, what may be repeated.

A :class:`Call` describes one request and how to read its answer. :func:`read` is the one place where status, headers
and body become a value or a typed error. Whoever has a socket (the hook) carries the one to the other.
"""

import json
import math
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, BinaryIO, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit

from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
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
    LaplasTransportError,
    LaplasValidationError,
)
from airflow_provider_laplas.options import DEFAULT_MODEL, OPTION_NAMES, RESERVED
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.transcript import Transcript, find_result

T = TypeVar("T")

Secrets: TypeAlias = tuple[str, ...]
"""Texts that no error and no value may show: the key."""

DEFAULT_BASE_URL = "https://api.apilaplas.com/v1"
"""The API's documented address."""

RETENTION = 3600.0
"""Seconds for which the API keeps a finished transcript, counted from its creation (observed)."""

RETRY_AFTER_CEILING = 60.0
"""The longest pause, in seconds, that a server may ask of us; what it asks beyond is not obeyed."""

PART_NAMES = ("audio", "file")
"""The upload's part name: the documented one, then the one that some deployments want (observed)."""

# Observed; they vary by model. A word in none of the three sets means "not yet", with a warning.
PENDING_WORDS = frozenset({"queued", "waiting", "active", "generating", "processing", "pending", "running"})
COMPLETED_WORDS = frozenset({"completed"})
FAILED_WORDS = frozenset({"error", "failed"})

_MAX_ID_LENGTH = 200


class State(Enum):
    """What a status word means."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Generation:
    """
    One look at a generation.

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


@dataclass(frozen=True, slots=True)
class Upload:
    """
    Audio that is streamed to the API.

    :ivar name: the file's name, without folders
    :ivar size: in bytes
    :ivar content_type: a MIME type
    :ivar open: opens it for reading, from the start, as often as it is called
    :ivar version: changes when the audio does: an ETag, or a modification time
    """

    name: str
    size: int
    content_type: str
    open: Callable[[], BinaryIO] = field(repr=False)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    One request and how to read its answer.

    :ivar path: below the base URL, quoted
    :ivar decode: the JSON object of a successful answer to a value, which must not show the secrets
    :ivar json: a JSON body
    :ivar form: form fields beside ``upload``
    :ivar part: the name of the upload's part
    :ivar generation_id: the generation that it asks for, where it does
    :ivar timeout: seconds for the reply, where the connection's setting does not fit
    """

    method: Literal["GET", "POST"]
    path: str
    decode: Callable[[Mapping[str, Any], Secrets], T] = field(repr=False)
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    upload: Upload | None = None
    part: str = PART_NAMES[0]
    generation_id: str | None = None
    timeout: float | None = None

    @property
    def submits(self) -> bool:
        """Whether the call costs money where the server takes it."""
        return self.method == "POST"


def submit(
    source: str | Upload,
    *,
    model: str = DEFAULT_MODEL,
    options: Mapping[str, Any] | None = None,
    part: str = PART_NAMES[0],
) -> Call[str]:
    """
    Submit audio; the answer is the generation id.

    :param source: an http(s) URL that the API fetches, or an upload
    :param part: the name of the upload's part
    """
    return _post("/stt/create", _decode_submission, source, model, options, part)


def transcribe(
    source: str | Upload,
    *,
    model: str = DEFAULT_MODEL,
    options: Mapping[str, Any] | None = None,
    part: str = PART_NAMES[0],
    timeout: float | None = None,
) -> Call[Transcript]:
    """
    Do it in one call, the legacy way, which the API replaced because it times out on longer audio.

    :param timeout: seconds for the answer, which comes when the transcript is done
    """
    return _post("/stt", _decode_transcript, source, model, options, part, timeout=timeout)


def fetch(generation_id: str) -> Call[Generation]:
    """
    Look at a generation.

    :raises LaplasArgumentError: where the id cannot be one
    """
    generation_id = check_generation_id(generation_id)
    return Call(
        "GET",
        f"/stt/{quote(generation_id, safe='')}",
        lambda body, secrets: _decode_generation(generation_id, body, secrets),
        generation_id=generation_id,
    )


def check_generation_id(generation_id: Any) -> str:
    """
    Return the id, if it can be one.

    The text ``None`` is what a template makes of an XCom that is not there, so it is refused as well; and dots
    alone would name another path. Everything else is quoted into the path, so it cannot change the request.

    :raises LaplasArgumentError: naming ``generation_id``
    """
    if (
        not isinstance(generation_id, str)
        or not generation_id.strip()
        or not generation_id.isprintable()
        or generation_id == "None"
        or not generation_id.strip(".")
        or len(generation_id) > _MAX_ID_LENGTH
    ):
        shown = redact(repr(generation_id), limit=60)
        raise LaplasArgumentError(
            f"`generation_id` must be the id that a submission returned, not {shown}. "
            "Did the submitting task push it to XCom?",
            argument="generation_id",
        )
    return generation_id


def form_fields(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Write values as form fields: booleans as ``true`` and ``false``, a list as one field for each of its items."""
    for name, value in values.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            yield name, item if isinstance(item, str) else json.dumps(item)


def read(call: Call[T], response: Response, *, secrets: Secrets = ()) -> T:
    """
    Make a value or a typed error of an answer.

    :raises LaplasResponseError: or the subclass for the status
    :raises LaplasGenerationGoneError: where the API does not know the generation
    """
    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        body = _json_object(response, call)
        try:
            return call.decode(body, secrets)
        except LaplasMalformedReplyError as error:
            raise _error(LaplasMalformedReplyError, str(error), response, call) from None
    raise _error_of(call, response, secrets)


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


def as_submit_error(error: LaplasError) -> LaplasError:
    """
    Return what an error means for a submission.

    What may have been accepted (cut or timed out after sending, 5xx, a success that cannot be read) is ambiguous, and
    ambiguous is final: only the user knows whether paying twice is worse than having no transcript.
    """
    sent = isinstance(error, LaplasTransportError) and error.sent
    accepted = isinstance(error, LaplasMalformedReplyError) and error.status < HTTPStatus.MULTIPLE_CHOICES
    if not (sent or accepted or isinstance(error, LaplasServerError)):
        return error
    # Without the advice of the inner error, which would be to try again.
    found = (
        str(error).removesuffix(error.advice).strip()
        if isinstance(error, LaplasResponseError)
        else str(error)
    )
    return ambiguous_submission(
        f"The submission was sent, and no usable answer came. {found}",
        request_id=getattr(error, "request_id", None),
    )


def ambiguous_submission(what: str, *, request_id: str | None = None) -> LaplasAmbiguousSubmitError:
    """Return the error for a submission of which nobody knows whether the API took it."""
    return LaplasAmbiguousSubmitError(
        f"{what} It may have been accepted and billed. Look at the account's usage page; if it is not there, clear the "
        'task to submit again. (on_ambiguous="resubmit" always submits again, and risks paying twice.)',
        request_id=request_id,
    )


def wants_other_part(call: Call[Any], error: LaplasError) -> bool:
    """Tell whether a 400 says that the upload's part has the wrong name. A 400 means that nothing was created."""
    return (
        call.upload is not None
        and isinstance(error, LaplasValidationError)
        and error.status == HTTPStatus.BAD_REQUEST
        and "url or file" in error.detail.lower()
    )


def may_repeat(call: Call[Any], error: BaseException) -> bool:
    """
    Tell whether the same call may be sent again by itself.

    A submission is money: it is repeated only where the server cannot have taken it, that is on a connection that
    was never made and on 429. A look costs nothing: it is also repeated on 5xx, on a cut and on garbage.
    """
    if isinstance(error, LaplasRateLimitError):
        return True
    if isinstance(error, LaplasTransportError):
        return not (call.submits and error.sent)
    return not call.submits and isinstance(error, LaplasServerError | LaplasMalformedReplyError)


def backoff(
    failures: int,
    error: BaseException | None = None,
    *,
    ceiling: float = 30.0,
    rng: Callable[[], float] = random.random,
) -> float:
    """
    Return the seconds to pause after so many failures in a row: full jitter under a bound that doubles.

    A server's Retry-After is the least that is waited, up to :data:`RETRY_AFTER_CEILING`.

    :param failures: at least 1
    :param rng: a number from 0 to 1
    """
    bound = min(ceiling, 2.0 ** min(failures - 1, 16))
    asked = min(getattr(error, "retry_after", None) or 0.0, RETRY_AFTER_CEILING)
    return asked + rng() * bound


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


def _post(
    path: str,
    decode: Callable[[Mapping[str, Any], Secrets], T],
    source: str | Upload,
    model: str,
    options: Mapping[str, Any] | None,
    part: str,
    *,
    timeout: float | None = None,
) -> Call[T]:
    values = {"model": model, **(options or {})}
    if isinstance(source, str):
        return Call("POST", path, decode, json={**values, "url": source}, timeout=timeout)
    form = tuple(form_fields(values))
    return Call("POST", path, decode, form=form, upload=source, part=part, timeout=timeout)


def _decode_transcript(body: Mapping[str, Any], secrets: Secrets) -> Transcript:  # noqa: ARG001
    return Transcript.from_reply(body)


def _decode_submission(body: Mapping[str, Any], secrets: Secrets) -> str:  # noqa: ARG001
    for key in ("generation_id", "id"):
        if isinstance(body.get(key), str):
            try:
                return check_generation_id(body[key])
            except LaplasArgumentError:
                continue
    raise LaplasMalformedReplyError("The answer to the submission holds no generation id.", status=200)


def _decode_generation(generation_id: str, body: Mapping[str, Any], secrets: Secrets) -> Generation:
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


def _json_object(response: Response, call: Call[Any]) -> Mapping[str, Any]:
    try:
        body = json.loads(response.body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        # The body is not quoted: it may be a transcript that was cut off.
        kind = redact(response.headers.get("content-type", "no content type"), limit=60)
        what = f"The answer is not a JSON object ({kind}, {len(response.body)} bytes)."
        raise _error(LaplasMalformedReplyError, what, response, call)
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


def _error_of(call: Call[Any], response: Response, secrets: Secrets) -> LaplasError:
    detail, request_id, from_api = _error_body(response, secrets)
    if not from_api and response.status in _DECISIVE:
        what = f"A gateway, and not the API, answered with HTTP {response.status}."
        return _error(LaplasMalformedReplyError, what, response, call, detail=detail)
    gone = response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
    if gone and call.generation_id is not None:
        return LaplasGenerationGoneError(
            f"The API does not know generation {call.generation_id} (any more): a result is kept for one hour from "
            f"its creation. {_facts(response.status, request_id, detail)} If it was never stored, the audio has to be "
            "submitted (and paid for) again.",
            generation_id=call.generation_id,
            request_id=request_id,
        )
    kind, what = _ERRORS.get(response.status, (LaplasResponseError, "The API answered unexpectedly"))
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, what = LaplasServerError, "The server failed"
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        what = "The API's address redirects elsewhere, which is not followed (the key would go with it)"
    return _error(kind, f"{what}.", response, call, detail=detail, request_id=request_id)


def _error(
    kind: type[LaplasResponseError],
    what: str,
    response: Response,
    call: Call[Any],
    *,
    detail: str = "",
    request_id: str | None = None,
) -> LaplasResponseError:
    about = f" Generation {call.generation_id}." if call.generation_id else ""
    error = kind(
        f"{what}{about} {_facts(response.status, request_id, detail)} {kind.advice}",
        status=response.status,
        request_id=request_id,
        detail=detail,
        retry_after=parse_retry_after(response.headers.get("retry-after"), now=time.time()),
        generation_id=call.generation_id,
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
