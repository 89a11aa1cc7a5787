"""When to poll again, and what each poll means; the clock is the test's."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api.poller import LAST_POLLS, SETTLING, SHORTEST_PAUSE, Poller, next_pause
from airflow_provider_laplas.api.responses import Generation, State
from airflow_provider_laplas.errors import (
    LaplasAuthenticationError,
    LaplasCreditsError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
    LaplasMalformedReplyError,
    LaplasRateLimitError,
    LaplasServerError,
    LaplasTransportError,
)

ID = "g-1"


def pending(status="active"):
    return Generation(ID, status, State.PENDING, {})


DONE = Generation(ID, "completed", State.COMPLETED, {"result": {"text": ""}})
GONE = LaplasGenerationGoneError("gone", generation_id=ID)

PASSING = [
    LaplasTransportError("reset", sent=True),
    LaplasTransportError("refused", sent=False),
    LaplasServerError("503", status=503),
    LaplasRateLimitError("429", status=429),
    LaplasMalformedReplyError("html", status=200),
    LaplasCreditsError("403", status=403),
]


@given(st.floats(0, 1e6), st.floats(0.1, 600), st.floats(0, 1))
def test_a_pause_is_at_least_the_floor_and_never_longer_than_the_interval(waited, interval, chance):
    pause = next_pause(waited, poll_interval=interval, rng=lambda: chance)
    assert min(0.9 * SHORTEST_PAUSE, 0.9 * interval) <= pause <= interval


@given(st.floats(0, 1e4), st.floats(0, 1e4))
def test_pauses_grow_with_the_time_waited(one, other):
    short, long = sorted((one, other))
    assert next_pause(short, rng=lambda: 0.5) <= next_pause(long, rng=lambda: 0.5)


def test_a_wait_ends_with_the_completed_generation(clock):
    poller = Poller(ID, clock.now + 10, clock=clock)
    assert poller.observe(pending()) is None
    assert poller.observe(DONE) is DONE


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_a_poll_that_fails_does_not_end_a_wait(clock, error):
    poller = Poller(ID, clock.now + 10, clock=clock)
    for _ in range(20):
        assert poller.observe(error) is None
    assert poller.observe(DONE) is DONE


def test_a_refused_key_ends_a_wait(clock):
    error = LaplasAuthenticationError("401", status=401)
    with pytest.raises(LaplasAuthenticationError):
        Poller(ID, clock.now + 10, clock=clock).observe(error)


def test_an_id_that_is_gone_ends_a_wait_but_not_right_after_the_submission(clock):
    poller = Poller(ID, clock.now + 100, submitted_at=clock.now, clock=clock)
    assert poller.observe(GONE) is None
    clock.now += SETTLING
    with pytest.raises(LaplasGenerationGoneError):
        poller.observe(GONE)
    with pytest.raises(LaplasGenerationGoneError):
        Poller(ID, clock.now + 100, clock=clock).observe(GONE)


def test_a_failed_generation_ends_a_wait_with_its_reason(clock):
    failed = Generation(ID, "error", State.FAILED, {}, reason="not audio")
    with pytest.raises(LaplasGenerationFailedError, match="not audio") as caught:
        Poller(ID, clock.now + 10, clock=clock).observe(failed)
    assert (caught.value.generation_id, caught.value.reason) == (ID, "not audio")
    # A sensor raises it, too, and a Clear of a sensor submits nothing.
    assert "clear the task that submitted it" in str(caught.value)


def test_a_wait_past_its_deadline_polls_once_and_takes_what_is_finished(clock):
    assert Poller(ID, clock.now - 1, clock=clock).observe(DONE) is DONE
    with pytest.raises(LaplasGenerationTimeoutError, match="active") as caught:
        Poller(ID, clock.now - 1, clock=clock).observe(pending())
    assert caught.value.status == "active"
    assert f'STTCompletionSensor(generation_id="{ID}")' in caught.value.message


def test_the_last_poll_falls_on_the_deadline(clock):
    poller = Poller(ID, clock.now + 0.5, clock=clock)
    poller.observe(pending())
    assert poller.pause() == pytest.approx(0.5)
    clock.now += 2
    assert poller.pause() == 0


def test_past_the_deadline_a_poll_that_fails_is_repeated_a_few_times(clock):
    poller = Poller(ID, clock.now - 1, clock=clock)
    for _ in range(LAST_POLLS - 1):
        assert poller.observe(LaplasServerError("503", status=503)) is None
        assert poller.pause() > 0
    with pytest.raises(LaplasGenerationTimeoutError, match="503"):
        poller.observe(LaplasServerError("503", status=503))


def test_pauses_after_failures_obey_the_server_and_start_anew_after_a_good_poll(clock):
    poller = Poller(ID, clock.now + 1000, clock=clock, rng=lambda: 0.5)
    poller.observe(LaplasRateLimitError("429", status=429, retry_after=7))
    assert 7 <= poller.pause() <= 8
    poller.observe(pending())
    assert poller.pause() <= 1.1


def test_a_status_is_logged_once_and_an_unknown_one_as_a_warning(clock, caplog):
    poller = Poller(ID, clock.now + 10, clock=clock)
    with caplog.at_level(logging.INFO):
        for status in ("waiting", "waiting", "musing", "musing"):
            poller.observe(pending(status))
    assert [(r.levelname, "musing" in r.getMessage()) for r in caplog.records] == [
        ("INFO", False),
        ("WARNING", True),
    ]


def test_a_quiet_wait_still_warns(clock, caplog):
    poller = Poller(ID, clock.now + 10, clock=clock, log_level=logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        for outcome in (pending("waiting"), PASSING[0], PASSING[0], pending("musing")):
            poller.observe(outcome)
    assert [record.levelname for record in caplog.records] == ["DEBUG", "WARNING", "DEBUG", "WARNING"]


def test_failed_polls_in_a_row_warn_once(clock, caplog):
    poller = Poller(ID, clock.now + 10, clock=clock)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            poller.observe(PASSING[0])
    assert [record.levelname for record in caplog.records] == ["WARNING"] + ["INFO"] * 4
