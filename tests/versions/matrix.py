"""The matrix of versions, from the reports of their runs."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.benchmarks.common import table
from tests.versions.columns import COLUMNS

OURS = "versions"
PACKAGES = {
    "Airflow": "apache-airflow",
    "common-compat": "apache-airflow-providers-common-compat",
    "HTTP provider": "apache-airflow-providers-http",
    "common-sql": "apache-airflow-providers-common-sql",
    "aiohttp": "aiohttp",
    "pydantic": "pydantic",
}
SUITES = ("unit", "wire", "sql")
SUITE = "tests/{}, all passed"
PROVEN, NOT_RUN = "yes", "not run"


def outcomes(report: Path) -> dict[str, Any]:
    """How many tests of each suite passed and failed, and what became of each of ours, from pytest's report in XML."""
    passed: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    proven: dict[str, str] = {}
    if report.exists():
        for case in ET.parse(report).iter("testcase"):
            suite = case.get("classname", "").split(".")[1]
            outcome = _outcome(case)
            passed[suite] += outcome == "passed"
            failed[suite] += outcome == "failed"
            if suite == OURS:
                proven[case.get("name", "")] = outcome
    return {"passed": dict(sorted(passed.items())), "failed": dict(sorted(failed.items())), "proven": proven}


def _outcome(case: ET.Element) -> str:
    for part in case:
        if part.tag in {"failure", "error"}:
            return "failed"
        if part.tag == "skipped":
            return part.get("message", "skipped")
    return "passed"


def matrix(results: Mapping[str, Any]) -> str:
    """Each column's packages, whether all tests passed in it, and what its Airflow was proven to do, as Markdown."""
    columns = [column for column in COLUMNS if column.name in results]
    ours = {column.name: results[column.name] for column in columns}
    rows = [[name, *(column.pinned(package) for column in columns)] for name, package in PACKAGES.items()]
    rows.insert(1, ["Python", *(result["python"] for result in ours.values())])
    notes: list[str] = []
    rows += [
        [SUITE.format(suite), *(_cell(_suite(result, suite), notes) for result in ours.values())]
        for suite in SUITES
    ]
    for test in dict.fromkeys(name for result in ours.values() for name in result["proven"]):
        cells = [_cell(result["proven"].get(test, NOT_RUN), notes) for result in ours.values()]
        rows.append([as_words(test), *cells])
    numbered = [f"{number}. {note}." for number, note in enumerate(notes, 1)]
    return "\n".join([table(["", *ours], rows), *([""] if notes else []), *numbered])


def as_words(test: str) -> str:
    """What a test's name says."""
    name, _, case = test.removeprefix("test_").partition("[")
    return " ".join(f"{name}_{case}".rstrip("]_").split("_"))


def _suite(result: Mapping[str, Any], suite: str) -> str:
    if result["failed"].get(suite):
        return "some failed"
    return "passed" if result["passed"].get(suite) else NOT_RUN


def _cell(outcome: str, notes: list[str]) -> str:
    if outcome in {"passed", NOT_RUN}:
        return PROVEN if outcome == "passed" else NOT_RUN
    if outcome not in notes:
        notes.append(outcome)
    return f"no ({notes.index(outcome) + 1})"
