"""Writing that is repeated because what it notes is paid for; and what ends it at once."""

import asyncio

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.persistence import apersistently, persistently


class Write:
    """A writing that fails at first."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "written"

    async def later(self):
        return self()


class TimeOut(BaseException):
    """What Airflow's own time-out of a task is: no Exception."""


def test_a_storage_that_fails_for_a_moment_is_written_to_again():
    write = Write(OSError("away"))
    assert (persistently(write), write.calls) == ("written", 2)
    write = Write(OSError("away"))
    assert (asyncio.run(apersistently(write.later)), write.calls) == ("written", 2)


@pytest.mark.parametrize(
    "error", [TimeOut(), KeyboardInterrupt(), SystemExit(), LaplasArgumentError("no", argument="a")], ids=repr
)
def test_what_ends_a_task_and_a_wrong_argument_end_a_writing_at_once(error):
    write = Write(error)
    with pytest.raises(type(error)):
        persistently(write)
    assert write.calls == 1


def test_a_cancelled_writing_ends():
    write = Write(asyncio.CancelledError())

    async def scenario():
        with pytest.raises(asyncio.CancelledError):
            await apersistently(write.later)

    asyncio.run(scenario())
    assert write.calls == 1
