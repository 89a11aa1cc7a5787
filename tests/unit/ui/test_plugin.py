"""What Airflow's processes have to load because of the plugin: the plugin itself, and nothing else."""

import json
import subprocess
import sys

import pytest
from airflow.plugins_manager import AirflowPlugin

WEB = ("fastapi", "starlette", "uvicorn", "airflow_provider_laplas.ui")

LOADED = """
import sys
{before}
there = set(sys.modules)
from airflow_provider_laplas.plugin import LaplasPlugin
import json
print(json.dumps({{
    "added": sorted(set(sys.modules) - there),
    "views": LaplasPlugin.external_views,
    "apps": [each["url_prefix"] for each in LaplasPlugin.fastapi_apps],
}}))
"""

# What each process has loaded before it loads plugins: Airflow's manager of plugins, the SDK's in the process of a task.
PROCESSES = {
    "scheduler": "import airflow.plugins_manager",
    "task": "import airflow.sdk.plugins_manager",
}


def load(process, **environment):
    """Load the plugin in a new process as Airflow does, and return what it says of itself."""
    import os  # noqa: PLC0415

    run = subprocess.run(
        [sys.executable, "-c", LOADED.format(before=PROCESSES[process])],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("process", PROCESSES)
def test_the_plugin_loads_no_module_but_itself(process):
    if process == "task":
        pytest.importorskip(
            "airflow.sdk.plugins_manager", reason="Airflow before 3.2 has one manager for all"
        )
    added = load(process)["added"]
    assert set(added) <= {"airflow_provider_laplas", "airflow_provider_laplas.plugin", "json"}
    assert not [name for name in added if name.startswith(WEB)]


@pytest.mark.skipif(
    not hasattr(AirflowPlugin, "external_views"), reason="Airflow 3.0 has no place for a page."
)
def test_the_tab_and_the_page_lie_below_the_path_that_airflow_is_mounted_at():
    found = load("scheduler", AIRFLOW__API__BASE_URL="https://example.com/some/airflow/")
    assert found["apps"] == ["/laplas"]
    tab, page = found["views"]
    assert tab["href"] == (
        "/some/airflow/laplas/page?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}"
    )
    assert (tab["name"], tab["destination"]) == ("Transcript", "task_instance")
    assert page["href"] == "/some/airflow/laplas/search"
    assert (page["name"], page["destination"]) == ("Transcripts", "nav")
    # Airflow leaves a view without a route of its own out.
    assert tab["url_route"] != page["url_route"]


def test_airflow_takes_the_plugin_for_one():
    code = """
from airflow import plugins_manager
from airflow_provider_laplas.plugin import LaplasPlugin
# Before 3.2 it looks whether it has the plugin already, in what is a list once plugins are loaded.
if getattr(plugins_manager, "plugins", ()) is None:
    plugins_manager.plugins = []
print(plugins_manager.is_valid_plugin(LaplasPlugin))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "True"
