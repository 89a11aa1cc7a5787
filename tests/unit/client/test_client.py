"""How a client is made; what it sends is in tests/wire/client."""

import os
import re
from pathlib import Path

import certifi
import pytest

from airflow_provider_laplas.client import LaplasClient
from airflow_provider_laplas.client.settings import DEFAULT_BASE_URL, FixedSettings, read_arguments
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasConfigurationError


def test_a_key_is_enough():
    settings = LaplasClient("key").settings
    assert (settings.api_key, settings.base_url) == ("key", DEFAULT_BASE_URL)


def test_an_address_and_the_fields_of_a_connection_are_taken():
    settings = LaplasClient(
        api_key="key", base_url="http://localhost:8000", timeout=5, verify=False, max_requests_per_second=3
    ).settings
    assert (settings.base_url, settings.timeout) == ("http://localhost:8000/v1", 5)
    assert (settings.verify, settings.max_requests_per_second) == (False, 3)


def test_certificates_are_read_once_and_again_when_they_were_renewed(tmp_path):
    first, second, *_ = re.findall(
        r"-----BEGIN.+?-----END CERTIFICATE-----\n", Path(certifi.where()).read_text(), re.DOTALL
    )
    bundle = tmp_path / "ca.pem"

    def used(certificate, changed_at):
        bundle.write_text(certificate)
        os.utime(bundle, (changed_at, changed_at))
        return LaplasClient("key", verify=str(bundle)).request_settings().ssl

    before, again, renewed = used(first, 1), used(first, 1), used(second, 2)
    assert before is again
    assert before.get_ca_certs() != renewed.get_ca_certs()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "API key"),
        ({"api_key": " "}, "API key"),
        ({"api_key": "k", "base_url": "http://example.com"}, "allow_http"),
        ({"api_key": "k", "timeout": -1}, "`timeout`"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_when_the_client_is_made(arguments, says):
    with pytest.raises(LaplasConfigurationError, match=says):
        LaplasClient(**arguments)


def test_an_argument_that_there_is_not_is_named_with_its_nearest():
    with pytest.raises(TypeError, match=r"`time_out`.* `timeout`"):
        LaplasClient("key", time_out=3)


def test_settings_come_from_one_place_only():
    source = FixedSettings(read_arguments("key"))
    assert LaplasClient(source=source).settings.api_key == "key"
    with pytest.raises(TypeError, match="not from both"):
        LaplasClient("key", source=source)


def test_without_a_storage_only_local_files_are_uploaded():
    with pytest.raises(LaplasArgumentError, match="storage"):
        LaplasClient("key").submit("s3://bucket/a.mp3")


@pytest.mark.parametrize("generation_id", ["", "None", ".."])
def test_a_poll_for_what_cannot_be_an_id_returns_the_error(generation_id):
    assert isinstance(LaplasClient("key").poll(generation_id), LaplasArgumentError)
