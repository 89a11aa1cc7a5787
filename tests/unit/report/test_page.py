"""The report: one page that is whole, says the figures, and does no harm whatever a file is called."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_laplas.report import (
    CHART_DAYS,
    CollectionStats,
    DayStats,
    LanguageStats,
    NewestFile,
    render,
)

HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(1)>{{ 7 * 7 }}\u202e\ud800&amp;.mp3"
VOID = {"meta", "line"}


class Page(HTMLParser):
    """The page as a browser takes it: its elements, each closed, and its texts."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def day(number, hours=1.0):
    return DayStats(date(2026, 3, 1) + timedelta(days=number), 1, hours)


ONE = CollectionStats(
    files=1,
    hours=0.5,
    words=4200,
    cost=0.125,
    files_with_cost=1,
    languages=(LanguageStats("en", 1, 0.5),),
    days=(day(0, 0.5),),
    newest=(NewestFile("a.json", "a.mp3", datetime(2026, 3, 1, 9, 5, tzinfo=UTC), "en", 1800.4),),
)


def test_a_page_about_nothing_says_so():
    page = Page(render(CollectionStats()))
    assert "There are no transcripts yet." in page.text
    assert "Estimated cost unknown" in page.text
    assert page.named("svg") == page.named("table") == []


def test_a_page_about_one_file_says_all_of_it():
    page = Page(render(ONE, title="Archive", made_at=datetime(2026, 3, 2, 8, 0, tzinfo=UTC)))
    for said in (
        *(
            "Archive",
            "As of 2026-03-02 08:00 UTC",
            "Files 1",
            "Audio 30.0 min",
            "Words 4,200",
            "cost 0.125",
        ),
        *("en 1 30.0 min", "a.mp3 en 0:30:00 2026-03-01 09:05", "2026-03-01: 30.0 min"),
    ):
        assert said in page.text
    assert "Failed" not in page.text
    assert len(page.named("rect")) == 1


def test_a_cost_that_is_known_of_some_files_only_says_of_how_many():
    page = Page(render(CollectionStats(files=1200, cost=1234.5, files_with_cost=1000)))
    assert "1,234.50 of 1,000 files; the others' is not known" in page.text


@pytest.mark.parametrize(
    ("hours", "said", "unit"),
    [
        (0.0, "0.0 h", "hours"),
        (0.0001, "0.36 s", "seconds"),
        (0.0031, "11 s", "seconds"),
        (0.5, "30.0 min", "minutes"),
        (1.0, "1.0 h", "hours"),
        (12345.6, "12,345.6 h", "hours"),
    ],
)
def test_audio_is_told_in_a_unit_in_which_its_number_says_something(hours, said, unit):
    page = Page(render(CollectionStats(files=1, hours=hours, days=(day(0, hours),))))
    assert f"Audio {said}" in page.text
    assert f"Audio a day, in {unit}" in page.text
    assert f"at most {said}" in page.text


def test_a_small_cost_is_not_rounded_to_none():
    assert (
        "Estimated cost 0.004" in Page(render(CollectionStats(files=1, cost=0.004, files_with_cost=1))).text
    )


@pytest.mark.parametrize(
    ("failed", "newest", "folder", "names"),
    [
        ("s3://b/inbox/x.mp3", "s3://b/inbox/talks/a.mp3", "s3://b/inbox/", ["x.mp3", "talks/a.mp3"]),
        ("s3://b/inbox/x.mp3", "s3://b/in/a.mp3", "s3://b/", ["inbox/x.mp3", "in/a.mp3"]),
        ("x.mp3", "s3://b/in/a.mp3", None, ["x.mp3", "s3://b/in/a.mp3"]),
        ("https://a/x.mp3", "https://b/x.mp3", None, ["https://a/x.mp3", "https://b/x.mp3"]),
    ],
)
def test_the_folder_that_all_files_lie_in_is_said_once(failed, newest, folder, names):
    page = Page(render(CollectionStats(files=1, newest=(NewestFile("a", newest),)), failed=[(failed, "no")]))
    assert page.texts.count(folder) == (2 if folder else 0)
    assert ("In " in page.text) == bool(folder)
    assert all(name in page.texts for name in names)


def test_what_is_not_known_has_a_mark_of_its_own():
    figures = CollectionStats(
        files=1, languages=(LanguageStats(None, 1, 0.0),), newest=(NewestFile("a", "a.mp3"),)
    )
    page = Page(render(figures))
    assert "not detected 1 0.0 h" in page.text
    assert "a.mp3 \u2013 \u2013 \u2013" in page.text


def test_failed_files_are_listed_with_their_errors():
    page = Page(render(ONE, failed=[("b.mp3", "The API\ncould not read it."), ("c.mp3", None)]))
    assert "Failed files 2" in page.text
    assert "b.mp3 The API could not read it." in page.text


def test_an_error_does_not_show_a_signature():
    assert "s3cret" not in render(ONE, failed=[("b.mp3", "GET https://u:s3cret@h/b.mp3?sig=s3cret")])


def test_times_of_other_zones_are_shown_in_utc():
    east = timezone(timedelta(hours=9))
    assert "As of 2026-03-01 20:00 UTC" in render(ONE, made_at=datetime(2026, 3, 2, 5, tzinfo=east))


def test_the_page_needs_nothing_else_and_runs_nothing():
    html = render(ONE, failed=[("b.mp3", "error")])
    page = Page(html)
    assert {"script", "link", "img", "iframe", "a", "form"}.isdisjoint(name for name, _ in page.elements)
    assert not re.search(r"https?:|url\(|@import|javascript:| on\w+=", html)
    for _, attributes in page.elements:
        assert not {"src", "href", "style"} & set(attributes)


def test_the_page_follows_the_colour_scheme_and_says_its_language():
    html = render(ONE)
    assert {"name": "color-scheme", "content": "light dark"} in Page(html).named("meta")
    assert "prefers-color-scheme: dark" in html
    assert Page(html).named("html") == [{"lang": "en"}]


def test_the_chart_and_the_sections_have_names_and_the_tables_headers():
    page = Page(render(ONE, failed=[("b.mp3", "error")]))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    labelled = [
        attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes
    ]
    assert len(labelled) == 5
    assert set(labelled) <= ids
    assert page.named("svg")[0]["role"] == "img"
    assert all(attributes["scope"] == "col" for attributes in page.named("th"))


@pytest.mark.parametrize("place", ["title", "source", "language", "failed", "error"])
def test_a_hostile_name_is_shown_and_is_no_markup(place):
    plain = Page(render(ONE, failed=[("b", "e")]))
    name = HOSTILE if place != "error" else HOSTILE[:60]
    figures = CollectionStats(
        files=1,
        days=ONE.days,
        languages=(LanguageStats(name if place == "language" else "en", 1, 0.5),),
        newest=(NewestFile("a", name if place == "source" else "a.mp3"),),
    )
    html = render(
        figures,
        failed=[(name if place == "failed" else "b", name if place == "error" else "e")],
        title=name if place == "title" else "Transcripts",
    )
    page = Page(html)
    assert [name for name, _ in page.elements] == [name for name, _ in plain.elements]
    assert name[:40] in "".join(page.texts)
    html.encode()


@settings(deadline=None)
@given(st.text(min_size=1))
def test_no_name_changes_the_page(name):
    page = Page(render(ONE, failed=[(name, name)], title=name))
    expected = Page(render(ONE, failed=[("b", "e")], title="t"))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in expected.elements]


def svg(*days):
    html = render(CollectionStats(files=len(days), days=days))
    return ET.fromstring(re.search(r"<svg.*?</svg>", html, re.DOTALL).group())


@pytest.mark.parametrize(
    "hours", [(0.0,), (1e-4,), (0.3, 0.0), (1.0,), (7, 23.5, 4), (1e5, 3), tuple(range(1, 61))], ids=str
)
def test_bars_are_as_high_as_their_hours_and_stay_in_the_chart(hours):
    chart = svg(*(day(number, each) for number, each in enumerate(hours)))
    width, height = (float(number) for number in chart.get("viewBox").split()[2:])
    bars = [
        {name: float(bar.get(name)) for name in ("x", "y", "width", "height")} for bar in chart.iter("rect")
    ]
    assert len(bars) == len(hours)
    lines = [float(line.get("y1")) for line in chart.iter("line")]
    for bar, each in zip(bars, hours, strict=True):
        assert bar["height"] == pytest.approx(
            each / (max(hours) or 1) * max(b["height"] for b in bars), abs=0.02
        )
        assert bar["y"] + bar["height"] == pytest.approx(max(lines), abs=0.02)
        assert bar["x"] >= 0
        assert bar["x"] + bar["width"] <= width
        assert min(lines) - 0.02 <= bar["y"] <= height
    assert all(one["x"] + one["width"] < other["x"] for one, other in pairwise(bars))
    assert 2 <= len(lines) <= 6


def test_the_chart_shows_the_last_days_and_leaves_room_for_days_without_a_file():
    chart = svg(day(0), day(400), day(400 + CHART_DAYS - 2), day(400 + CHART_DAYS - 1))
    bars = [float(bar.get("x")) for bar in chart.iter("rect")]
    assert len(bars) == 3
    assert bars[1] - bars[0] == pytest.approx((CHART_DAYS - 2) * (bars[2] - bars[1]), abs=1)
    assert chart.find("title").text.startswith("Audio a day (UTC), 2027-04-05 to 2027-06-03;")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 60])
def test_days_are_labelled_each_once_and_inside_the_chart(count):
    chart = svg(*(day(number) for number in range(count)))
    labels = [text for text in chart.iter("text") if re.fullmatch(r"\d{4}-\d\d-\d\d", text.text)]
    assert len({label.text for label in labels}) == len(labels) == min(count, 5)
    assert all(40 <= float(label.get("x")) <= 760 for label in labels)


def test_the_first_and_the_last_day_of_the_calendar_have_a_chart():
    assert len(list(svg(DayStats(date.min, 1, 1.0)).iter("rect"))) == 1
    assert len(list(svg(DayStats(date.max, 1, 1.0)).iter("rect"))) == 1
