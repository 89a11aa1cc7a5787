"""The README's code is run, and what it says of the code is true."""

import re
from pathlib import Path

import pytest

from airflow_provider_laplas import errors
from airflow_provider_laplas.connection import EXTRA_FIELDS
from airflow_provider_laplas.exceptions import as_airflow_error
from airflow_provider_laplas.provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS)
def test_every_python_example_makes_a_dag(code):
    namespace = {}
    exec(compile(code, "README.md", "exec"), namespace)


def test_the_error_table_names_every_error_and_whether_it_is_retried():
    rows = dict(re.findall(r"^\| `(Laplas\w+Error)` \|.*\| (yes|no) \|$", README, re.MULTILINE))
    bases = {"LaplasError", "LaplasGenerationError"}
    named = {name for name in vars(errors) if re.fullmatch(r"Laplas\w+Error", name)} - bases
    assert set(rows) == named
    for name, retried in rows.items():
        kind = type(as_airflow_error(errors.rebuild(getattr(errors, name), "m", {"generation_id": None})))
        final = {"AirflowFailException", "AirflowSensorTimeout"} & {base.__name__ for base in kind.__mro__}
        assert (retried == "no") is bool(final), name


def test_the_connections_table_names_every_field():
    assert set(re.findall(r"^\| extra `(\w+)` \|", README, re.MULTILINE)) == set(EXTRA_FIELDS)


def test_every_link_into_the_repository_leads_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_registered_modules_can_be_imported():
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                __import__(module)
