"""A clock that is the tests' own; a plugin, as more than one suite uses it."""

import pytest


class Clock:
    """Says the time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()
