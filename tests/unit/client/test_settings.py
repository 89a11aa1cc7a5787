"""What a connection means, and which ones are refused."""

import json
import logging
from importlib.resources import files
from typing import get_type_hints

import jsonschema
import pytest

from airflow_provider_laplas.client.settings import (
    EXTRA_FIELDS,
    ClientFields,
    ConnectionSettings,
    read_base_url,
    read_connection,
)
from airflow_provider_laplas.errors import LaplasConfigurationError
from airflow_provider_laplas.provider_info import get_provider_info
from tests.paths import ROOT


def read(**changes):
    return read_connection(
        **({"host": None, "schema": None, "port": None, "password": "key", "extra": {}} | changes)
    )


@pytest.mark.parametrize(
    ("host", "schema", "port", "url"),
    [
        (None, None, None, "https://api.apilaplas.com/v1"),
        ("", "", None, "https://api.apilaplas.com/v1"),
        ("api.apilaplas.com", None, None, "https://api.apilaplas.com/v1"),
        ("https://api.apilaplas.com", None, None, "https://api.apilaplas.com/v1"),
        ("https://api.apilaplas.com/", None, None, "https://api.apilaplas.com/v1"),
        ("https://api.apilaplas.com/v1", None, None, "https://api.apilaplas.com/v1"),
        ("https://api.apilaplas.com/v1/", None, None, "https://api.apilaplas.com/v1"),
        ("api.apilaplas.com", "v1", None, "https://api.apilaplas.com/v1"),
        ("api.apilaplas.com", "v2", None, "https://api.apilaplas.com/v2"),
        ("proxy.example/laplas", None, 8443, "https://proxy.example:8443/laplas/v1"),
        ("https://proxy.example:1/laplas", None, 8443, "https://proxy.example:1/laplas/v1"),
        ("127.0.0.1", "http", 8000, "http://127.0.0.1:8000/v1"),
        ("http://localhost:8000", None, None, "http://localhost:8000/v1"),
        ("http://[::1]:8000", None, None, "http://[::1]:8000/v1"),
    ],
)
def test_a_host_may_be_written_in_every_usual_way(host, schema, port, url):
    assert read_base_url(host, schema, port) == url


@pytest.mark.parametrize(
    "host",
    [
        "http://api.apilaplas.com",
        "ftp://api.apilaplas.com",
        "https://user:pw@api.example",
        "https://a?b=c",
        "https://",
        "http://[::1",
    ],
)
def test_an_unsafe_or_unusable_host_is_refused(host):
    with pytest.raises(LaplasConfigurationError, match="host"):
        read(host=host)


def test_plain_http_to_another_machine_has_to_be_allowed():
    assert read(host="http://laplas.lan", extra={"allow_http": True}).base_url == "http://laplas.lan/v1"


@pytest.mark.parametrize("password", [None, "", "  ", "two words", "new\nline", "schlüssel"])
def test_what_cannot_be_a_key_is_refused(password):
    with pytest.raises(LaplasConfigurationError, match="key"):
        read(password=password)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("timeout", "30", 30.0),
        ("timeout", "", 60.0),
        ("timeout", None, 60.0),
        ("verify", "false", False),
        ("verify", __file__, __file__),
        ("allow_http", "true", True),
        ("max_reply_bytes", 10, 10),
        ("min_upload_bytes_per_second", "1000", 1000.0),
    ],
)
def test_an_extra_field_is_read_as_the_form_or_a_json_file_writes_it(name, value, expected):
    assert getattr(read(extra={name: value}), name) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", "soon"),
        ("timeout", -1),
        ("max_reply_bytes", 0),
        ("min_upload_bytes_per_second", 0),
        ("allow_http", "maybe"),
        ("timeout", "inf"),
        ("timeout", "nan"),
        ("verify", "/no/such/ca.pem"),
        ("proxy", "user:pw@proxy:3128"),
        ("proxy", "socks5://proxy:1"),
        ("max_requests_per_second", -1),
    ],
)
def test_a_wrong_extra_field_is_refused_by_name(name, value):
    with pytest.raises(LaplasConfigurationError, match=f"`{name}`"):
        read(extra={name: value})


def test_an_unknown_extra_field_is_named_with_its_nearest_and_has_no_effect(caplog):
    with caplog.at_level(logging.WARNING):
        assert read(extra={"time_out": 5}) == read()
    assert "`time_out`" in caplog.text
    assert "`timeout`" in caplog.text


def test_no_repr_shows_the_key_or_the_proxy():
    settings = read(password="canary", extra={"proxy": "http://u:canary@proxy:1"})
    assert "canary" not in repr(settings)


def test_a_clients_arguments_are_fields_of_a_connection_of_the_same_types():
    types = get_type_hints(ConnectionSettings)
    assert get_type_hints(ClientFields).items() <= types.items()
    # What a client has no use for.
    unused = {"price_per_minute", "results_path", "max_part_seconds"}
    assert EXTRA_FIELDS.keys() - get_type_hints(ClientFields).keys() == unused


def schema_of_airflow(name):
    return json.loads(files("airflow").joinpath(name).read_text())


def test_the_registration_is_valid_against_airflows_schema():
    info = get_provider_info()
    jsonschema.validate(info, schema_of_airflow("provider_info.schema.json"))
    form = info["connection-types"][0]["conn-fields"]
    assert set(form) == set(EXTRA_FIELDS)
    assert all("efault" in field["description"] for field in form.values())


def test_the_registration_is_what_airflow_asks_of_its_own_providers():
    """That schema is the stricter one: it knows the form of a connection, and allows no other names."""
    schema = schema_of_airflow("provider.yaml.schema.json")
    # What a release of Airflow's own adds.
    schema["required"] = ["name", "package-name", "description"]
    jsonschema.validate(get_provider_info(), schema)


def test_the_forms_defaults_are_the_defaults():
    form = get_provider_info()["connection-types"][0]["conn-fields"]
    defaults = {
        name: field["schema"]["default"] for name, field in form.items() if "default" in field["schema"]
    }
    without = {"proxy", "price_per_minute", "results_path", "max_upload_bytes", "max_part_seconds"}
    assert defaults.keys() == EXTRA_FIELDS.keys() - without
    assert read(extra=defaults) == read()
    for field in form.values():
        jsonschema.validate(field["schema"].get("default"), field["schema"])


def test_the_forms_bounds_are_those_that_are_checked():
    form = get_provider_info()["connection-types"][0]["conn-fields"]
    bounded = {name: field["schema"] for name, field in form.items() if "maximum" in field["schema"]}
    assert bounded
    for name, schema in bounded.items():
        assert read(extra={name: schema["maximum"]})
        for wrong in (schema["maximum"] * 2, schema["minimum"] - 1):
            with pytest.raises(LaplasConfigurationError, match=f"`{name}`"):
                read(extra={name: wrong})


def test_the_guides_and_the_logo_are_where_the_registration_says():
    (integration,) = get_provider_info()["integrations"]
    named = [*integration["how-to-guide"], integration["logo"]]
    assert [name for name in named if not (ROOT / name.lstrip("/")).is_file()] == []
