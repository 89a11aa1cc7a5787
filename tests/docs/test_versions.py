"""The page on versions shows what is pinned, and every test of `make test-versions`."""

import ast
import re

import pytest

from tests.benchmarks.common import table
from tests.docs.pages import PAGES
from tests.paths import ROOT
from tests.versions.columns import COLUMNS, HERE
from tests.versions.matrix import PACKAGES, PROVEN, SUITE, SUITES, as_words, matrix, outcomes

PAGE = PAGES["docs/versions.md"]
WRITTEN = re.search(r"(?:^\|.*\n)+", PAGE.partition("<!-- figures: versions -->")[2], re.MULTILINE)[0]
HEAD, _, *ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in WRITTEN.splitlines()]
CELLS = {row[0]: row[1:] for row in ROWS}
REPORT = """<testsuites><testsuite>
<testcase classname="tests.versions.test_versions" name="test_a_cup_is_full[with_tea]"/>
<testcase classname="tests.versions.test_versions" name="test_a_cup_is_hot"><skipped message="It is iced"/></testcase>
<testcase classname="tests.versions.test_versions" name="test_a_cup_is_there"><failure message="gone"/></testcase>
<testcase classname="tests.unit.test_cups" name="test_one"/>
</testsuite></testsuites>"""


def scenarios():
    """What the names of the tests say, without their cases."""
    tree = ast.parse((HERE / "test_versions.py").read_text())
    return [
        as_words(node.name)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    ]


def test_the_columns_are_the_pinned_versions():
    names = [column.name for column in COLUMNS]
    assert HEAD[1:] == names
    assert sorted(file.stem for file in HERE.glob("*.txt")) == sorted(names)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_packages_are_the_pinned_ones(name):
    assert CELLS[name] == [column.pinned(PACKAGES[name]) for column in COLUMNS]


def test_each_column_has_its_airflow_and_each_python_of_ours_is_in_it():
    assert [column.pinned("apache-airflow") for column in COLUMNS] == [column.airflow for column in COLUMNS]
    assert [python.rpartition(".")[0] for python in CELLS["Python"]] == [column.python for column in COLUMNS]


def test_every_scenario_is_a_row_and_every_row_is_a_scenario():
    wanted = scenarios()
    shown = [name for name in CELLS if name not in {*PACKAGES, "Python"} and not name.startswith("tests/")]
    assert not [name for name in wanted if not any(row.startswith(name) for row in shown)]
    assert not [row for row in shown if not any(row.startswith(name) for name in wanted)]


def test_every_cell_says_yes_or_has_a_note():
    notes = re.findall(r"^(\d+)\. ", PAGE.partition(WRITTEN)[2], re.MULTILINE)
    shown = {cell for name, cells in CELLS.items() if name not in {*PACKAGES, "Python"} for cell in cells}
    assert shown <= {PROVEN, *(f"no ({note})" for note in notes)}


def test_the_matrix_is_what_the_reports_say(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    result = {"python": "3.11.7", **outcomes(report)}
    written = matrix({column.name: result for column in COLUMNS}).splitlines()
    cells = {row[0].strip(): row[1].strip() for row in (line.strip("|").split("|") for line in written[2:-3])}
    assert cells["a cup is full with tea"] == PROVEN
    assert (cells["a cup is hot"], cells["a cup is there"]) == ("no (1)", "no (2)")
    assert cells["tests/unit, all passed"] == PROVEN
    assert cells["tests/wire, all passed"] == "not run"
    assert written[-2:] == ["1. It is iced.", "2. failed."]
    assert written[0].count("|") == len(COLUMNS) + 2


def test_the_table_is_as_the_generator_writes_it():
    assert WRITTEN.strip() == table(HEAD, ROWS)


def test_make_runs_each_suite_that_the_page_lists():
    assert [name for name in CELLS if name.startswith("tests/")] == [SUITE.format(suite) for suite in SUITES]
    assert all((ROOT / "tests" / suite).is_dir() for suite in SUITES)
