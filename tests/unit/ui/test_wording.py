"""What the page says of tasks."""

import pytest

from airflow_provider_laplas import errors
from airflow_provider_laplas.ui.wording import ADVICE, after_clear

KINDS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.LaplasError)
} - {"LaplasError", "LaplasGenerationError"}


def test_there_is_advice_for_every_error():
    assert set(ADVICE) == KINDS


@pytest.mark.parametrize("state", ["waiting", "finished", "failed", "none"])
@pytest.mark.parametrize("error", [None, *sorted(KINDS)])
def test_a_sensor_never_submits(state, error):
    said = after_clear("transcript", state, error, sensor=True, in_xcom=False)
    assert "submits" not in said.replace("It submits nothing.", "")


def test_a_clear_that_may_pay_twice_says_so():
    said = after_clear("transcript", "failed", "LaplasAmbiguousSubmitError", sensor=False, in_xcom=False)
    assert "pays twice" in said
    for error in KINDS - {"LaplasAmbiguousSubmitError"}:
        assert "pays twice" not in after_clear("transcript", "failed", error, sensor=False, in_xcom=False)


def test_what_an_xcom_loses_is_said():
    assert "deletes this transcript" in after_clear(
        "transcript", "finished", None, sensor=False, in_xcom=True
    )
    assert "takes the stored" in after_clear("transcript", "finished", None, sensor=False, in_xcom=False)
