"""Many files in one task of a real Airflow, with the real model."""

import json
import shutil

from airflow_provider_laplas.transcript import Transcript
from tests.speech import word_error_rate


def test_a_folder_is_transcribed_in_one_task_and_a_second_run_submits_nothing(
    run_dag, stack, server, jfk_mp3, tmp_path
):
    inbox, results = tmp_path / "inbox", tmp_path / "results"
    (inbox / "talks").mkdir(parents=True)
    shutil.copy(jfk_mp3, inbox / "a.mp3")
    # Other bytes, and the same words: a trailing tag.
    (inbox / "talks" / "b.mp3").write_bytes(jfk_mp3.read_bytes() + b"TAG" + bytes(125))
    (inbox / "broken.mp3").write_bytes(b"this is no audio")
    conf = {"inbox": inbox.as_uri(), "results": results.as_uri()}

    run_id = run_dag("batch_of_a_folder", conf)
    summary = stack.xcom("batch_of_a_folder", run_id, "transcribe")
    assert (summary["completed"], summary["failed"]) == (2, 1)
    for name in ("a.mp3.json", "talks/b.mp3.json"):
        transcript = Transcript.from_reply(json.loads((results / name).read_text()))
        assert word_error_rate(transcript.text) == 0
    submitted = server.submissions

    run_id = run_dag("batch_of_a_folder", conf)
    assert stack.xcom("batch_of_a_folder", run_id, "transcribe") == summary | {"new": 0, "new_failed": 0}
    assert server.submissions == submitted
