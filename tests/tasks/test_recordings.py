"""One task, one recording, which is submitted whole, as its audio alone, or in parts."""

import email
import email.policy
import shutil

import pytest

from airflow_provider_laplas.decorators import transcribe_task
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasBatchError, LaplasQualityError
from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeOperator
from airflow_provider_laplas.results import load_transcript
from tests import media_files
from tests.fake_api import TEXT, WORDS, reply, reset_after_body
from tests.paths import ROOT
from tests.tasks.batch.conftest import manifest_of, rewrite

SPEECH = ROOT / "demo" / "recordings" / "two_cities.ogg"
MEDIA = {"max_part_seconds": 20}
PARTS = 4


@pytest.fixture
def talk(tmp_path):
    return str(shutil.copy(SPEECH, tmp_path / "talk.ogg"))


@pytest.fixture
def film(tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(media_files.mp4(media_files.speech()))
    return file


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def transcribe(audio, out=None, **arguments):
    defaults = {
        "task_id": "transcribe",
        "results_path": out and str(out),
        "poke_interval": 1,
        "media": MEDIA,
        "defer_after": 0,
    }
    return TranscribeOperator(audio=str(audio), **(defaults | arguments))


def uploads_of(api):
    """The name and the bytes of each file that was submitted."""
    found = []
    for request in api.requests:
        if request.method == "POST":
            head = f"Content-Type: {request.headers['content-type']}\n\n".encode()
            form = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
            (part,) = [part for part in form.iter_parts() if part.get_filename()]
            found.append((part.get_filename(), part.get_payload(decode=True)))
    return found


def test_a_long_recording_is_submitted_in_parts_and_returned_as_one_transcript(api, dag, run_dag, talk, out):
    transcribe(talk, out, formats=["json", "vtt"])
    run = run_dag(dag)
    assert run.state == "success"
    result = run.xcom("transcribe")
    assert result["text"].split() == list(WORDS) * PARTS
    assert sorted(result["generation_ids"]) == sorted(api.generations)
    assert result["generation_id"] == result["generation_ids"][0]
    assert result["duration"] == pytest.approx(44.374)
    assert set(result["files"]) == {"json", "vtt"}
    assert run.xcom("transcribe", "usage")["billed_seconds"] == pytest.approx(PARTS * len(WORDS) / 2)
    transcript = load_transcript(result)
    assert len(transcript.words) == PARTS * len(WORDS)
    assert list(transcript.words) == sorted(transcript.words, key=lambda word: word.start)
    names = [name for name, _ in uploads_of(api)]
    assert sorted(names) == [f"talk.part{n}of{PARTS}.ogg" for n in range(1, PARTS + 1)]


def test_it_waits_in_the_worker_where_it_is_not_deferrable(api, dag, run_dag, talk, out):
    transcribe(talk, out, deferrable=False)
    assert run_dag(dag).xcom("transcribe")["text"].split() == list(WORDS) * PARTS


def test_a_clear_after_success_submits_nothing_and_returns_the_same(api, dag, run_dag, talk, out):
    transcribe(talk, out)
    first = run_dag(dag).xcom("transcribe")
    assert run_dag.clear(dag).xcom("transcribe") == first
    assert api.count("POST") == PARTS


def test_the_next_run_of_the_dag_transcribes_it_anew(api, dag, run_dag, talk, out):
    transcribe(talk, out)
    run_dag(dag)
    run_dag(dag)
    assert api.count("POST") == 2 * PARTS


def test_only_the_part_that_failed_is_submitted_again_by_a_clear(api, dag, run_dag, talk, out):
    transcribe(talk, out)
    api.script("GET", reply(200, {"status": "error", "error": {"message": "no speech"}}))
    run = run_dag(dag)
    assert run.state == "failed"
    assert isinstance(run.errors[0], LaplasBatchError)
    assert run_dag.clear(dag).xcom("transcribe")["text"].split() == list(WORDS) * PARTS
    assert api.count("POST") == PARTS + 1


def test_a_part_without_an_answer_fails_the_task_and_is_submitted_again_by_a_clear_only(
    api, dag, run_dag, talk, out
):
    transcribe(talk, out)
    api.script("POST", reset_after_body())
    assert run_dag(dag).state == "failed"
    assert api.count("POST") == PARTS
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == PARTS + 1


def test_of_parts_that_nobody_remembers_no_generation_is_made_up(api, dag, run_dag, talk, out):
    """As those that are found by their replies."""
    transcribe(talk, out)
    run_dag(dag)
    (folder,) = out.glob("talk.ogg-*")
    manifest = manifest_of(folder)
    for part in manifest.parts:
        part.generation_id = None
    rewrite(manifest)
    result = run_dag.clear(dag).xcom("transcribe")
    assert api.count("POST") == PARTS
    assert result["text"].split() == list(WORDS) * PARTS
    assert "None" not in [result["generation_id"], *result["generation_ids"]]


def test_its_checks_are_of_the_whole_and_a_clear_with_other_checks_pays_nothing(api, dag, run_dag, talk, out):
    operator = transcribe(talk, out, quality={"min_confidence": 0.99, "low_confidence": "fail"})
    run = run_dag(dag)
    assert isinstance(run.errors[0], LaplasQualityError)
    operator.quality = None
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == PARTS


def test_parts_need_a_folder_and_nothing_is_submitted_without_one(api, dag, run_dag, talk):
    transcribe(talk)
    run = run_dag(dag)
    assert isinstance(run.errors[0], LaplasArgumentError)
    assert "`results_path` must be set" in str(run.errors[0])
    assert api.count("POST") == 0


def test_what_is_within_the_limits_is_sent_as_it_is_and_needs_no_folder(api, dag, run_dag, talk):
    transcribe(talk, media={"max_part_seconds": 60})
    assert run_dag(dag).xcom("transcribe")["text"] == TEXT
    assert uploads_of(api) == [("talk.ogg", SPEECH.read_bytes())]


def test_of_a_film_only_its_sound_is_sent(api, dag, run_dag, film):
    transcribe(film, media={})
    assert run_dag(dag).xcom("transcribe")["text"] == TEXT
    ((name, content),) = uploads_of(api)
    assert name == "film.m4a"
    assert len(content) < film.stat().st_size


def test_a_retry_attaches_though_the_film_was_moved(api, dag, run_dag, film):
    transcribe(film, media={})
    run_dag(dag)
    film.rename(film.with_name("elsewhere.mp4"))
    assert run_dag.clear(dag).state == "success"
    assert api.count("POST") == 1


def test_submitting_alone_takes_the_sound_out_but_refuses_to_cut(api, dag, run_dag, film, talk):
    SubmitSTTOperator(task_id="film", audio=str(film), media={})
    SubmitSTTOperator(task_id="talk", audio=talk, media=MEDIA)
    run = run_dag(dag)
    assert (run.state_of("film"), run.state_of("talk")) == ("success", "failed")
    assert "in 4 parts" in str(run.errors[0])
    assert [name for name, _ in uploads_of(api)] == ["film.m4a"]


def test_a_file_that_is_no_recording_fails_before_anything_is_sent(api, dag, run_dag, tmp_path):
    (tmp_path / "notes.mp4").write_text("These are notes.")
    transcribe(tmp_path / "notes.mp4", media={"extract_audio": "always"})
    run = run_dag(dag)
    assert "is not a media file" in str(run.errors[0])
    assert api.count("POST") == 0


def test_the_limits_of_the_connection_hold_where_the_task_sets_none(
    api, dag, run_dag, talk, out, monkeypatch
):
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", api.connection(max_part_seconds=20))
    transcribe(talk, out, media={})
    run_dag(dag)
    assert api.count("POST") == PARTS


def test_the_replies_of_the_parts_are_kept_unchanged(api, dag, run_dag, talk, out):
    transcribe(talk, out)
    result = run_dag(dag).xcom("transcribe")
    parts = load_transcript(result).raw["parts"]
    assert [part["generation_id"] for part in parts] == result["generation_ids"]
    assert all(part["reply"]["status"] == "completed" for part in parts)


def test_settings_are_checked_when_the_dag_is_parsed():
    with pytest.raises(LaplasArgumentError) as caught:
        transcribe("a.mp4", media={"codec": "mp3"})
    assert caught.value.argument == "media.codec"
    with pytest.raises(LaplasArgumentError, match="has no setting `max_size`"):
        transcribe("a.mp4", media={"max_size": 1})


def test_the_recording_of_a_decorated_function_is_submitted_in_parts_too(api, dag, run_dag, talk, out):
    @transcribe_task(results_path=str(out), media=MEDIA, poke_interval=0.1, defer_after=0)
    def find():
        return talk

    find()
    run = run_dag(dag)
    assert run.xcom("find")["text"].split() == list(WORDS) * PARTS
    assert run_dag.clear(dag).xcom("find") == run.xcom("find")
    assert api.count("POST") == PARTS


def test_each_mapped_task_has_the_parts_of_its_own_recording(api, dag, run_dag, talk, film, out):
    TranscribeOperator.partial(
        task_id="transcribe", results_path=str(out), media=MEDIA, poke_interval=1
    ).expand(audio=[talk, str(film)])
    run = run_dag(dag)
    texts = [run.xcom("transcribe", map_index=index)["text"].split() for index in range(2)]
    assert texts == [list(WORDS) * PARTS, list(WORDS) * (api.count("POST") - PARTS)]
