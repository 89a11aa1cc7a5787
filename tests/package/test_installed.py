"""Airflow finds what the wheel brings, in an environment that has nothing else."""

from tests.paths import ROOT

PROVIDER = "airflow-provider-laplas"
EXAMPLES = {
    "caption_videos",
    "ingest_recordings",
    "report_transcripts",
    "transcribe_file",
    "transcribe_file_in_one_task",
    "transcribe_url",
}


def test_nothing_that_is_needed_is_missing(installed):
    assert "No broken requirements" in installed.run(installed.python, "-m", "pip", "check")


def test_it_is_the_wheel_that_is_found_and_not_a_checkout(installed):
    where = installed.evaluate(
        "import json, airflow_provider_laplas as p; print(json.dumps(list(p.__path__)))"
    )
    assert [place for place in where if place.startswith(str(installed.folder))] == where


def test_airflow_lists_the_provider(installed):
    listed = {provider["package_name"]: provider for provider in installed.airflow("providers", "list")}
    assert listed[PROVIDER]["description"]
    (info,) = installed.airflow("providers", "get", PROVIDER, "--full")
    assert info["name"] == "Laplas"


def test_airflow_knows_the_connection_type(installed):
    hooks = {hook["connection_type"]: hook for hook in installed.airflow("providers", "hooks")}
    assert hooks["laplas"]["class"] == "airflow_provider_laplas.hooks.LaplasHook"
    assert hooks["laplas"]["package_name"] == PROVIDER


def test_airflow_makes_the_hook_of_such_a_connection(installed):
    code = """
import json, os
os.environ["AIRFLOW_CONN_A"] = json.dumps({"conn_type": "laplas", "password": "YOUR-KEY"})
from airflow.providers.common.compat.sdk import BaseHook
print(json.dumps(type(BaseHook.get_hook("a")).__name__))
"""
    assert installed.evaluate(code) == "LaplasHook"


def test_airflow_knows_the_decorator(installed):
    code = """
import json
from airflow.sdk import DAG, task
with DAG("d", schedule=None):
    @task.transcribe
    def audio():
        return "https://example.com/a.mp3"
    print(json.dumps(type(audio().operator).__module__))
"""
    assert installed.evaluate(code) == "airflow_provider_laplas.decorators"


def test_airflow_knows_the_configuration(installed):
    assert "results_path" in installed.run("airflow", "config", "list", "--section", "laplas")


def test_airflow_parses_the_example_dags_without_an_error(installed):
    code = """
import json, pathlib, airflow_provider_laplas
from airflow.dag_processing.dagbag import DagBag
folder = pathlib.Path(airflow_provider_laplas.__file__).parent / "example_dags"
bag = DagBag(folder)
print(json.dumps([sorted(bag.dags), bag.import_errors]))
"""
    assert installed.evaluate(code) == [sorted(EXAMPLES), {}]


def test_airflow_shows_the_example_dags_where_it_shows_those_of_providers(installed):
    code = """
import json
from airflow.dag_processing.bundles.manager import DagBundlesManager
print(json.dumps({bundle.name: str(bundle.path) for bundle in DagBundlesManager().get_all_dag_bundles()}))
"""
    bundles = installed.evaluate(code)
    assert bundles[f"{PROVIDER}-example-dags"].endswith("airflow_provider_laplas/example_dags")


def test_the_command_of_the_package_needs_nothing_else(installed):
    reply = ROOT / "tests" / "unit" / "replies" / "deepgram_full.json"
    written = installed.run(
        installed.python, "-m", "airflow_provider_laplas", "captions", reply, "--format", "vtt"
    )
    assert written.startswith("WEBVTT")
