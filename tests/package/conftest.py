"""What people install, built once, and an environment with nothing but Airflow and it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.patience import PATIENCE

CONSTRAINTS = ROOT / "constraints.txt"
"""Those of Airflow's release are on no package index. These pin the same Airflow."""


def run(*command, environment=None, folder=None):
    """Run a command, and return what it printed."""
    done = subprocess.run(
        list(map(str, command)),
        env=environment or clean(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def clean(**more):
    """The environment without what points at this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONSTRAINT": str(CONSTRAINTS)} | more


def make_environment(folder):
    """Make an empty environment, and return its Python."""
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder with the sdist, and with the wheel that is built of the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="session")
def wheel(built):
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def sdist(built):
    (found,) = built.glob("*.tar.gz")
    return found


class Installed:
    """The wheel beside Airflow, as somebody has it who installed both."""

    def __init__(self, folder, wheel):
        self.python = make_environment(folder / "environment")
        self.environment = clean(
            AIRFLOW_HOME=str(folder / "airflow"),
            AIRFLOW__CORE__LOAD_EXAMPLES="True",
            PATH=f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
        )
        self.folder = folder
        run(self.python, "-m", "pip", "install", "--quiet", "apache-airflow", wheel)

    def airflow(self, *arguments):
        """What a command of Airflow says, as JSON."""
        return json.loads(self.run("airflow", *arguments, "--output", "json"))

    def run(self, *command):
        return run(*command, environment=self.environment, folder=self.folder)

    def evaluate(self, code):
        """What a piece of code prints last, as JSON."""
        return json.loads(self.run(self.python, "-c", code).splitlines()[-1])


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture(scope="session")
def editable(tmp_path_factory):
    """The folder of packages of an environment in which a checkout is installed to be edited."""
    python = make_environment(tmp_path_factory.mktemp("editable") / "environment")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", ROOT)
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
