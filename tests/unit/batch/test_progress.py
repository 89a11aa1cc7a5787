"""What a batch says of how far it is; the clock is the test's."""

import logging

import pytest

from airflow_provider_laplas.batch.progress import Progress
from airflow_provider_laplas.batch.timing import REPORT_EVERY
from airflow_provider_laplas.manifest import FileRecord, FileState
from airflow_provider_laplas.manifest.state import Tally


@pytest.fixture
def tally():
    """Ten files: four done by an earlier try, three submitted, and three to come."""
    states = (
        [FileState.COMPLETED] * 3 + [FileState.FAILED] + [FileState.SUBMITTED] * 3 + [FileState.PENDING] * 3
    )
    tally = Tally(1)
    for state in states:
        tally.add(FileRecord("a.mp3", "f", "a.json", state=state))
    return tally


def complete(tally, count):
    """Complete submitted files, and then pending ones."""
    submitted = min(count, tally.states[FileState.SUBMITTED])
    tally.states[FileState.SUBMITTED] -= submitted
    tally.states[FileState.PENDING] -= count - submitted
    tally.states[FileState.COMPLETED] += count


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_line_says_what_is_done_and_under_way_how_fast_and_how_long_the_rest_takes(tally, clock, said):
    progress = Progress(tally, clock)
    complete(tally, 2)
    clock.now += 3600
    progress.say()
    assert said() == ["6 of 10 files done, 1 under way, 2 an hour, about 2:00:00 left."]


def test_the_pace_is_that_since_it_began_and_the_last_line_expects_no_end(tally, clock, said):
    progress = Progress(tally, clock)
    complete(tally, 6)
    clock.now += 120
    progress.say(now=True)
    assert said() == ["10 of 10 files done, 0 under way, 180 an hour."]


def test_where_nothing_was_done_yet_no_end_is_expected(tally, clock, said):
    progress = Progress(tally, clock)
    progress.say(now=True)
    assert said() == ["4 of 10 files done, 3 under way."]


def test_lines_keep_their_distance(tally, clock, said):
    progress = Progress(tally, clock)
    for _ in range(100):
        clock.now += REPORT_EVERY / 10
        progress.say()
    assert len(said()) == 10
