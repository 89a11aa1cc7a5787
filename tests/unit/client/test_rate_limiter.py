"""A budget of requests, on the test's clock."""

import asyncio
import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api.retry import RETRY_AFTER_CEILING
from airflow_provider_laplas.client.rate_limiter import RECOVERY, SLOWEST, AdaptiveRate, RateLimiter
from tests.clock import Clock


def next_request(rate, clock):
    """Wait until a request may be sent, send it, and say when that was."""
    clock.now += rate.delay()
    rate.take()
    return clock.now


@given(st.floats(0.5, 500), st.lists(st.floats(0, 2), min_size=2, max_size=60))
def test_requests_come_in_order_and_never_closer_than_the_budget_allows(budget, arrivals):
    clock = Clock()
    rate = AdaptiveRate(budget, clock=clock)
    sent = []
    for pause in arrivals:
        clock.now += pause
        sent.append(next_request(rate, clock))
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert min(gaps) >= 1 / budget - 1e-6


def test_an_idle_budget_lets_a_request_go_at_once():
    clock = Clock()
    rate = AdaptiveRate(10, clock=clock)
    assert rate.delay() == 0
    rate.take()
    assert rate.delay() == pytest.approx(0.1)
    clock.now += 5
    assert rate.delay() == 0


def test_without_a_budget_every_request_goes_at_once():
    clock = Clock()
    rate = AdaptiveRate(0, clock=clock)
    assert {next_request(rate, clock) for _ in range(100)} == {Clock.now}


def test_a_429_does_not_speed_up_a_budget_below_the_slowest_rate():
    rate = AdaptiveRate(0.5, clock=Clock())
    rate.slow_down(None)
    assert rate.current == 0.5


@pytest.mark.parametrize("budget", [0, 10])
def test_a_429_holds_every_request_back_as_long_as_the_api_asks_but_not_for_ever(budget):
    rate = AdaptiveRate(budget, clock=Clock())
    rate.slow_down(7)
    assert rate.delay() == pytest.approx(7)
    rate.slow_down(10_000)
    assert rate.delay() <= RETRY_AFTER_CEILING


def test_refusals_halve_the_rate_once_a_second_and_never_to_nothing(caplog):
    clock = Clock()
    rate = AdaptiveRate(16, clock=clock)
    for _ in range(50):
        rate.slow_down(None)
    assert rate.current == 8
    for _ in range(20):
        clock.now += 1
        rate.slow_down(None)
    assert rate.current == SLOWEST
    assert len(caplog.records) == 21


def test_a_rate_recovers_up_to_its_budget():
    clock = Clock()
    rate = AdaptiveRate(16, clock=clock)
    rate.slow_down(None)
    for _ in range(5):
        clock.now += RECOVERY
        rate.take()
    assert rate.current == 16


def order_of(limiter, dues, *, give_up=()):
    """Wait for permits that are due so many seconds from now, some of them given up; return who had one, in order."""
    had = []

    async def one(number, due):
        await limiter.acquire(after=due)
        had.append(number)

    async def all_of_them():
        tasks = [asyncio.create_task(one(number, due)) for number, due in enumerate(dues)]
        await asyncio.sleep(0)
        for number in give_up:
            tasks[number].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(all_of_them())
    return had


@pytest.mark.parametrize("budget", [0, 500])
def test_permits_are_given_in_the_order_in_which_they_are_due(budget):
    assert order_of(RateLimiter(AdaptiveRate(budget)), [0.03, 0.01, 0.02, 0.0]) == [3, 1, 2, 0]


def test_a_permit_that_was_given_up_holds_nobody_back():
    assert order_of(RateLimiter(AdaptiveRate(500)), [0.0, 0.005, 0.01, 0.01], give_up=[1, 2]) == [0, 3]


def test_a_permit_that_is_due_earlier_overtakes_one_that_was_asked_for_before():
    async def scenario():
        limiter = RateLimiter(AdaptiveRate(0))
        late, soon = limiter.acquire(after=3600), limiter.acquire(after=0.001)
        await soon
        return late.done()

    assert asyncio.run(scenario()) is False


def test_a_budget_that_is_used_up_makes_permits_wait_in_line():
    async def scenario():
        rate = AdaptiveRate(0.5)
        limiter = RateLimiter(rate)
        await limiter.acquire()
        second = limiter.acquire()
        await asyncio.sleep(0)
        return second.done(), rate.delay() > 1

    assert asyncio.run(scenario()) == (False, True)
