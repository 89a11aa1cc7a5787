"""The HTML page of a report, and its chart."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import takewhile

from jinja2 import Environment, StrictUndefined, Template

from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.report.stats import CollectionStats, DayStats

CHART_DAYS = 60
"""The most days on the chart, which ends with the newest day that has a file."""

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 800, 240, 48, 12, 212
_WIDEST_BAR = 48.0
_LABELS = 5
_SECONDS_PER_MINUTE = 60


def render(
    figures: CollectionStats,
    *,
    failed: Iterable[tuple[str, str | None]] = (),
    title: str = "Transcripts",
    made_at: datetime | None = None,
) -> str:
    """
    Return the page.

    :param failed: the files that could not be transcribed: the audio's redacted location, and the reason
    :param made_at: shown below the title; a time without a zone is UTC
    """
    chart = _chart(figures.days) if figures.days else None
    failed = [(source, redact(error or "")) for source, error in failed]
    folder = _common_folder([source for source, _ in failed] + [file.source for file in figures.newest])
    page = _template().render(
        figures=replace(
            figures,
            newest=tuple(replace(file, source=file.source.removeprefix(folder)) for file in figures.newest),
        ),
        failed=[(source.removeprefix(folder), error) for source, error in failed],
        folder=folder,
        title=title,
        made_at=_time(made_at, zone=" UTC") if made_at else None,
        chart=chart,
        days=[day for day in figures.days if chart and day.day >= chart.first],
    )
    # A file name may contain bytes that are not valid UTF-8.
    return page.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class _Bar:
    day: date
    audio: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Tick:
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class _Label:
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class _Chart:
    """A bar chart, in the units of the SVG's view box."""

    first: date
    last: date
    most: str
    unit: str
    bars: tuple[_Bar, ...]
    ticks: tuple[_Tick, ...]
    labels: tuple[_Label, ...]
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT


def _chart(days: Sequence[DayStats]) -> _Chart:
    last = days[-1].day
    # date.fromordinal does not accept values below 1.
    earliest = date.fromordinal(max(last.toordinal() - CHART_DAYS + 1, 1))
    shown = [day for day in days if day.day >= earliest]
    first = shown[0].day
    longest = max(day.hours for day in shown)
    unit, in_an_hour = _unit(longest)
    most = longest * in_an_hour
    step = _step(most)
    ceiling = step * max(math.ceil(most / step), 1)
    slot = (_WIDTH - _LEFT) / ((last - first).days + 1)
    width = min(slot * 0.8, _WIDEST_BAR)

    def middle(day: date) -> float:
        return _LEFT + ((day - first).days + 0.5) * slot

    def height(amount: float) -> float:
        return amount / ceiling * (_BOTTOM - _TOP)

    span = (last - first).days + 1
    count = min(_LABELS, span)
    labelled = [first + timedelta(days=math.floor((number + 0.5) * span / count)) for number in range(count)]
    return _Chart(
        first=first,
        last=last,
        most=_audio(longest),
        unit=unit,
        bars=tuple(
            _Bar(
                day=day.day,
                audio=_audio(day.hours),
                x=round(middle(day.day) - width / 2, 2),
                y=round(_BOTTOM - height(day.hours * in_an_hour), 2),
                width=round(width, 2),
                height=round(height(day.hours * in_an_hour), 2),
            )
            for day in shown
        ),
        ticks=tuple(
            _Tick(round(_BOTTOM - height(number * step), 2), f"{number * step:,.10g}")
            for number in range(round(ceiling / step) + 1)
        ),
        labels=tuple(_Label(round(middle(day), 2), day.isoformat()) for day in labelled),
    )


def _step(most: float) -> float:
    """Return the distance between grid lines: 1, 2 or 5 times a power of ten, for at most four steps."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most / 4))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * 4 >= most)


def _unit(hours: float) -> tuple[str, float]:
    """Return the largest unit in which the amount is at least 1, and how many of that unit are in an hour."""
    units = (("h", 1.0), ("min", 60.0), ("s", 3600.0))
    return next((unit for unit in units if hours * unit[1] >= 1), units[-1] if hours else units[0])


def _audio(hours: float) -> str:
    unit, in_an_hour = _unit(hours)
    return f"{_amount(hours * in_an_hour, 0 if unit == 's' else 1)} {unit}"


def _common_folder(sources: Sequence[str]) -> str:
    """Return the common folder of all sources, with a trailing slash; empty if there is none."""
    folders = [source.split("/")[:-1] for source in sources]
    shared = [
        parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    ]
    # A scheme alone is not a folder.
    return "/".join([*shared, ""]) if shared and shared[-1] else ""


def _amount(value: float, digits: int) -> str:
    """Format a number, with up to four decimals if it is below 1."""
    return f"{value:,.{digits}f}" if value >= 1 or not value else f"{value:.4f}".rstrip("0").rstrip(".")


def _time(time: datetime | None, zone: str = "") -> str:
    if time is None:
        return "–"  # noqa: RUF001 - an en dash for an empty cell.
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC):%Y-%m-%d %H:%M}{zone}"


def _length_of_audio(seconds: float | None) -> str:
    if seconds is None:
        return "–"  # noqa: RUF001
    minutes, rest = divmod(round(seconds), _SECONDS_PER_MINUTE)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(amount=_amount, audio=_audio, time=_time, length_of_audio=_length_of_audio)
    return environment.from_string(
        files("airflow_provider_laplas.report").joinpath("report.html.jinja").read_text(encoding="utf-8")
    )
