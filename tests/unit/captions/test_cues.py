"""The limits that captions keep to."""

import pytest

from airflow_provider_laplas.captions import CaptionLimits
from airflow_provider_laplas.errors import LaplasArgumentError


@pytest.mark.parametrize(
    "wrong",
    [
        {"line_length": 0},
        {"line_length": 4.2},
        {"lines": 0},
        {"lines": True},
        {"min_duration": -1},
        {"max_duration": 0.5},
        {"max_duration": float("inf")},
        {"reading_speed": 0},
        {"frame_rate": float("nan")},
        {"gap_frames": -1},
    ],
)
def test_a_limit_that_cannot_be_one_is_named(wrong):
    with pytest.raises(LaplasArgumentError) as caught:
        CaptionLimits(**wrong)
    assert caught.value.argument in wrong
