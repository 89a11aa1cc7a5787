"""When an exchange has to end, for bodies of every size and lines of every speed."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.client.deadlines import Deadline
from airflow_provider_laplas.client.multipart import CHUNK

GIGABYTE = 10**9
SIZES = st.integers(1, CHUNK) | st.integers(CHUNK, 2 * GIGABYTE)
SECONDS = st.floats(0.1, 600)
RATES = st.floats(100, 1e9)


@dataclass
class Sent:
    """How much of a body is sent, and when the last of it was."""

    len: int
    moved_at: float | None = None
    complete: bool = False


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self):
        return self.now


def deadline_of(size, connect, reply, rate):
    clock, body = Clock(), None if size is None else Sent(size)
    return Deadline(body, connect=connect, reply=reply, rate=rate, clock=clock), body, clock


@given(SIZES, SECONDS, SECONDS, RATES, st.floats(1, 1000), st.floats(0, 0.99))
def test_an_upload_at_the_lowest_rate_or_faster_is_not_given_up(size, connect, reply, rate, faster, late):
    deadline, body, clock = deadline_of(size, connect, reply, rate)
    clock.now += late * connect
    begun = clock.now
    pieces = -(-size // CHUNK)
    # Of thousands of pieces, some will do.
    for number in {*range(min(pieces, 50)), *range(max(pieces - 50, 0), pieces), pieces // 2}:
        body.moved_at = clock.now = max(clock.now, begun + number * CHUNK / (rate * faster))
        assert deadline.left() > 0
    clock.now = begun + size / (rate * faster)
    assert deadline.left() > 0
    body.moved_at, body.complete = clock.now, True
    clock.now += late * reply
    assert deadline.left() > 0


@given(SIZES, SECONDS, SECONDS, RATES, st.floats(0, 1e6))
def test_an_upload_of_which_nothing_is_taken_is_given_up(size, connect, reply, rate, begun):
    deadline, body, clock = deadline_of(size, connect, reply, rate)
    body.moved_at = clock.now = clock.now + begun
    clock.now += reply + min(size, CHUNK) / rate + 1e-6
    assert deadline.left() <= 0


@given(SIZES, SECONDS, SECONDS, RATES)
def test_an_upload_that_goes_on_for_ever_is_given_up(size, connect, reply, rate):
    deadline, body, clock = deadline_of(size, connect, reply, rate)
    body.moved_at = clock.now = clock.now + connect + reply + size / rate + 1e-6
    assert deadline.left() <= 0


@given(SIZES, SECONDS, SECONDS, RATES, st.floats(0, 1e6))
def test_a_reply_that_does_not_come_is_given_up(size, connect, reply, rate, took):
    deadline, body, clock = deadline_of(size, connect, reply, rate)
    body.moved_at = clock.now = clock.now + took
    body.complete = True
    # What is still under way of the body may take as long as all of it took.
    clock.now += reply + took + 1e-6
    assert deadline.left() <= 0
    assert "no whole reply" in deadline.reason


@given(SECONDS, SECONDS)
def test_an_exchange_without_a_body_has_the_time_to_connect_and_for_the_reply(connect, reply):
    deadline, _, clock = deadline_of(None, connect, reply, 1.0)
    clock.now += (connect + reply) * 0.99
    assert deadline.left() > 0
    clock.now += (connect + reply) * 0.02
    assert deadline.left() <= 0
