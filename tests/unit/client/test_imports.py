"""What a process has to load: no Airflow for the client, and no HTTP library for what every process imports."""

import subprocess
import sys
from pathlib import Path

import pytest

import airflow_provider_laplas
from airflow_provider_laplas import client
from airflow_provider_laplas.client.client import LaplasClient

PACKAGE = Path(airflow_provider_laplas.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for part in ("api", "client")
    for path in sorted((PACKAGE / part).rglob("*.py"))
]


def loaded_by(code):
    """The names of all modules that a new process has loaded after some code."""
    told = f"{code}\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", told], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_neither_the_contract_nor_the_client_loads_airflow():
    assert len(MODULES) > 10
    code = f"""
import importlib, sys
class Refuse:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "airflow":
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
for name in {MODULES}:
    importlib.import_module(name)
"""
    assert "airflow" not in loaded_by(code)


@pytest.mark.parametrize(
    "code",
    [
        "import airflow_provider_laplas.client",
        "from airflow_provider_laplas.provider_info import get_provider_info; get_provider_info()",
        "import airflow_provider_laplas.api.poller",
    ],
)
def test_what_every_process_imports_loads_no_http_library(code):
    assert not loaded_by(code) & {"requests", "aiohttp", "airflow"}


def test_what_a_dag_file_imports_loads_no_client():
    code = "from airflow_provider_laplas import decorators, operators, sensors, triggers"
    assert not loaded_by(code) & {"airflow_provider_laplas.hooks", "airflow_provider_laplas.client.client"}


def test_the_client_is_there_when_it_is_asked_for():
    assert client.LaplasClient is LaplasClient
    with pytest.raises(AttributeError, match="NoClient"):
        client.NoClient  # noqa: B018
