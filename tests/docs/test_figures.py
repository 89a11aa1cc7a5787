"""From what was measured to what the documentation says, and to the plot."""

import asyncio
import contextlib
import json
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks import waits
from tests.benchmarks.common import Comparison, running_api, show, table
from tests.benchmarks.plot import COLOURS, PANELS, draw
from tests.docs import figures


def comparison(**given):
    result = Comparison("Tea beside coffee", "Two cups of each, at 90 °C.", **given)
    result.rows += [{"drink": "tea", "seconds": 0.12345}, {"drink": "coffee", "cups": 12_000}]
    result.aim("seconds", "<= 1 s", 0.12345, met=True)
    result.notes.append("Coffee has no time.")
    return result


def row(contender, size, value):
    return {"waiting with": contender, "waits": size} | dict.fromkeys(PANELS, value)


# The tables


def test_what_was_measured_stands_with_its_settings_and_without_the_aims():
    assert comparison().measured.splitlines() == [
        "### Tea beside coffee",
        "",
        "Two cups of each, at 90 °C.",
        "",
        "| drink  | seconds | cups   |",
        "| ------ | ------- | ------ |",
        "| tea    | 0.123   |        |",
        "| coffee |         | 12,000 |",
        "",
        "Coffee has no time.",
    ]


def test_the_terminal_has_the_aims_as_well():
    printed = str(comparison())
    assert printed.startswith(comparison().measured)
    assert printed.endswith("| seconds | <= 1 s | 0.123    | yes |")


def test_what_is_published_is_what_was_printed_though_it_went_through_json():
    measured = {"machine": "2 cores", "comparisons": {"tea": comparison().as_json()}}
    published = figures.bench_tables(json.loads(json.dumps(measured)))
    assert published == f"Measured on 2 cores.\n\n{comparison().measured}"


def test_a_long_text_is_wrapped_and_no_word_is_broken():
    result = comparison()
    result.notes = ["max_requests_per_second " * 20]
    assert max(map(len, result.measured.splitlines())) <= 120
    assert result.measured.count("max_requests_per_second") == 20


def test_faults_keep_their_order():
    shown = figures.faults_table({"transcripts": 1_234, "lost": 0}).splitlines()
    assert shown[2:] == ["| transcripts | 1,234 |", "| lost        | 0     |"]


def test_a_picture_stands_below_what_it_shows():
    assert figures.pictures({"a": "An apple", "b": "A pear"}).splitlines() == [
        "An apple:",
        "",
        "![An apple](images/a.png)",
        "",
        "A pear:",
        "",
        "![A pear](images/b.png)",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.012345, "0.0123"), (12.345, "12.3"), (1234.5, "1,234"), (10_000, "10,000"), ("", ""), (0.0, "0")],
)
def test_a_figure_has_three_digits_that_count(value, shown):
    assert show(value) == shown


def test_columns_are_as_wide_as_what_is_in_them():
    assert {len(line) for line in table(["a", "bbb"], [["ccccc", "d"]]).splitlines()} == {
        len("| ccccc | bbb |")
    }


# The pages


PAGE = "before\n<!-- figures: a -->\n\nold\n\n<!-- end -->\nbetween\n<!-- figures: b -->\n\nkept\n\n<!-- end -->\n"


def test_only_the_block_of_that_name_is_replaced_however_often():
    replaced = figures.replace_block(PAGE, "a", r"new \1")
    assert replaced == PAGE.replace("old", r"new \1")
    assert figures.replace_block(replaced, "a", r"new \1") == replaced


def test_a_block_is_written_into_the_page_that_has_it(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("no figures here\n")
    (tmp_path / "docs" / "page.md").write_text(PAGE)
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    figures.write("b", "new")
    assert (tmp_path / "docs" / "page.md").read_text() == PAGE.replace("kept", "new")
    assert (tmp_path / "README.md").read_text() == "no figures here\n"


# The plot


def test_the_plot_has_a_point_for_every_size_of_those_it_compares_and_for_nobody_else(tmp_path):
    drawn = [row(name, size, value) for name in COLOURS for size, value in ((100, 9.0), (10_000, 250.0))]
    draw([*drawn, row("HttpSensorTrigger", 1_000, 9e9)], tmp_path / "waits.svg")
    svg = ET.parse(tmp_path / "waits.svg")
    texts = {text.text for text in svg.iterfind(".//{*}text")}
    assert texts >= {*COLOURS, *PANELS.values(), "100", "10,000"}
    assert "1,000" not in texts
    points = [line.get("points").split() for line in svg.iterfind(".//{*}polyline")]
    assert [len(line) for line in points] == [2] * len(COLOURS) * len(PANELS)


@pytest.fixture
def one_comparison(monkeypatch):
    result = comparison()
    result.rows = [row(name, size, 1.0) for name in COLOURS for size in (100, 1_000)]
    monkeypatch.setattr(bench, "COMPARISONS", {"waits": lambda: result, "tea": comparison})
    return result


def test_the_benchmarks_draw_the_plot_in_a_temporary_folder_and_say_where(
    one_comparison, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bench.main([])
    (plot,) = tmp_path.rglob("waits.svg")
    assert f"The plot of it: {plot.resolve()}\n" in capsys.readouterr().out


def test_the_benchmarks_draw_the_plot_and_write_the_figures_where_they_are_told(one_comparison, tmp_path):
    bench.main(["waits", "--svg", str(tmp_path / "a.svg"), "--json", str(tmp_path / "a.json")])
    assert (tmp_path / "a.svg").read_text().endswith("</svg>\n")
    written = json.loads((tmp_path / "a.json").read_text())
    assert one_comparison.measured in figures.bench_tables(written)


def test_nothing_is_drawn_where_the_waits_are_not_measured(one_comparison, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bench.main(["tea"])
    assert not list(tmp_path.rglob("*.svg"))
    with pytest.raises(SystemExit):
        bench.main(["tea", "--svg", str(tmp_path / "a.svg")])


# What is counted


@pytest.mark.parametrize("contender", ["fails", "hangs"])
def test_a_wait_that_does_not_complete_is_not_counted(contender, monkeypatch, capsys):
    @contextlib.asynccontextmanager
    async def careless(server, given):
        calls = iter(range(100))

        async def one(job, since):
            # The first is the one that warms up.
            if next(calls) in {1, 2}:
                if contender == "fails":
                    raise OSError("lost")
                await asyncio.sleep(3600)

        yield one

    monkeypatch.setitem(waits.CONTENDERS, "careless", careless)
    monkeypatch.setattr(waits, "IDLE", 0.01)
    monkeypatch.setattr(waits, "PATIENCE", 0.2)
    given = {"contender": "careless", "waits": 5, "first_poll": 0.0, "waited": 0.0, "window": 0.0}
    with running_api() as server:
        row = asyncio.run(waits.measure(given | {"address": server.address, "shortest": 0, "longest": 0}))
    assert (row["waits"], row["completed"]) == (5, 3)
    said = {"fails": "2 waits failed, one with OSError('lost').\n", "hangs": "2 waits did not end.\n"}
    assert capsys.readouterr().err == said[contender]


def test_a_trigger_that_ends_without_an_event_is_an_error():
    class Silent:
        async def run(self):
            for event in ():
                yield event

    with pytest.raises(ValueError, match="not enough values"):
        asyncio.run(waits.only_event(Silent()))


def test_a_round_that_lost_a_wait_is_not_averaged_away():
    rounds = [{"waiting with": "a", "completed": count, "seconds": float(count)} for count in (5, 4, 5)]
    assert waits.median_row(rounds) == {"waiting with": "a", "completed": 4, "seconds": 5.0}


@pytest.mark.parametrize(("completed", "met"), [(10_000, True), (9_999, False)])
def test_all_have_completed_only_where_as_many_have_arrived_as_were_begun(completed, met):
    result = Comparison("a", "b")
    waits.aim_all_completed(result, {"waits": 10_000, "completed": completed})
    assert result.targets == [("10,000 waits complete", "10,000", f"{completed:,}", met)]
