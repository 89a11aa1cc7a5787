"""Statistics of the loaded transcripts."""

import math
from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from airflow_provider_laplas.report.stats import CollectionStats, DayStats, LanguageStats, NewestFile
from airflow_provider_laplas.sql.connection import SqlHook, connect
from airflow_provider_laplas.sql.statements import NEWEST_FILES, TOTALS

NEWEST = 10
"""The number of newest transcripts to list in the figures."""

_SECONDS_PER_HOUR = 3600.0


def figures(hook: SqlHook) -> CollectionStats:
    """
    Return the figures for :func:`airflow_provider_laplas.report.render`. Reads no transcript text.

    :raises LaplasArgumentError: naming the hook's connection argument, if it is another kind of database
    """
    with connect(hook) as connection:
        # A single statement, so that the sums are consistent while other tasks load.
        totals = [_Total(*total) for total in connection.fetch(TOTALS)]
        newest = connection.fetch(NEWEST_FILES, NEWEST)
    days: dict[str, list[_Total]] = {}
    languages: dict[str | None, list[_Total]] = {}
    for total in totals:
        languages.setdefault(total.language, []).append(total)
        if total.day is not None:
            days.setdefault(total.day, []).append(total)
    costs = [total.cost for total in totals if total.cost is not None]
    return CollectionStats(
        files=_files(totals),
        hours=_hours(totals),
        words=sum(total.words or 0 for total in totals),
        cost=math.fsum(costs) if costs else None,
        files_with_cost=sum(total.files_with_cost for total in totals),
        languages=tuple(
            sorted(
                (LanguageStats(name, _files(of), _hours(of)) for name, of in languages.items()),
                key=lambda language: (-language.hours, -language.files, language.language or ""),
            )
        ),
        days=tuple(
            DayStats(date.fromisoformat(day), _files(of), _hours(of)) for day, of in sorted(days.items())
        ),
        newest=tuple(
            NewestFile(uri, source, completed_at and datetime.fromisoformat(completed_at), language, duration)
            for uri, source, completed_at, language, duration in newest
        ),
    )


class _Total(NamedTuple):
    """The sums for one day and language."""

    day: str | None
    language: str | None
    files: int
    seconds: float | None
    words: int | None
    cost: float | None
    files_with_cost: int


def _files(totals: Iterable[_Total]) -> int:
    return sum(total.files for total in totals)


def _hours(totals: Iterable[_Total]) -> float:
    return math.fsum(total.seconds or 0.0 for total in totals) / _SECONDS_PER_HOUR
