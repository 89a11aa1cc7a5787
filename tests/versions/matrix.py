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
    "common-compat": "apache-airflow-providers-common-compat",
    "HTTP provider": "apache-airflow-providers-http",
    "common-sql": "apache-airflow-providers-common-sql",
    "aiohttp": "aiohttp",
    "pydantic": "pydantic",
}


def outcomes(report: Path) -> dict[str, Any]:
    """How many tests of each suite passed, and what became of each of ours, from pytest's report in XML."""
    passed: Counter[str] = Counter()
    proven: dict[str, str] = {}
    if report.exists():
        for case in ET.parse(report).iter("testcase"):
            suite = case.get("classname", "").split(".")[1]
            outcome = _outcome(case)
            passed[suite] += outcome == "passed"
            if suite == OURS:
                proven[case.get("name", "")] = outcome
    return {"passed": dict(sorted(passed.items())), "proven": proven}


def _outcome(case: ET.Element) -> str:
    for part in case:
        if part.tag in {"failure", "error"}:
            return "failed"
        if part.tag == "skipped":
            return part.get("message", "skipped")
    return "passed"
