"""The demo as people start it."""

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from airflow_stack.processes import await_condition
from demo.__main__ import main
from tests.demo_processes import end_left_running, left_running
from tests.paths import ROOT
from tests.patience import PATIENCE
from tests.speech import word_error_rate


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Everything that the demo writes goes below ``tmp_path``, and its processes are known by that."""
    return os.environ | {"TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}


def demo(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_it_prints_the_words_and_where_everything_lies_and_leaves_nothing_else_behind(
    environment, jfk_mp3, tmp_path
):
    outcome = demo("run", "--audio", str(jfk_mp3), environment=environment)

    assert outcome.returncode == 0, outcome.stderr
    name, _, text = outcome.stdout.partition("\n")
    assert name == "jfk.mp3:"
    assert word_error_rate(text) == 0
    [kept] = tmp_path.iterdir()
    assert sorted(path.name for path in kept.iterdir() if path.name != ".manifest") == [
        *(f"jfk.mp3.{name}" for name in ("json", "srt", "txt", "vtt")),
        "manifest.json",
        "report.html",
        "transcripts.db",
    ]
    for path in (kept, kept / "transcripts.db", kept / "report.html"):
        assert str(path) in outcome.stderr
    assert left_running(tmp_path) == []


def test_a_file_that_is_not_audio_is_said_to_be_none_and_everything_is_kept(environment, tmp_path):
    notes = tmp_path / "minutes of a meeting.txt"
    notes.write_text("We met. " * 200)

    outcome = demo("run", "--audio", str(notes), environment=environment)

    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert "minutes of a meeting.txt.mp3: The API could not transcribe" in outcome.stderr
    assert "No recording could be transcribed. The manifest says why" in outcome.stderr
    [kept] = tmp_path.glob("laplas-demo-*")
    assert f"Everything is kept in {kept}" in outcome.stderr
    assert (kept / "airflow" / "scheduler.log").is_file()
    assert left_running(tmp_path) == []


@pytest.mark.parametrize(("number", "own"), [(signal.SIGINT, ["mine.mp3"]), (signal.SIGTERM, [])])
def test_a_signal_ends_everything_and_recordings_of_the_user_stay(environment, tmp_path, number, own):
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", "up"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        await_condition(
            lambda: any(tmp_path.glob("laplas-demo-*/airflow/dag-processor.log")),
            what="the last of the four processes",
        )
        [inbox] = tmp_path.glob("laplas-inbox-*")
        assert list(inbox.iterdir())
        for name in own:
            (inbox / name).write_bytes(b"a recording")
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        # What was killed takes a moment to be gone, on a busy machine.
        await_condition(lambda: not left_running(tmp_path), what="the end of all processes")
    finally:
        process.kill()
        process.wait()
        end_left_running(tmp_path)

    assert list(tmp_path.iterdir()) == ([inbox] if own else [])
    assert (f"Your recordings are kept in {inbox}" in said) is bool(own)
    assert [path.name for path in tmp_path.glob("laplas-inbox-*/*")] == own


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_recording_that_does_not_exist_is_refused_before_anything_starts(command, tmp_path):
    outcome = CliRunner().invoke(main, [command, "--audio", str(tmp_path / "none.mp3")])

    assert outcome.exit_code == 2
    assert "does not exist" in outcome.output


def test_a_folder_is_refused_before_anything_starts(tmp_path):
    outcome = CliRunner().invoke(main, ["run", "--audio", str(tmp_path)])

    assert outcome.exit_code == 2
    assert "is a directory" in outcome.output
