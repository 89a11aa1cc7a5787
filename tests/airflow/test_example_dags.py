"""Every DAG of the project, on a real Airflow and a real model, and what a user builds on them."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.conftest import PROJECT, RUN_SECONDS, word_error_rate


def submissions(server) -> int:
    """Return how many generations the server has accepted."""
    return server.program.log.read_text().count("POST /v1/stt/create 201")


def test_a_url_is_transcribed(stack, run_dag, recording_url):
    run_id = run_dag("transcribe_url", {"audio": recording_url})

    assert word_error_rate(stack.xcom("transcribe_url", run_id, "wait", key="text")) == 0
    assert stack.xcom("transcribe_url", run_id, "use_text") == {"words": 22}


def test_a_file_is_transcribed(stack, run_dag, jfk_mp3):
    run_id = run_dag("transcribe_file", {"audio": str(jfk_mp3)})

    assert word_error_rate(stack.xcom("transcribe_file", run_id, "wait")["text"]) == 0
    assert 0 < stack.xcom("transcribe_file", run_id, "longest_pause") < 3


def test_an_object_storage_uri_is_transcribed_in_one_task(stack, run_dag, jfk_mp3):
    run_id = run_dag("transcribe_file_in_one_task", {"audio": jfk_mp3.as_uri()})

    assert word_error_rate(stack.xcom("transcribe_file_in_one_task", run_id, "transcribe", key="text")) == 0
    assert stack.xcom("transcribe_file_in_one_task", run_id, "use_text") == {"words": 22}


def test_mapped_waits_keep_their_results_apart(stack, run_dag, jfk_mp3, recording_url):
    run_id = run_dag("mapped_output", {"audio": [str(jfk_mp3), recording_url]})

    texts = stack.xcom("mapped_output", run_id, "join")
    assert [word_error_rate(text) for text in texts] == [0, 0]
    ids = {
        stack.xcom("mapped_output", run_id, "wait", map_index=index)["generation_id"] for index in range(2)
    }
    assert len(ids) == 2


def test_the_text_can_be_passed_on_by_its_key(stack, run_dag, recording_url):
    run_id = run_dag("output_key", {"audio": recording_url})

    assert word_error_rate(stack.xcom("output_key", run_id, "echo")) == 0


NAMES = ("other/x.mp3", "talks/x.mp3", "talks/x.wav")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """Return an inbox with three recordings, and an empty folder for their transcripts."""
    inbox = tmp_path_factory.mktemp("inbox")
    for name in NAMES:
        (inbox / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / "demo" / "recordings" / "jfk.mp3", inbox / name)
    (inbox / "notes.txt").write_text("not a recording")
    (inbox / "empty.mp3").touch()
    return inbox, tmp_path_factory.mktemp("transcripts")


@pytest.fixture
def conf(folders) -> dict[str, Any]:
    inbox, transcripts = folders
    return {"inbox": inbox.as_uri(), "transcripts": transcripts.as_uri(), "settle_seconds": 1}


class TestIngestion:
    """The tests of this class share their folders and build on each other, in this order."""

    def test_each_recording_gets_a_transcript_of_its_own(self, server, folders, conf, run_dag):
        before = submissions(server)

        run_dag("ingest_folder", conf)

        found = sorted(path for path in folders[1].rglob("*") if path.is_file())
        assert [str(path.relative_to(folders[1])) for path in found] == [f"{name}.json" for name in NAMES]
        documents = [json.loads(path.read_text()) for path in found]
        assert [word_error_rate(document["text"]) for document in documents] == [0, 0, 0]
        assert [document["audio"] for document in documents] == [
            (folders[0] / name).as_uri() for name in NAMES
        ]
        assert len({document["generation_id"] for document in documents}) == 3
        assert submissions(server) == before + 3

    def test_a_second_run_changes_nothing(self, server, stack, folders, conf, run_dag):
        before = submissions(server), {path: path.stat().st_mtime_ns for path in folders[1].rglob("*.json")}

        run_id = run_dag("ingest_folder", conf)

        after = submissions(server), {path: path.stat().st_mtime_ns for path in folders[1].rglob("*.json")}
        assert len(before[1]) == 3
        assert after == before
        assert stack.xcom("ingest_folder", run_id, "find_new") == []

    def test_one_bad_recording_keeps_no_other_from_being_saved(self, stack, folders, conf):
        inbox, transcripts = folders
        shutil.copy(inbox / "talks" / "x.mp3", inbox / "new.mp3")
        (inbox / "bad.mp3").write_text("This is not audio. " * 100)

        with growing(inbox / "arriving.mp3"):
            run_id = stack.trigger("ingest_folder", conf)
            assert stack.wait("ingest_folder", run_id, RUN_SECONDS) == "failed"

        assert word_error_rate(json.loads((transcripts / "new.mp3.json").read_text())["text"]) == 0
        assert not (transcripts / "bad.mp3.json").exists()
        taken = [Path(one["audio"]).name for one in stack.xcom("ingest_folder", run_id, "find_new")]
        assert taken == ["bad.mp3", "new.mp3"]


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
