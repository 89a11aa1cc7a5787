"""Fixtures that every suite shares: an Airflow home of its own and the shipped recordings."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

from tests.paths import JFK_MP3

# Airflow reads its home when it is imported: it has to be set before any test module is.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="laplas-tests-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

# A machine that is busy is no failure.
hypothesis.settings.register_profile("without_deadline", deadline=None)
hypothesis.settings.load_profile("without_deadline")

pytest_plugins = ["tests.clock", "tests.postgresql"]

# What shares a real Airflow. The demo starts its own; of the faults, one for each file is affordable.
FILES = (
    "tests/airflow/test_demo.py",
    "tests/faults/",
    "tests/ui/test_airflow.py",
    "tests/ui/browser/test_inside_airflow.py",
)
SUITES = ("tests/airflow/", "tests/versions/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Spread the tests over the processes one by one; but those that share a real Airflow go to one, and come first."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415

    class OneAirflowEach(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            if path.startswith(FILES):
                return path
            return next((suite for suite in SUITES if path.startswith(suite)), nodeid)

    return OneAirflowEach(config, log)


@pytest.fixture(scope="session")
def jfk_mp3() -> Path:
    return JFK_MP3
