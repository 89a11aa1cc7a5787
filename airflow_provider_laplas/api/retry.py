"""Which requests may be retried, after what delay, and what a failure means for a submission, which is billed."""

import random
from collections.abc import Callable
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

RETRY_AFTER_CEILING = 60.0
"""The longest Retry-After, in seconds, that is honoured; longer ones are cut to this."""


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

    A submission that may have been accepted (connection lost or timed out after sending, 5xx, unreadable success) is
    ambiguous and is never retried: only the user can decide whether to risk paying twice.
    """
    sent = isinstance(error, LaplasTransportError) and error.sent
    accepted = isinstance(error, LaplasMalformedReplyError) and error.status < HTTPStatus.MULTIPLE_CHOICES
    if not (sent or accepted or isinstance(error, LaplasServerError)):
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
