"""A break of the public API is found, and nothing else is taken for one."""

import re

import pytest

from docs_site.public_api import SNAPSHOT, additions, breaks, render
from docs_site.reference import PublicApi, read_reference

NOW = render(PublicApi())


def found(changed):
    return breaks(NOW, render(changed.api))


def test_this_checkout_breaks_nothing_of_what_is_stored():
    assert breaks(SNAPSHOT.read_text(), NOW) == []


def test_every_public_name_is_compared():
    for module in read_reference():
        (body,) = re.findall(rf"^class {module.path.replace('.', '_')}:\n((?:    .*\n)+)", NOW, re.MULTILINE)
        for name in module.names:
            assert re.search(
                rf"^    (?:class {name}:|def {name}\(|{name}(?:: .+)? = )", body, re.MULTILINE
            ), name


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "hooks.py",
            "timeout: float = DEFAULT_TIMEOUT,\n        poll_interval: float = DEFAULT_POLL_INTERVAL,\n    ) -> Generation:",
            "timeout: float = DEFAULT_TIMEOUT,\n    ) -> Generation:",
            "airflow_provider_laplas_hooks.LaplasHook.wait(poll_interval): Parameter was removed",
        ),
        (
            "sensors.py",
            "poke_interval: float | timedelta = DEFAULT_POLL_INTERVAL,",
            "",
            "airflow_provider_laplas_sensors.STTCompletionSensor.__init__(poke_interval): Parameter was removed",
        ),
        (
            "storage.py",
            "def write_text(uri: str, text: str) -> None:\n",
            "def write_text(uri: str, text: str, encoding: str) -> None:\n",
            "airflow_provider_laplas_storage.write_text(encoding): Parameter was added as required",
        ),
        (
            "sql/searching.py",
            "limit: int = 20",
            "limit: int = 10",
            "airflow_provider_laplas_sql.search(limit): Parameter default was changed",
        ),
        (
            "client/client.py",
            "async def afetch(",
            "async def _afetch(",
            "airflow_provider_laplas_client.LaplasClient.afetch: Public object was removed",
        ),
    ],
    ids=["argument", "operator's argument", "required argument", "default", "method"],
)
def test_what_is_taken_away_or_asked_for_is_a_break(changed, file, old, new, told):
    changed.replace(file, old, new)
    assert found(changed) == [told]


def test_an_argument_with_a_default_is_an_addition_and_no_break(changed):
    changed.replace("sql/searching.py", "limit: int = 20", "limit: int = 20, exact: bool = False")
    assert found(changed) == []
    (line,) = additions(NOW, render(changed.api))
    assert "exact: bool = False" in line


def test_what_is_private_may_change(changed):
    changed.replace("sql/searching.py", "PHRASE_LIMIT", "_PHRASE_LIMIT")
    changed.replace("client/client.py", "def _repeat(", "def _send_again(")
    assert found(changed) == []


def test_a_public_name_that_is_gone_is_a_break_and_is_told_to_be_absent(changed):
    changed.replace("sql/__init__.py", "PHRASE_LIMIT, SearchHit, search", "PHRASE_LIMIT, SearchHit")
    changed.replace("hooks.py", "async def afetch(", "async def _afetch(")
    assert found(changed) == [
        "airflow_provider_laplas_hooks.LaplasHook.afetch: Public object was removed",
        "airflow_provider_laplas_sql.search: Public object was removed",
    ]
    assert changed.api.absent() == [
        "airflow_provider_laplas.hooks.LaplasHook.afetch",
        "airflow_provider_laplas.sql.search",
    ]


def test_whatever_the_reference_names_is_there():
    assert PublicApi().absent() == []


def test_a_public_name_without_a_docstring_is_told(changed):
    changed.replace("hooks.py", '"""Fetch a generation. Costs nothing."""', "")
    changed.replace("transcript/parts.py", '"""What has a text, times, a speaker and a channel."""', "")
    assert changed.api.undocumented() == [
        "airflow_provider_laplas.hooks.LaplasHook.fetch",
        "airflow_provider_laplas.transcript.Part",
    ]
