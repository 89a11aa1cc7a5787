"""The ingestion pipeline in a real Airflow, with the real model, its metrics and its lineage."""

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_laplas.transcript import Transcript
from airflow_stack.processes import await_condition
from tests.speech import word_error_rate

GOOD, ALL = 9, 10


@pytest.fixture(scope="module")
def folders(jfk_mp3, tmp_path_factory) -> tuple[Path, Path]:
    """Return an inbox with nine recordings and a broken one among them, and an empty folder for transcripts."""
    inbox = tmp_path_factory.mktemp("inbox")
    for number in range(GOOD):
        recording = inbox / f"talk {number % 3}" / f"{number}.mp3"
        recording.parent.mkdir(exist_ok=True)
        shutil.copy(jfk_mp3, recording)
    (inbox / "talk 1" / "broken.mp3").write_text("This is not audio. " * 100)
    (inbox / "notes.txt").write_text("not a recording")
    return inbox, tmp_path_factory.mktemp("transcripts")


@pytest.fixture
def conf(folders) -> dict[str, Any]:
    inbox, transcripts = folders
    return {"inbox": inbox.as_uri(), "transcripts": transcripts.as_uri(), "settle_seconds": 0}


def all_rows(database: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(database)) as connection:
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY uri").fetchall()
            for name in ("laplas_transcripts", "laplas_segments", "laplas_words")
        }


def times_in(folder: Path) -> dict[Path, int]:
    """When each file was written, but for what a batch notes of itself."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".manifest" not in path.parts]
    return {path: path.stat().st_mtime_ns for path in files if path.name != "manifest.json"}


class TestPipeline:
    """The tests of this class share their folders and build on each other, in this order."""

    def test_nine_recordings_get_everything_and_the_broken_one_is_reported(
        self, stack, server, folders, conf, run_dag, database
    ):
        before = server.submissions

        run_id = run_dag("ingest_recordings", conf)

        summary = stack.xcom("ingest_recordings", run_id, "transcribe")
        assert (summary["completed"], summary["failed"]) == (GOOD, 1)
        assert server.submissions == before + ALL
        _, transcripts = folders
        for number in range(GOOD):
            stem = transcripts / f"talk {number % 3}" / f"{number}.mp3"
            reply = json.loads(Path(f"{stem}.json").read_text())
            assert word_error_rate(Transcript.from_reply(reply).text) == 0
            assert "fellow Americans" in Path(f"{stem}.srt").read_text().replace("\n", " ")
            assert Path(f"{stem}.vtt").read_text().startswith("WEBVTT")
        assert len(all_rows(database)["laplas_transcripts"]) == GOOD
        assert len(all_rows(database)["laplas_words"]) == GOOD * 22

    def test_the_asset_starts_the_report_which_names_the_broken_one(self, stack, folders):
        await_condition(lambda: stack.runs("report_transcripts"), what="a run of the report")
        [(run_id, _)] = stack.runs("report_transcripts")

        stack.await_success("report_transcripts", run_id, 60)
        page = (folders[1] / "report.html").read_text()
        assert "broken.mp3" in page
        assert "fellow" not in page

    def test_a_second_run_changes_nothing(self, stack, server, folders, conf, run_dag, database):
        before = server.submissions, all_rows(database), times_in(folders[1])

        run_id = run_dag("ingest_recordings", conf)

        assert (server.submissions, all_rows(database), times_in(folders[1])) == before
        states = {task.task_id: task.state for task in stack.task_states("ingest_recordings", run_id)}
        assert states == {"transcribe": "success", "load": "skipped"}
        assert len(stack.runs("report_transcripts")) == 1

    def test_a_recording_that_is_still_being_written_is_left_for_a_later_run(
        self, stack, server, folders, conf, run_dag
    ):
        before = server.submissions
        with growing(folders[0] / "arriving.mp3"):
            run_dag("ingest_recordings", conf | {"settle_seconds": 30})
        assert server.submissions == before
        (folders[0] / "arriving.mp3").unlink()

    def test_lineage_leads_from_the_recordings_to_what_was_made_of_them_and_holds_no_speech(
        self, folders, lineage_file
    ):
        inbox, transcripts = folders
        written = lineage_file.read_text()
        events = [json.loads(line) for line in written.splitlines()]
        named = [(event["inputs"], event["outputs"]) for event in events if event.get("inputs")]
        inputs = {dataset["name"] for group, _ in named for dataset in group}
        outputs = {dataset["name"] for _, group in named for dataset in group}
        assert f"{inbox}/talk 0/0.mp3" in inputs
        assert f"{transcripts}/talk 0/0.mp3.vtt" in outputs
        assert "fellow" not in written

    def test_metrics_count_what_was_submitted_looked_at_heard_and_failed(self, statsd):
        counted = statsd.sums
        assert counted["laplas.submissions"] >= ALL
        assert counted["laplas.polls"] >= ALL
        assert counted["laplas.audio_seconds"] >= GOOD * 11
        assert counted["laplas.failures.generation_failed"] >= 1
        assert counted["laplas.time_to_completion"] >= GOOD


class growing:  # noqa: N801 - it reads as a verb where it is used
    """A file that is still being written as long as the block lasts."""

    def __init__(self, file: Path):
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self):
        with self._file.open("wb", buffering=0) as output:
            output.write(b"ID3")
            while not self._stop.wait(0.1):
                output.write(b"\0" * 1000)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()
