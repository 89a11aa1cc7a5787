"""What the transcripts in a database amount to."""

from datetime import UTC, date, datetime

from airflow_provider_laplas.report import CollectionStats, DayStats, LanguageStats
from airflow_provider_laplas.sql import figures, load
from tests.sql.conftest import NOON, row


def test_figures_of_nothing_are_zero(hook):
    assert figures(hook) == CollectionStats()


def test_figures_count_files_hours_words_languages_days_and_cost(hook):
    day = 86_400
    load(
        hook,
        [
            row("a.json", "one two", language="en", duration=1800, completed_at=NOON, estimated_cost=0.5),
            row("b.json", "three", language="en", duration=1800, completed_at=NOON + day / 2 - 0.001),
            row("c.json", language="de", duration=7200, completed_at=NOON + day / 2, estimated_cost=0.25),
            row("d.json", "four", duration=None),
        ],
    )
    counted = figures(hook)
    assert (counted.files, counted.hours, counted.words) == (4, 3.0, 4)
    assert (counted.cost, counted.files_with_cost) == (0.75, 2)
    assert counted.languages == (
        LanguageStats("de", 1, 2.0),
        LanguageStats("en", 2, 1.0),
        LanguageStats(None, 1, 0.0),
    )
    assert counted.days == (DayStats(date(2026, 3, 1), 2, 1.0), DayStats(date(2026, 3, 2), 1, 2.0))
    assert [file.uri for file in counted.newest] == ["c.json", "b.json", "a.json", "d.json"]
    newest = counted.newest[0]
    assert (newest.completed_at, newest.language, newest.duration) == (
        datetime(2026, 3, 2, tzinfo=UTC),
        "de",
        7200.0,
    )
    assert counted.newest[-1].completed_at is None


def test_cost_is_unknown_where_no_file_has_one(hook):
    load(hook, [row("a.json", duration=60.0)])
    assert (figures(hook).cost, figures(hook).files_with_cost) == (None, 0)


def test_the_newest_files_are_ten_at_most(hook):
    load(hook, [row(f"{n:02}.json", completed_at=NOON + n) for n in range(12)])
    assert [file.uri for file in figures(hook).newest] == [f"{n:02}.json" for n in range(11, 1, -1)]
