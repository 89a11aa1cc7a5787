"""A budget of requests, on the test's clock."""

import asyncio
import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api import RETRY_AFTER_CEILING
from airflow_provider_laplas.pacing import RECOVERY, SLOWEST, Pace, Turns
from tests.clock import Clock


def next_turn(pace, clock):
    """Wait for the next turn, take it, and say when that was."""
    clock.now += pace.delay()
    pace.take()
    return clock.now


@given(st.floats(0.5, 500), st.lists(st.floats(0, 2), min_size=2, max_size=60))
def test_turns_come_in_order_and_never_closer_than_the_budget_allows(budget, arrivals):
    clock = Clock()
    pace = Pace(budget, clock=clock)
    turns = []
    for pause in arrivals:
        clock.now += pause
        turns.append(next_turn(pace, clock))
    gaps = [later - earlier for earlier, later in pairwise(turns)]
    assert min(gaps) >= 1 / budget - 1e-6


def test_an_idle_budget_gives_a_turn_at_once():
    clock = Clock()
    pace = Pace(10, clock=clock)
    assert pace.delay() == 0
    pace.take()
    assert pace.delay() == pytest.approx(0.1)
    clock.now += 5
    assert pace.delay() == 0


def test_without_a_budget_every_turn_is_at_once():
    clock = Clock()
    pace = Pace(0, clock=clock)
    assert {next_turn(pace, clock) for _ in range(100)} == {Clock.now}


def test_a_429_does_not_speed_up_a_budget_below_the_slowest_pace():
    pace = Pace(0.5, clock=Clock())
    pace.slow_down(None)
    assert pace.rate == 0.5


@pytest.mark.parametrize("budget", [0, 10])
def test_a_429_holds_every_turn_back_as_long_as_the_api_asks_but_not_for_ever(budget):
    pace = Pace(budget, clock=Clock())
    pace.slow_down(7)
    assert pace.delay() == pytest.approx(7)
    pace.slow_down(10_000)
    assert pace.delay() <= RETRY_AFTER_CEILING


def test_refusals_halve_the_pace_once_a_second_and_never_to_nothing(caplog):
    clock = Clock()
    pace = Pace(16, clock=clock)
    for _ in range(50):
        pace.slow_down(None)
    assert pace.rate == 8
    for _ in range(20):
        clock.now += 1
        pace.slow_down(None)
    assert pace.rate == SLOWEST
    assert len(caplog.records) == 21


def test_a_pace_recovers_up_to_its_budget():
    clock = Clock()
    pace = Pace(16, clock=clock)
    pace.slow_down(None)
    for _ in range(5):
        clock.now += RECOVERY
        pace.take()
    assert pace.rate == 16


def order_of(turns, dues, *, give_up=()):
    """Wait for turns that are due so many seconds from now, some of them given up; return who had one, in order."""
    had = []

    async def one(number, due):
        await turns.turn(after=due)
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
def test_turns_are_handed_out_in_the_order_in_which_they_are_due(budget):
    assert order_of(Turns(Pace(budget)), [0.03, 0.01, 0.02, 0.0]) == [3, 1, 2, 0]


def test_a_turn_that_was_given_up_holds_nobody_back():
    assert order_of(Turns(Pace(500)), [0.0, 0.005, 0.01, 0.01], give_up=[1, 2]) == [0, 3]


def test_a_turn_that_is_due_earlier_overtakes_one_that_was_asked_for_before():
    async def scenario():
        turns = Turns(Pace(0))
        late, soon = turns.turn(after=3600), turns.turn(after=0.001)
        await soon
        return late.done()

    assert asyncio.run(scenario()) is False


def test_a_budget_that_is_used_up_makes_turns_wait_in_line():
    async def scenario():
        pace = Pace(0.5)
        turns = Turns(pace)
        await turns.turn()
        second = turns.turn()
        await asyncio.sleep(0)
        return second.done(), pace.delay() > 1

    assert asyncio.run(scenario()) == (False, True)
