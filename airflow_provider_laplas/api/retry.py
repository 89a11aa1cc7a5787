"""What may be repeated, after which pause, and what a failure means for a submission, which is money."""

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
"""The longest pause, in seconds, that a server may ask of us; what it asks beyond is not obeyed."""


def may_repeat(call: Call[Any], error: BaseException) -> bool:
    """
    Tell whether the same call may be sent again by itself.

    A submission is money: it is repeated only where the server cannot have taken it, that is on a connection that
    was never made and on 429. A poll costs nothing: it is also repeated on 5xx, on a cut and on garbage.
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
