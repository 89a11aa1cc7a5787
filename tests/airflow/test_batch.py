"""Many files, and many parts of one, in one task of a real Airflow, with the real model."""

import json
import shutil

import numpy as np

from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.transcript import Transcript
from tests.media_files import decoded, mp4
from tests.paths import ROOT
from tests.speech import TWO_CITIES, word_error_rate


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


def test_a_film_is_transcribed_in_parts_and_its_words_have_the_times_of_the_film(
    run_dag, stack, server, tmp_path
):
    sound = decoded((ROOT / "demo" / "recordings" / "two_cities.ogg").read_bytes())
    film = tmp_path / "film.mp4"
    film.write_bytes(mp4(sound))
    before = server.submissions
    run_id = run_dag("film_in_parts", {"film": str(film), "results": str(tmp_path / "results")})
    result = stack.xcom("film_in_parts", run_id, "transcribe")
    assert server.submissions - before == len(result["generation_ids"]) == 4
    assert word_error_rate(result["text"], TWO_CITIES) < 0.05
    transcript = load_transcript(result)
    starts = [word.start for word in transcript.words]
    assert starts == sorted(starts)
    assert 40 < starts[-1] < transcript.duration < 46
    # Where a word is said, it is not silent.
    loud = np.abs(sound.astype(float)).reshape(-1)
    rate = len(loud) / transcript.duration
    said = [loud[int(word.start * rate) : int(word.end * rate) + 1].max() for word in transcript.words]
    assert np.mean(np.array(said) > 0.02 * loud.max()) > 0.97
