"""What tests of time share: a clock that is theirs."""

import pytest


class Clock:
    """Says the time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()
