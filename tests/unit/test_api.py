"""What an answer means: one pure function, driven with every status and any bytes."""

import json
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas import api
from airflow_provider_laplas.api import Call, Generation, Response, State
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
from airflow_provider_laplas.transcript import Transcript
from tests.fake_api import error_body, transcript_reply

ID = "5f0c7a52-8a4f-4b52-a7d3-0d2a4a2c9a11"
JSON_TYPE = {"content-type": "application/json"}


def answer(status: int, body: object, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(
        status, JSON_TYPE | {name.replace("_", "-"): value for name, value in headers.items()}, raw
    )


def failure(call: Call, response: Response, **kwargs: object) -> LaplasError:
    with pytest.raises(LaplasError) as caught:
        api.read(call, response, **kwargs)
    return caught.value


SUBMIT = api.submit("https://example.com/a.mp3")
FETCH = api.fetch(ID)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)

# Likely keys around unlikely values: what random JSON hits too rarely.
REPLY = st.fixed_dictionaries(
    {"status": st.sampled_from(["completed", "error", "waiting", "new word"]) | JSON},
    optional={
        key: JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "text": JSON,
                "words": JSON | st.lists(st.fixed_dictionaries({}, optional={"start": JSON, "word": JSON})),
                "metadata": JSON | st.fixed_dictionaries({"model_info": JSON, "duration": JSON}),
                "results": JSON
                | st.fixed_dictionaries(
                    {
                        "channels": JSON
                        | st.lists(st.fixed_dictionaries({"alternatives": JSON | st.lists(JSON)})),
                        "utterances": JSON,
                    }
                ),
            },
        )
        for key in ("result", "output", "error", "message", "generation_id", "id")
    },
)


@pytest.mark.parametrize("call", [SUBMIT, FETCH, api.transcribe("https://example.com/a.mp3")])
@given(status=st.integers(100, 599), body=JSON | REPLY, raw=st.none() | st.binary())
def test_any_answer_is_a_value_or_a_laplas_error(call, status, body, raw):
    response = Response(status, JSON_TYPE, json.dumps(body).encode() if raw is None else raw)
    try:
        value = api.read(call, response)
    except LaplasError as error:
        assert error.message
        error.message.encode()
    else:
        assert isinstance(value, str | Generation | Transcript)


@given(REPLY)
def test_any_completed_reply_has_a_transcript_or_is_malformed(body):
    try:
        generation = api.read(FETCH, answer(200, body | {"status": "completed"}))
        transcript = generation.transcript()
    except LaplasError:
        return
    assert isinstance(transcript.text, str)
    assert transcript.raw == generation.reply


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(
    "body", [{"generation_id": ID}, {"id": ID, "status": "queued"}, {"generation_id": None, "id": ID}]
)
def test_any_success_status_and_either_key_gives_the_id(status, body):
    assert api.read(SUBMIT, answer(status, body)) == ID


@pytest.mark.parametrize("body", [{}, {"generation_id": ""}, {"generation_id": 7}, {"id": ".."}, []])
def test_a_submission_answered_without_an_id_is_malformed(body):
    assert isinstance(failure(SUBMIT, answer(201, body)), LaplasMalformedReplyError)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *((word, State.PENDING) for word in sorted(api.PENDING_WORDS)),
        ("Completed ", State.COMPLETED),
        ("transmogrifying", State.PENDING),
    ],
)
def test_a_status_word_means_what_was_observed_and_an_unknown_one_is_not_done(word, state):
    generation = api.read(FETCH, answer(200, transcript_reply() | {"status": word}))
    assert generation.state is state
    assert generation.known is (word != "transmogrifying")


@pytest.mark.parametrize("word", ["error", "failed"])
@pytest.mark.parametrize("error", ["bad audio", {"name": "Error", "message": "bad audio"}, ["bad audio"]])
def test_a_failed_generation_has_the_apis_reason(word, error):
    generation = api.read(FETCH, answer(200, {"status": word, "error": error}))
    assert generation.state is State.FAILED
    assert "bad audio" in generation.reason


@pytest.mark.parametrize(
    "body", [{"status": "completed"}, {"status": "completed", "result": None}, {"status": None}, {}]
)
def test_a_reply_that_lacks_what_it_must_have_is_malformed(body):
    assert isinstance(failure(FETCH, answer(200, body)), LaplasMalformedReplyError)


@pytest.mark.parametrize(
    "body", [b'{"status": "comp', b"", b"null", b"[]", b"<html>", b'{"status": NaN}', b"[" * 100_000]
)
def test_a_cut_or_foreign_body_is_malformed_and_never_quoted(body):
    error = failure(FETCH, Response(200, JSON_TYPE, body))
    assert isinstance(error, LaplasMalformedReplyError)
    assert "comp" not in error.message.replace("completed", "")
    assert ID in error.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, LaplasValidationError),
        (401, LaplasAuthenticationError),
        (402, LaplasResponseError),
        (403, LaplasCreditsError),
        (404, LaplasNotFoundError),
        (413, LaplasTooLargeError),
        (422, LaplasValidationError),
        (429, LaplasRateLimitError),
        (500, LaplasServerError),
        (503, LaplasServerError),
        (504, LaplasServerError),
    ],
)
def test_each_status_is_its_own_error_with_the_facts_in_the_message(status, kind):
    error = failure(SUBMIT, answer(status, error_body(status, "because")))
    assert type(error) is kind
    assert (error.status, error.request_id, error.detail) == (status, f"req-{status}", "because")
    for fact in (str(status), f"req-{status}", "because", kind.advice):
        assert fact in error.message


@pytest.mark.parametrize(
    "message",
    [
        "Body validation error: utt_split must be a number",
        ["utt_split: expected number"],
        {"fieldErrors": {"utt_split": ["Expected number"]}},
    ],
)
def test_a_validation_error_names_the_field_however_the_api_writes_it(message):
    error = failure(SUBMIT, answer(400, error_body(400, message)))
    assert error.field == "utt_split"


@pytest.mark.parametrize("status", [404, 410])
def test_an_unknown_generation_is_gone(status):
    error = failure(FETCH, answer(status, error_body(status)))
    assert isinstance(error, LaplasGenerationGoneError)
    assert ID in error.message
    assert error.request_id == f"req-{status}"


def test_a_gateways_404_does_not_mean_that_the_generation_is_gone():
    for body in (b"<html>not here</html>", b"404 page not found", b"", b'{"detail": "Not Found"}'):
        assert type(failure(FETCH, Response(404, {}, body))) is LaplasMalformedReplyError


@pytest.mark.parametrize("status", [401, 403])
def test_a_gateways_refusal_does_not_mean_that_the_key_or_the_account_is_of_no_use(status):
    response = Response(status, {"content-type": "text/html"}, b"<html>sign in</html>")
    assert type(failure(FETCH, response)) is LaplasMalformedReplyError


def test_a_redirect_is_an_error_that_says_so():
    assert "redirects" in failure(FETCH, Response(302, {"location": "https://evil.example"}, b"")).message


def test_no_error_repeats_the_key_or_a_signature():
    said = "key sk-canary is wrong for https://u:pw@example.com/a.mp3?X-Signature=canary"
    for status in (400, 401, 403, 404, 422, 500):
        error = failure(SUBMIT, answer(status, error_body(status, said)), secrets=("sk-canary",))
        assert "canary" not in str(vars(error)) + error.message
        assert "pw@" not in error.message


@given(JSON)
def test_any_error_message_becomes_one_line(message):
    error = failure(SUBMIT, answer(500, {"message": message}))
    assert "\n" not in error.message
    assert len(error.detail) <= 300


@given(st.text(min_size=1, max_size=40))
def test_an_id_is_quoted_into_the_path_or_refused(generation_id):
    try:
        path = api.fetch(generation_id).path
    except LaplasArgumentError as error:
        assert error.argument == "generation_id"
        return
    prefix, _, rest = path.partition("/stt/")
    assert prefix == ""
    assert not set(rest) & set("/?#\r\n ")
    assert rest.strip(".")


@pytest.mark.parametrize("value", [None, "", "  ", "None", "..", ".", 7, "a\nb", "x" * 201, "\ud800"])
def test_what_cannot_be_an_id_is_refused_by_name(value):
    with pytest.raises(LaplasArgumentError, match="generation_id"):
        api.check_generation_id(value)


def test_form_fields_write_booleans_in_lower_case_and_repeat_lists():
    fields = list(
        api.form_fields(
            {"punctuate": True, "diarize": False, "tag": ["a", "b"], "utt_split": 0.8, "language": "en"}
        )
    )
    assert fields == [
        ("punctuate", "true"),
        ("diarize", "false"),
        ("tag", "a"),
        ("tag", "b"),
        ("utt_split", "0.8"),
        ("language", "en"),
    ]


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
    assert api.may_repeat(SUBMIT, error) is submit
    assert api.may_repeat(FETCH, error) is fetch


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
    result = api.as_submit_error(error)
    assert isinstance(result, LaplasAmbiguousSubmitError) is ambiguous
    if ambiguous:
        assert "usage page" in result.message
    else:
        assert result is error


@given(st.integers(1, 60), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_backoff_grows_to_a_ceiling_and_waits_at_least_what_the_server_asks(failures, chance, asked):
    error = LaplasRateLimitError("x", status=429, retry_after=asked)
    pause = api.backoff(failures, error, rng=lambda: chance)
    least = min(asked or 0, api.RETRY_AFTER_CEILING)
    assert least <= pause <= least + min(30, 2.0 ** (failures - 1))


def test_retry_after_is_read_in_seconds_and_as_a_date():
    now = 1_700_000_000.0
    assert api.parse_retry_after("17", now=now) == 17
    assert api.parse_retry_after(formatdate(now + 30, usegmt=True), now=now) == 30
    assert api.parse_retry_after(formatdate(now - 30, usegmt=True), now=now) == 0
    assert api.parse_retry_after(None, now=now) is None


@given(st.text())
def test_any_retry_after_is_a_pause_or_nothing(value):
    pause = api.parse_retry_after(value, now=0)
    assert pause is None or pause >= 0


def test_the_part_name_is_only_changed_for_the_message_about_it():
    upload = api.Upload("a.mp3", 1, "audio/mpeg", open)
    refused = LaplasValidationError("x", status=400, detail="One of url or file is required")
    assert api.wants_other_part(api.submit(upload), refused)
    assert not api.wants_other_part(SUBMIT, refused)
    assert not api.wants_other_part(
        api.submit(upload), LaplasValidationError("x", status=400, detail="bad language")
    )
