"""Temporary files vanish with the process that has made them, also where it is killed."""

import signal
import subprocess
import sys

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.media.temporary import temporary_file

CONTENT = bytes(range(256)) * 100


def write(file):
    file.write(CONTENT)


def test_what_was_written_is_read_from_the_beginning_by_each_reader(tmp_path):
    with temporary_file(str(tmp_path), write) as written, written.open() as one, written.open() as other:
        assert written.size == len(CONTENT)
        assert one.read(1000) == CONTENT[:1000]
        assert other.read() == CONTENT
        assert one.read() == CONTENT[1000:]
        assert one.read() == b""
        one.seek(-10, 2)
        assert (one.tell(), one.read()) == (len(CONTENT) - 10, CONTENT[-10:])
        one.seek(300)
        one.seek(5, 1)
        assert one.read(5) == CONTENT[305:310]


def test_a_reader_outlives_the_file(tmp_path):
    with temporary_file(str(tmp_path), write) as written:
        reader = written.open()
    with reader:
        assert reader.read() == CONTENT


@pytest.mark.parametrize("when", ["while it is written", "while it is used"])
def test_a_killed_process_leaves_nothing_behind(when, tmp_path):
    program = f"""
import sys, time
from airflow_provider_laplas.media.temporary import temporary_file

def stay():
    print("ready", flush=True)
    sys.stdin.read()

def write(file):
    file.write(b"x" * 100_000)
    if {when!r} == "while it is written":
        stay()

with temporary_file({str(tmp_path)!r}, write):
    stay()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(LaplasArgumentError, match="temporary_folder"),
        temporary_file(str(tmp_path / "missing"), write),
    ):
        pass


def test_an_error_of_those_who_use_it_is_not_taken_for_one_of_the_file(tmp_path):
    with pytest.raises(OSError, match="elsewhere"), temporary_file(str(tmp_path), write):
        raise OSError(28, "elsewhere")


def test_an_error_while_it_is_written_is_passed_on(tmp_path):
    def fail(file):
        raise LaplasStorageError("The storage does not answer.")

    with pytest.raises(LaplasStorageError, match="answer"), temporary_file(str(tmp_path), fail):
        pass
