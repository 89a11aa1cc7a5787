"""What an answer means: one pure function, driven with every status and any bytes."""

import json
from email.utils import formatdate
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api.calls import submit, transcribe
from airflow_provider_laplas.api.responses import (
    PENDING_WORDS,
    Generation,
    Response,
    State,
    parse_retry_after,
)
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
from airflow_provider_laplas.known_secrets import Secrets
from airflow_provider_laplas.transcript import Transcript
from tests.encodings import ENCODINGS
from tests.fake_api import error_body, transcript_reply
from tests.unit.api.answers import FETCH, ID, JSON_TYPE, SUBMIT, answer, failure

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


@pytest.mark.parametrize("call", [SUBMIT, FETCH, transcribe("https://example.com/a.mp3")])
@given(status=st.integers(100, 599), body=JSON | REPLY, raw=st.none() | st.binary())
def test_any_answer_is_a_value_or_a_laplas_error(call, status, body, raw):
    response = Response(status, JSON_TYPE, json.dumps(body).encode() if raw is None else raw)
    try:
        value = call.read(response)
    except LaplasError as error:
        assert error.message
        error.message.encode()
    else:
        assert isinstance(value, str | Generation | Transcript)


@given(REPLY)
def test_any_completed_reply_has_a_transcript_or_is_malformed(body):
    try:
        generation = FETCH.read(answer(200, body | {"status": "completed"}))
        transcript = generation.transcript()
    except LaplasError:
        return
    assert isinstance(transcript.text, str)
    assert transcript.raw == generation.reply


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *((word, State.PENDING) for word in sorted(PENDING_WORDS)),
        ("Completed ", State.COMPLETED),
        ("transmogrifying", State.PENDING),
    ],
)
def test_a_status_word_means_what_was_observed_and_an_unknown_one_is_not_done(word, state):
    generation = FETCH.read(answer(200, transcript_reply() | {"status": word}))
    assert generation.state is state
    assert generation.known is (word != "transmogrifying")


@pytest.mark.parametrize("word", ["error", "failed"])
@pytest.mark.parametrize("error", ["bad audio", {"name": "Error", "message": "bad audio"}, ["bad audio"]])
def test_a_failed_generation_has_the_apis_reason(word, error):
    generation = FETCH.read(answer(200, {"status": word, "error": error}))
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


KEY = "Sk-Canary-0123456789abcdefghijklmnopqrstuvwxyz"
PASSWORD, SIGNATURE = "p4ss", "c4naryABC/def+ghi=jkl\"m'n o"
URL = f"https://me:{PASSWORD}@example.com/a.mp3?X-Amz-Signature={quote(SIGNATURE, safe='')}&b={SIGNATURE}"
PRIVATE = submit(URL)


def assert_hidden(text):
    for secret in (KEY, SIGNATURE, quote(SIGNATURE, safe="")):
        # Nor a part of it.
        for begin in range(len(secret) - 8):
            assert secret[begin : begin + 8].lower() not in text.lower()
    assert f":{PASSWORD}@" not in text


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 413, 422, 429, 500, 503])
@pytest.mark.parametrize(
    "said", [KEY, KEY[:-1], URL, f"no {URL.partition('com')[2]}", f"not: {SIGNATURE}", f"{'x ' * 900}{KEY}"]
)
def test_no_error_repeats_what_is_secret_in_its_call_however_a_server_writes_it(encode, status, said):
    error = failure(PRIVATE, answer(status, error_body(status, encode(said))), secrets=Secrets([KEY]))
    assert_hidden(f"{vars(error)} {error.message}")


@pytest.mark.parametrize("lead", [0, 1_950, 4_080, 40_000])
def test_a_message_is_masked_before_it_is_cut(lead):
    said = [
        {"message": f"{'x' * lead} {KEY}"},
        {"message": ["x" * lead, KEY]},
        {"message": {"x" * lead: KEY}},
    ]
    for body in said:
        error = failure(PRIVATE, answer(500, body), secrets=Secrets([KEY]))
        assert_hidden(f"{vars(error)} {error.message}")


SPEECH = "and so my fellow countrymen"


@pytest.mark.parametrize("status", [400, 404, 500, 502])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", SPEECH.encode()),
        ("application/json", json.dumps({"status": "completed", "result": {"text": SPEECH}}).encode()[:-9]),
        ("application/json", json.dumps([SPEECH]).encode()),
        ("application/json", json.dumps(SPEECH).encode()),
        ("application/json", json.dumps({"error": SPEECH, "detail": SPEECH, "text": SPEECH}).encode()),
        ("text/html", f"<html>{SPEECH}</html>".encode()),
    ],
)
def test_of_an_error_only_the_message_of_an_object_is_quoted_and_of_all_else_its_type_and_size(
    status, kind, body
):
    error = failure(FETCH, Response(status, {"content-type": kind}, body))
    assert not any(word in f"{vars(error)} {error.message}" for word in ("fellow", "countrymen"))
    assert f"{kind}, {len(body)} bytes" in error.message


@pytest.mark.parametrize(
    "error",
    [{"text": SPEECH}, [{"text": SPEECH}], {"message": {}, "words": [SPEECH]}, {"result": {"text": SPEECH}}],
)
def test_the_reason_of_a_failed_generation_has_nothing_but_its_message(error):
    generation = FETCH.read(answer(200, {"status": "failed", "error": error, "result": {"text": SPEECH}}))
    assert generation.reason == "no reason given"


@pytest.mark.parametrize("encode", [str, str.lower, str.upper, lambda text: quote(text, safe="")])
@pytest.mark.parametrize(
    "echo", [KEY, KEY[:-1], URL, f"key={KEY}", SIGNATURE, "https://a:b@c/d", "token=abc"]
)
def test_what_a_server_repeats_is_no_generation_id(encode, echo):
    for name in ("generation_id", "id"):
        body = {name: encode(echo)}
        error = failure(PRIVATE, answer(201, body), secrets=Secrets([KEY]))
        assert isinstance(error, LaplasMalformedReplyError)
        assert_hidden(error.message)
    body = {"generation_id": encode(echo), "id": "4b1e0b34-3f6c-4d0a-9d2e-0a1b2c3d4e5f"}
    assert PRIVATE.read(answer(201, body), secrets=Secrets([KEY])) == body["id"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("text/html; charset=utf-8", "(text/html, 2 bytes)"),
        ("application/problem+json", "(application/problem+json, 2 bytes)"),
        ("", "(no content type, 2 bytes)"),
        ("whatever a server repeats", "(no content type, 2 bytes)"),
        ("text/html and more", "(no content type, 2 bytes)"),
    ],
)
def test_of_a_content_type_only_the_type_is_shown(header, said):
    assert said in failure(FETCH, Response(200, {"content-type": header}, b"[]")).message


@pytest.mark.parametrize("encode", [str, str.lower, str.upper, lambda text: quote(text, safe="")])
def test_what_a_server_repeats_is_shown_from_no_status_content_type_or_request_id(encode):
    secrets = Secrets([KEY])
    said = encode(f"{KEY} {KEY[:-1]}")
    generation = FETCH.read(answer(200, {"status": said}), secrets=secrets)
    assert_hidden(generation.status)
    for status in (200, 404, 500):
        response = Response(status, {"content-type": said}, b"[]")
        assert_hidden(failure(FETCH, response, secrets=secrets).message)
        body = error_body(status) | {"requestId": said}
        assert_hidden(failure(SUBMIT, answer(status, body), secrets=secrets).message)


@given(JSON)
def test_any_error_message_becomes_one_line(message):
    error = failure(SUBMIT, answer(500, {"message": message}))
    assert "\n" not in error.message
    assert len(error.detail) <= 300


def test_retry_after_is_read_in_seconds_and_as_a_date():
    now = 1_700_000_000.0
    assert parse_retry_after("17", now=now) == 17
    assert parse_retry_after(formatdate(now + 30, usegmt=True), now=now) == 30
    assert parse_retry_after(formatdate(now - 30, usegmt=True), now=now) == 0
    assert parse_retry_after(None, now=now) is None


@given(st.text())
def test_any_retry_after_is_a_pause_or_nothing(value):
    pause = parse_retry_after(value, now=0)
    assert pause is None or pause >= 0
