"""What may be repeated, after which pause, and what a failed submission means."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api.calls import Upload, submit
from airflow_provider_laplas.api.responses import Response
from airflow_provider_laplas.api.retry import (
    ANSWERS,
    RETRY_AFTER_CEILING,
    as_submit_error,
    backoff,
    may_repeat,
    wants_other_part,
)
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasAuthenticationError,
    LaplasCreditsError,
    LaplasError,
    LaplasGenerationGoneError,
    LaplasMalformedReplyError,
    LaplasRateLimitError,
    LaplasServerError,
    LaplasTooLargeError,
    LaplasTransportError,
    LaplasValidationError,
)
from tests.unit.api.answers import FETCH, ID, SUBMIT

NOT_SENT = LaplasTransportError("x", sent=False)
SENT = LaplasTransportError("x", sent=True)


@pytest.mark.parametrize(
    ("error", "submit", "fetch"),
    [
        (NOT_SENT, True, True),
        (SENT, False, True),
        (LaplasRateLimitError("x", status=429), True, True),
        (LaplasServerError("x", status=503), False, True),
        (LaplasMalformedReplyError("x", status=200), False, True),
        (LaplasValidationError("x", status=400), False, False),
        (LaplasAuthenticationError("x", status=401), False, False),
        (LaplasCreditsError("x", status=403), False, False),
        (LaplasTooLargeError("x", status=413), False, False),
        (LaplasGenerationGoneError("x", generation_id=ID), False, False),
    ],
)
def test_a_submission_is_repeated_only_where_it_cannot_have_been_taken(error, submit, fetch):
    assert may_repeat(SUBMIT, error) is submit
    assert may_repeat(FETCH, error) is fetch


@pytest.mark.parametrize(
    ("error", "ambiguous"),
    [
        (SENT, True),
        (LaplasServerError("x", status=500, request_id="r"), True),
        (LaplasMalformedReplyError("x", status=201), True),
        (NOT_SENT, False),
        (LaplasRateLimitError("x", status=429), False),
        (LaplasValidationError("x", status=400), False),
        (LaplasMalformedReplyError("x", status=400), False),
    ],
)
def test_only_what_may_have_been_accepted_is_ambiguous(error, ambiguous):
    result = as_submit_error(error)
    assert isinstance(result, LaplasAmbiguousSubmitError) is ambiguous
    if ambiguous:
        assert "usage page" in result.message
    else:
        assert result is error


SURELY_NOT_MADE = {
    *(301, 307, 308),
    *(400, 401, 402, 403, 404, 405, 407, 410, 411, 413, 414, 415, 421, 422, 425, 426, 428, 429, 431, 451),
    *(501, 505, 511),
}


@pytest.mark.parametrize("status", range(100, 1000))
def test_a_submission_that_any_other_status_answers_may_have_been_made(status):
    try:
        SUBMIT.read(Response(status, {}, b""))
    except LaplasError as error:
        ambiguous = isinstance(as_submit_error(error), LaplasAmbiguousSubmitError)
    assert ambiguous is (status not in SURELY_NOT_MADE)


def test_every_status_has_one_reason():
    reasons = Counter(status for answer in ANSWERS for status in answer.statuses)
    assert {status for status, count in reasons.items() if count > 1} == {501, 505, 511}


@given(st.integers(1, 60), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_backoff_grows_to_a_ceiling_and_waits_at_least_what_the_server_asks(failures, chance, asked):
    error = LaplasRateLimitError("x", status=429, retry_after=asked)
    pause = backoff(failures, error, rng=lambda: chance)
    least = min(asked or 0, RETRY_AFTER_CEILING)
    assert least <= pause <= least + min(30, 2.0 ** (failures - 1))


def test_the_part_name_is_only_changed_for_the_message_about_it():
    upload = Upload("a.mp3", 1, "audio/mpeg", open)
    refused = LaplasValidationError("x", status=400, detail="One of url or file is required")
    assert wants_other_part(submit(upload), refused)
    assert not wants_other_part(SUBMIT, refused)
    assert not wants_other_part(submit(upload), LaplasValidationError("x", status=400, detail="bad language"))
