"""
The snippets for the Helm chart: names and types of values are those that the chart's schema has.

helm_chart.json holds what was read from the schema of the chart's release, for the values that the page uses. Another value
is to be looked up there first: an unknown one fails here.
"""

import json
import re
from fnmatch import fnmatchcase

import pytest
import yaml
from airflow.sdk import Connection
from packaging.requirements import Requirement

from airflow_provider_laplas.client.settings import DEFAULT_CONN_ID, ConnectionSettings
from airflow_provider_laplas.provider_info import get_provider_info
from tests.docs.pages import DOCKERFILES, PAGES, YAML
from tests.docs.test_pages import declared_extras
from tests.paths import ROOT

PAGE = PAGES["docs/kubernetes.md"]
CHART = json.loads((ROOT / "tests" / "docs" / "helm_chart.json").read_text())
TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
(VALUES,) = [yaml.safe_load(code) for code in YAML.values()]
(DOCKERFILE,) = DOCKERFILES.values()
(AIRFLOW,) = re.findall(r"^apache-airflow==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def leaves(value, path=""):
    """Each value, by its path: `a.b`, and `a[].b` in a list."""
    if isinstance(value, dict):
        for name, below in value.items():
            # The dots of an annotation's name are no steps.
            yield from leaves(below, f"{path}.{name.replace('.', '_')}".lstrip("."))
    elif isinstance(value, list):
        for below in value:
            yield from leaves(below, f"{path}[]")
    else:
        yield path, value


def types_of(path):
    """What the chart takes at a path; a star stands for one step."""
    known = CHART["values"]
    steps = path.count(".")
    found = [
        pattern
        for pattern in known
        if fnmatchcase(path, pattern.replace("[", "[[]")) and pattern.count(".") == steps
    ]
    return known[found[0]] if found else None


@pytest.mark.parametrize(("path", "value"), list(leaves(VALUES)))
def test_every_value_is_one_of_the_charts_and_of_its_type(path, value):
    assert TYPES[type(value)] in (types_of(path) or [])


def test_a_value_that_the_chart_does_not_have_would_be_found():
    assert types_of("triggerer.replica") is None
    assert types_of("config.laplas.results_path") == ["boolean", "integer", "number", "string"]
    assert types_of("config.laplas") is None


def test_the_values_that_the_text_names_are_the_charts():
    named = set(re.findall(r"`((?:triggerer|workers)\.[\w.]+)`", PAGE))
    assert named == set(CHART["named"])


def test_the_chart_and_its_defaults_are_those_that_the_text_names():
    assert f"chart {CHART['chart'].rpartition('.')[0]}." in PAGE
    text = " ".join(PAGE.split())
    assert (
        f"The chart's default is {CHART['defaults']['workers.terminationGracePeriodSeconds']} seconds" in text
    )
    default = CHART["defaults"]["triggerer.terminationGracePeriodSeconds"]
    assert f"The triggerer's default of {default} seconds" in text
    timeout = ConnectionSettings("https://example.com/v1", "k").timeout
    assert f"the connection's `timeout` ({timeout:g} seconds)" in text


def test_the_grace_is_longer_than_the_upload_of_the_example():
    grace = VALUES["workers"]["celery"]["terminationGracePeriodSeconds"]
    assert "1 GiB at 1 MiB a second takes 1,024 seconds" in " ".join(PAGE.split())
    assert grace > 1024 + ConnectionSettings("https://example.com/v1", "k").timeout


def test_the_secret_is_the_connection_that_tasks_look_for():
    (secret,) = VALUES["secret"]
    assert secret["envName"] == f"AIRFLOW_CONN_{DEFAULT_CONN_ID.upper()}"
    assert f"create secret generic {secret['secretName']} " in PAGE
    assert f"--from-file={secret['secretKey']}=" in PAGE
    (shown,) = re.findall(r"`(\{\"conn_type\": \"laplas\".*?\})`", PAGE)
    connection = Connection.from_json(shown)
    assert (connection.conn_type, connection.password) == ("laplas", "YOUR-KEY")


def test_airflow_reads_the_environment_and_the_configuration_as_the_page_means_it():
    (variable,) = VALUES["env"]
    conn_id = variable["name"].removeprefix("AIRFLOW_CONN_").lower()
    assert Connection.from_json(variable["value"], conn_id=conn_id).conn_type == "aws"
    options = get_provider_info()["config"]["laplas"]["options"]
    assert VALUES["config"]["laplas"].keys() <= options.keys()
    assert VALUES["config"]["laplas"]["results_path"].startswith(f"s3://{conn_id}@")


def test_the_image_is_airflows_of_the_tested_version_with_extras_that_there_are():
    base, install = DOCKERFILE.strip().splitlines()
    assert base == f"FROM apache/airflow:{AIRFLOW}"
    assert VALUES["airflowVersion"] == AIRFLOW
    airflow, provider = re.findall(r'"([^"]+)"', install)
    assert airflow == "apache-airflow==${AIRFLOW_VERSION}"
    assert Requirement(provider).name == "airflow-provider-laplas"
    assert Requirement(provider).extras <= declared_extras()


def test_the_image_that_is_built_is_the_one_that_is_used():
    image = "{repository}:{tag}".format(**VALUES["images"]["airflow"])
    assert f"docker build --tag {image} ." in PAGE
    assert f"docker push {image}" in PAGE
