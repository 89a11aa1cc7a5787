"""What is started is ended, whatever it does; what ends by itself says why."""

import os
import signal
import sys
import time

import pytest

from airflow_stack.processes import (
    ProcessDiedError,
    Program,
    await_condition,
    clean_environment,
    end,
    interrupted_by_sigterm,
    session_members,
)

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
print("ready", flush=True)
time.sleep(600)
"""


def program(folder, code: str) -> Program:
    return Program(
        "the program",
        [sys.executable, "-c", code],
        log=folder / "log",
        environment=dict(os.environ),
        folder=folder,
    )


def test_a_child_with_a_process_group_of_its_own_is_ended_too(tmp_path):
    stubborn = program(tmp_path, STUBBORN)
    stubborn.start()
    session = stubborn.pid
    await_condition(lambda: stubborn.log.read_text().count("ready") == 2, what="both processes")
    assert len(session_members(session)) == 2

    end([stubborn], grace=0.2)

    assert session_members(session) == []


def test_the_grace_is_for_all_programs_together(tmp_path):
    programs = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        programs.append(program(tmp_path / name, STUBBORN))
        programs[-1].start()
    for one in programs:
        await_condition(lambda one=one: "ready" in one.log.read_text(), what="the program")

    started = time.monotonic()
    end(programs, grace=1)

    assert time.monotonic() - started < 2.5


def test_a_program_that_ends_by_itself_shows_the_end_of_its_log(tmp_path):
    failing = program(tmp_path, "raise SystemExit('no disk left')")
    failing.start()

    with pytest.raises(ProcessDiedError, match=r"status 1(.|\n)*no disk left"):
        await_condition(lambda: None, what="nothing", programs=[failing])

    failing.kill()


def test_a_program_can_be_started_again_after_its_end(tmp_path):
    short = program(tmp_path, "print('here')")
    short.start()
    short.wait(20)
    short.start()
    short.wait(20)
    short.kill()

    assert short.log.read_text() == "here\nhere\n"


@pytest.mark.parametrize("value", [False, None, []])
def test_a_condition_that_never_holds_is_a_timeout_that_names_it(value):
    with pytest.raises(TimeoutError, match=r"the moon: not within 0\.1 s"):
        await_condition(lambda: value, timeout=0.1, what="the moon", pause=0.01)


@pytest.fixture
def default_sigterm():
    """Put the default handler in place: a stack that another test uses has its own."""
    previous = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, previous)


def test_sigterm_interrupts_the_block_and_nothing_after_it(default_sigterm):
    with pytest.raises(KeyboardInterrupt), interrupted_by_sigterm():
        signal.raise_signal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_children_inherit_no_airflow_settings(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", "laplas://")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")

    environment = clean_environment()

    assert environment["SOMETHING_ELSE"] == "kept"
    assert not [name for name in environment if name.startswith("AIRFLOW")]
