"""A budget of requests, on the test's clock."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.api import RETRY_AFTER_CEILING
from airflow_provider_laplas.pacing import RECOVERY, SLOWEST, Pace


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@given(st.floats(0.5, 500), st.lists(st.floats(0, 2), min_size=2, max_size=60))
def test_turns_come_in_order_and_never_closer_than_the_budget_allows(budget, arrivals):
    clock = Clock()
    pace = Pace(budget, clock=clock)
    turns = []
    for pause in arrivals:
        clock.now += pause
        turns.append(clock.now + pace.turn())
    gaps = [later - earlier for earlier, later in pairwise(turns)]
    assert min(gaps) >= 1 / budget - 1e-6


def test_an_idle_budget_gives_a_turn_at_once():
    clock = Clock()
    pace = Pace(10, clock=clock)
    assert pace.turn() == 0
    assert pace.turn() == pytest.approx(0.1)
    clock.now += 5
    assert pace.turn() == 0


def test_without_a_budget_every_turn_is_at_once():
    pace = Pace(0, clock=Clock())
    assert [pace.turn() for _ in range(100)] == [0] * 100
    assert pace.share(5000) == 0


def test_many_waits_share_the_budget_evenly():
    assert Pace(50, clock=Clock()).share(5000) == 100


@pytest.mark.parametrize("budget", [0, 10])
def test_a_429_holds_every_turn_back_as_long_as_the_api_asks_but_not_for_ever(budget):
    pace = Pace(budget, clock=Clock())
    pace.slow_down(7)
    assert pace.turn() == pytest.approx(7)
    pace.slow_down(10_000)
    assert pace.turn() <= RETRY_AFTER_CEILING


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
        pace.turn()
    assert pace.rate == 16
