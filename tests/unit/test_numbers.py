"""Every number that a user gives has bounds, and is checked by its name before anything is sent."""

import asyncio
import inspect
import sys
from dataclasses import fields
from datetime import timedelta
from typing import get_type_hints

import pytest
from airflow.sdk import DAG

from airflow_provider_laplas.api.options import check_options
from airflow_provider_laplas.api.poller import Poller
from airflow_provider_laplas.arguments import LONGEST, LONGEST_EXCHANGE, MOST
from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.client.client import LaplasClient
from airflow_provider_laplas.client.settings import ConnectionSettings, read_connection
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasConfigurationError
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeBatchOperator, TranscribeOperator
from airflow_provider_laplas.sensors import STTCompletionSensor
from airflow_provider_laplas.task.base import BaseSTTOperator
from airflow_provider_laplas.transcript.quality import QualitySettings

NO_NUMBER = [True, False, float("nan"), float("inf"), float("-inf"), -1, -0.5, "much", [1], {}]
TOO_MUCH = [10**400, 10**5000, 1e300]
WRONG = [*NO_NUMBER, *TOO_MUCH]
SECONDS = [*WRONG, sys.maxsize, timedelta.max, timedelta(days=-1), LONGEST + 1]

OPERATORS = {
    TranscribeOperator: {"audio": "https://example.com/a.mp3"},
    TranscribeBatchOperator: {"audio": ["https://example.com/a.mp3"], "results_path": "/results"},
    STTCompletionSensor: {"generation_id": "g-1"},
}
DURATIONS = ("timeout", "poke_interval", "defer_after", "min_age")
COUNTS = ("max_in_flight", "max_failed", "max_files")


def named(value):
    """Python writes no number with more than 4,300 digits, so pytest needs a name for it."""
    return "huge" if isinstance(value, int) and value > 10**300 else repr(value)


def arguments(operator):
    return inspect.signature(operator.__init__).parameters


@pytest.mark.parametrize("value", SECONDS, ids=named)
@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_duration_is_refused_by_its_name(operator, name, value):
    if name not in arguments(operator):
        return
    with DAG("d", schedule=None), pytest.raises(LaplasArgumentError, match=f"`{name}`"):
        operator(task_id="t", **OPERATORS[operator], **{name: value})


@pytest.mark.parametrize("value", [*WRONG, 1.5, MOST + 1], ids=named)
@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_refused_by_its_name(name, value):
    with DAG("d", schedule=None), pytest.raises(LaplasArgumentError, match=f"`{name}`"):
        TranscribeBatchOperator(task_id="t", **OPERATORS[TranscribeBatchOperator], **{name: value})


@pytest.mark.parametrize("value", [*WRONG, 0], ids=named)
@pytest.mark.parametrize("name", ["max_audio_seconds", "timeout", "poke_interval"])
def test_what_may_not_be_nothing_is_refused_by_its_name(name, value):
    with DAG("d", schedule=None), pytest.raises(LaplasArgumentError, match=f"`{name}`"):
        TranscribeBatchOperator(task_id="t", **OPERATORS[TranscribeBatchOperator], **{name: value})


def test_no_argument_that_is_a_number_is_left_out():
    checked = {*DURATIONS, *COUNTS, "max_audio_seconds", "utt_split"}
    for operator in (*OPERATORS, SubmitSTTOperator, BaseSTTOperator):
        numbers = {
            name
            for name, parameter in arguments(operator).items()
            if {"int", "float", "timedelta"} & set(str(parameter.annotation).replace("|", " ").split())
            or parameter.annotation in {int, float}
        }
        assert numbers <= checked


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), -1, 1e300, 10**400], ids=named)
@pytest.mark.parametrize("rendered", [False, True])
def test_an_option_that_is_a_number_is_refused_by_its_name(value, rendered):
    with pytest.raises(LaplasArgumentError, match="`utt_split`"):
        check_options({"utt_split": value}, rendered=rendered)


def test_numbers_of_any_size_are_refused_by_their_option_where_a_text_is_expected():
    with pytest.raises(LaplasArgumentError, match="`extra`"):
        check_options({"extra": 10**5000}, rendered=True)
    with pytest.raises(LaplasArgumentError, match="`options`"):
        check_options({"other": 10**5000}, rendered=True)


NUMBERS_OF_A_CONNECTION = [
    name for name, kind in get_type_hints(ConnectionSettings).items() if kind in {int, float, float | None}
]


@pytest.mark.parametrize(
    "value",
    [
        *(value for value in WRONG if value not in ("", {}, [1])),
        *("nan", "inf", "-1", "1e400", "9" * 5000, "true"),
        2**63,
    ],
    ids=lambda value: named(value)[:20],
)
@pytest.mark.parametrize("name", NUMBERS_OF_A_CONNECTION)
def test_a_number_of_a_connections_extra_is_refused_by_its_name(name, value):
    with pytest.raises(LaplasConfigurationError, match=f"`{name}`"):
        read_connection(host=None, schema=None, port=None, password="k", extra={name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect_timeout", LONGEST_EXCHANGE + 1),
        ("timeout", 0),
        ("max_requests_per_second", 1e-300),
        ("max_reply_bytes", 0),
    ],
)
def test_a_setting_with_which_nothing_would_work_is_refused_by_its_name(name, value):
    with pytest.raises(LaplasConfigurationError, match=f"`{name}`"):
        read_connection(host=None, schema=None, port=None, password="k", extra={name: value})


@pytest.mark.parametrize("port", [True, -1, 65536, 10**400, "x"], ids=named)
def test_a_connections_port_is_refused_by_its_name(port):
    with pytest.raises(LaplasConfigurationError, match="port"):
        read_connection(host="api.example", schema=None, port=port, password="k", extra={})


@pytest.mark.parametrize("value", SECONDS, ids=named)
def test_a_clients_durations_are_refused_by_their_names(value):
    client = LaplasClient("key")
    for call in (client.wait, client.transcribe):
        with pytest.raises(LaplasArgumentError, match="`timeout`"):
            call("g-1", timeout=value)
    with pytest.raises(LaplasArgumentError, match="`timeout`"):
        asyncio.run(client.await_completion("g-1", timeout=value))
    with pytest.raises(LaplasArgumentError, match="`poll_interval`"):
        Poller("g-1", 0.0, value)
    with pytest.raises(LaplasArgumentError, match="`look_up_every`"):
        LaplasClient("key", look_up_every=value)


@pytest.mark.parametrize("value", WRONG, ids=named)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((CaptionLimits, limit.name) for limit in fields(CaptionLimits)),
        (QualitySettings, "min_confidence"),
    ],
)
def test_a_limit_of_captions_and_quality_is_refused_by_its_name(kind, name, value):
    with pytest.raises(LaplasArgumentError, match=f"`{name}`"):
        kind(**{name: value})
