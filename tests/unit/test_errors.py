"""Errors keep their facts on the way from a trigger to a worker, and to Airflow."""

import inspect
import json
import pickle

import pytest

from airflow_provider_laplas import errors, exceptions
from airflow_provider_laplas.airflow_compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasAuthenticationError,
    LaplasConfigurationError,
    LaplasCreditsError,
    LaplasError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasGenerationTimeoutError,
    LaplasMalformedReplyError,
    LaplasRateLimitError,
    LaplasServerError,
    LaplasTooLargeError,
    LaplasTransportError,
    LaplasValidationError,
)
from airflow_provider_laplas.exceptions import airflow_errors, as_airflow_error

FINAL = [
    LaplasArgumentError("m", argument="audio"),
    LaplasConfigurationError("m"),
    LaplasValidationError("m", status=400),
    LaplasAuthenticationError("m", status=401),
    LaplasCreditsError("m", status=403),
    LaplasTooLargeError("m", status=413),
    LaplasAmbiguousSubmitError("m", request_id="r"),
    LaplasGenerationFailedError("m", generation_id="g", reason="bad"),
    LaplasGenerationGoneError("m", generation_id="g"),
]
RETRIED = [
    LaplasTransportError("m", sent=False),
    LaplasRateLimitError("m", status=429, retry_after=3.0),
    LaplasServerError("m", status=503, request_id="r", detail="d"),
    LaplasMalformedReplyError("m", status=200, generation_id="g"),
]
TIMEOUT = LaplasGenerationTimeoutError("m", generation_id="g", status="active")


@pytest.mark.parametrize("error", [*FINAL, *RETRIED, TIMEOUT], ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_through_json_with_its_facts(error):
    restored = errors.from_payload(json.loads(json.dumps(errors.to_payload(error))))
    assert type(restored) is type(error)
    assert vars(restored) == vars(error)
    assert str(restored) == "m"


@pytest.mark.parametrize(
    "error", [*FINAL, *RETRIED, TIMEOUT, LaplasError("m")], ids=lambda e: type(e).__name__
)
def test_the_airflow_form_can_be_imported_by_its_name_and_pickled(error):
    made = as_airflow_error(error)
    assert getattr(exceptions, type(error).__name__) is type(made)
    again = pickle.loads(pickle.dumps(made))
    assert (type(again), vars(again), again.message) == (type(made), vars(made), "m")


@pytest.mark.parametrize("payload", [{}, {"type": "SystemExit", "message": "m"}, {"type": None}])
def test_an_unknown_payload_is_still_a_laplas_error(payload):
    assert type(errors.from_payload(payload)) is LaplasError


@pytest.mark.parametrize("error", FINAL, ids=lambda error: type(error).__name__)
def test_what_a_retry_cannot_mend_or_would_pay_again_is_not_retried(error):
    assert isinstance(as_airflow_error(error), AirflowFailException)


@pytest.mark.parametrize("error", RETRIED, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_retried(error):
    converted = as_airflow_error(error)
    assert isinstance(converted, AirflowException)
    assert not isinstance(converted, AirflowFailException | AirflowSensorTimeout)


def test_a_passed_deadline_is_a_sensor_timeout():
    assert isinstance(as_airflow_error(TIMEOUT), AirflowSensorTimeout)


def test_an_airflow_error_is_still_the_cores_with_its_facts():
    with pytest.raises(LaplasGenerationFailedError) as caught, airflow_errors():
        raise FINAL[7]
    assert (caught.value.reason, caught.value.generation_id, str(caught.value)) == ("bad", "g", "m")
    assert as_airflow_error(caught.value) is caught.value


def test_every_error_is_in_the_tree_at_the_top_of_its_module():
    classes = {
        name for name, item in vars(errors).items() if inspect.isclass(item) and issubclass(item, LaplasError)
    }
    assert all(name in errors.__doc__ for name in classes)
