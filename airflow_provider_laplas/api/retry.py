"""Which requests may be retried, after what delay, and what a failure means for a submission, which is billed."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from airflow_provider_laplas.api.calls import Call
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasError,
    LaplasMalformedReplyError,
    LaplasRateLimitError,
    LaplasResponseError,
    LaplasServerError,
    LaplasTransportError,
    LaplasValidationError,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a status says of a submission.

    :ivar statuses: the statuses that say so
    :ivar made: whether the submission may have been made
    :ivar why: what a server, or a proxy on the way to it, has done before it sends one
    """

    statuses: Collection[int]
    made: bool
    why: str


ANSWERS = (
    Answer(
        (301, 307, 308), False, "the same request is to be sent to another address: here it was not performed"
    ),
    Answer((400, 415, 422), False, "it was read, and refused for what it asks"),
    Answer((401, 402, 403, 451), False, "it was refused for who sent it"),
    Answer((404, 405, 410), False, "nothing takes a submission at this address"),
    Answer((407, 511), False, "a proxy asks for a login first, and forwards nothing"),
    Answer((411, 413, 414, 431), False, "it was refused for its size or its headers"),
    Answer((421,), False, "this server is not the one that was meant"),
    Answer((425,), False, "it could have been a replay, which servers refuse before they perform it"),
    Answer((426, 428, 505), False, "it was refused for how it was sent"),
    Answer((429,), False, "it was refused for how many came before it"),
    Answer((501,), False, "the server does not know the method"),
    Answer(range(100, 200), True, "this is no answer yet"),
    Answer(range(200, 300), True, "it was accepted, though the answer names no generation"),
    Answer((300, 302, 303, 304), True, "servers say so when they have performed it: the result is elsewhere"),
    Answer((408,), True, "proxies say so, too, when the server behind them takes too long"),
    Answer((409,), True, "where a proxy sent it twice, the second one collides with the first"),
    Answer((499,), True, "the proxy gave up, and the server may go on"),
    Answer(range(500, 600), True, "the server, or one behind a proxy, may have failed after it accepted"),
)
"""What the statuses say; of several that hold one, the first counts. A status that none holds may mean anything."""

RETRY_AFTER_CEILING = 60.0
"""The longest Retry-After, in seconds, that is honoured; longer ones are cut to this."""


def may_have_been_made(status: int) -> bool:
    """Return whether a submission may have been accepted, and billed, that was answered with this status."""
    return next((answer.made for answer in ANSWERS if status in answer.statuses), True)


def may_repeat(call: Call[Any], error: BaseException) -> bool:
    """
    Return whether a call may be retried automatically.

    A submission is billed, so it is retried only if the server cannot have accepted it: if the connection failed, and
    on 429. A poll is free, so it is also retried on 5xx, on a lost connection and on an unreadable reply.
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
    Return the seconds to wait before the next retry: exponential backoff with full jitter.

    The jitter is added to the server's Retry-After, which is honoured up to :data:`RETRY_AFTER_CEILING`.

    :param failures: consecutive failures, at least 1
    :param rng: a number from 0 to 1
    """
    bound = min(ceiling, 2.0 ** min(failures - 1, 16))
    asked = min(getattr(error, "retry_after", None) or 0.0, RETRY_AFTER_CEILING)
    return asked + rng() * bound


def as_submit_error(error: LaplasError) -> LaplasError:
    """
    Return what an error means for a submission.

    A submission that may have been accepted (connection lost or timed out after sending, or a status that does not say
    that it was not made) is ambiguous and is never retried: only the user can decide whether to risk paying twice.
    """
    sent = isinstance(error, LaplasTransportError) and error.sent
    answered = isinstance(error, LaplasResponseError) and may_have_been_made(error.status)
    if not (sent or answered):
        return error
    # The inner error's advice would be to try again.
    found = (
        str(error).removesuffix(error.advice).strip()
        if isinstance(error, LaplasResponseError)
        else str(error)
    )
    return ambiguous_submission(
        f"The submission was sent, but no usable answer came back. {found}",
        request_id=getattr(error, "request_id", None),
    )


def ambiguous_submission(what: str, *, request_id: str | None = None) -> LaplasAmbiguousSubmitError:
    """Return the error for a submission that the API may or may not have accepted."""
    return LaplasAmbiguousSubmitError(
        f"{what} It may have been accepted and billed. Check the account's usage page; if it is not there, clear the "
        'task to submit again. (on_ambiguous="resubmit" always submits again, at the risk of paying twice.)',
        request_id=request_id,
    )


def wants_other_part(call: Call[Any], error: LaplasError) -> bool:
    """Return whether a 400, on which nothing was created, says that the upload's form part has the wrong name."""
    return (
        call.upload is not None
        and isinstance(error, LaplasValidationError)
        and error.status == HTTPStatus.BAD_REQUEST
        and "url or file" in error.detail.lower()
    )
