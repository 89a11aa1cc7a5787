"""The server does what its OpenAPI says, for generated requests good and bad."""

import dataclasses
import tempfile
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from airflow_provider_laplas.local.app import create_app
from airflow_provider_laplas.local.running import serve_in_thread
from airflow_provider_laplas.local.settings import Settings
from tests.local.conftest import KEY, StubEngine

SETTINGS = Settings(keys=frozenset({KEY}), data_dir=Path(tempfile.gettempdir()), download_timeout=0.1)

schema = schemathesis.openapi.from_dict(create_app(SETTINGS, StubEngine()).openapi())


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    settings = dataclasses.replace(SETTINGS, data_dir=tmp_path_factory.mktemp("data"))
    with serve_in_thread(create_app(settings, StubEngine())) as served:
        yield served


@schema.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_replies_are_as_described(case, url: str):
    case.call_and_validate(
        base_url=url,
        headers={"Authorization": f"Bearer {KEY}"},
        # No schema can tell a recording from other bytes, or a host that exists from one that does not, and this API
        # answers 400 for both.
        excluded_checks=[positive_data_acceptance],
    )
