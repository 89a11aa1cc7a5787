"""The client and the local server against each other, over real HTTP."""

import threading

import pytest

from airflow_provider_laplas.client import LaplasClient
from airflow_provider_laplas.errors import (
    LaplasAuthenticationError,
    LaplasGenerationFailedError,
    LaplasGenerationGoneError,
    LaplasValidationError,
)
from airflow_provider_laplas.local.app import create_app
from airflow_provider_laplas.local.running import bind, serve_in_thread, url_of
from airflow_provider_laplas.local.settings import Settings
from tests.local.conftest import KEY, UNKNOWN, wav
from tests.patience import PATIENCE


@pytest.fixture
def serve(data_dir, engine):
    """Serve the API with the stub engine, by the clock on the wall."""

    def serve(**settings):
        settings = {
            "keys": frozenset({KEY}),
            "data_dir": data_dir,
            "allow_private_urls": True,
        } | settings
        return serve_in_thread(create_app(Settings(**settings), engine))

    return serve


def connect(url, key=KEY):
    """Return a client that has to find out for itself what the server calls an upload."""
    return LaplasClient(key, url, part_names={})


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "tone.wav"
    path.write_bytes(wav())
    return path


def test_an_upload_comes_back_as_a_transcript(serve, recording):
    with serve() as url, connect(url) as client:
        assert client.check() == (True, "The API answers and accepts the key.")
        transcript = client.wait(
            client.submit(recording, options={"utterances": True}), poll_interval=0.1
        ).transcript()
    assert transcript.text == "Hello, world."
    assert [word.text for word in transcript.words] == ["Hello,", "world."]
    assert [segment.text for segment in transcript.segments]
    assert transcript.duration == pytest.approx(1.0)
    assert transcript.model == "whisper-medium"


def test_the_legacy_call_returns_the_same_transcript(serve, recording):
    with serve() as url, connect(url) as client:
        assert client.transcribe(recording).text == "Hello, world."


def test_a_server_that_wants_the_other_part_name_gets_it(serve, recording):
    with serve(upload_parts=("file",)) as url, connect(url) as client:
        assert client.wait(client.submit(recording), poll_interval=0.1).transcript().text == "Hello, world."


def test_what_the_server_refuses_is_a_typed_error_with_the_field_and_the_request_id(serve, recording):
    with serve() as url, connect(url) as client:
        with pytest.raises(LaplasValidationError) as caught:
            client.submit(recording, options={"diarize": True})
        assert caught.value.field == "diarize"
        assert caught.value.request_id
        with pytest.raises(LaplasGenerationGoneError):
            client.fetch(UNKNOWN)
        with connect(url, key="another-key") as stranger, pytest.raises(LaplasAuthenticationError):
            stranger.submit(recording)


def test_what_is_not_audio_is_a_failed_generation_with_the_reason(serve, tmp_path):
    (tmp_path / "notes.txt").write_text("no audio at all")
    with (
        serve() as url,
        connect(url) as client,
        pytest.raises((LaplasGenerationFailedError, LaplasValidationError), match="audio"),
    ):
        client.wait(client.submit(tmp_path / "notes.txt"), poll_interval=0.1)


def test_a_wait_outlasts_a_restart_of_the_server(data_dir, engine, recording):
    settings = Settings(keys=frozenset({KEY}), data_dir=data_dir)
    probe = bind("127.0.0.1", 0)
    port = int(url_of(probe).rsplit(":", 1)[1])
    probe.close()
    engine.open.clear()
    texts = []
    with serve_in_thread(create_app(settings, engine), port=port) as url, connect(url) as client:
        generation_id = client.submit(recording)
        assert engine.entered.wait(60)

    def wait():
        texts.append(client.wait(generation_id, timeout=PATIENCE, poll_interval=0.1).transcript().text)

    waiting = threading.Thread(target=wait)
    waiting.start()
    engine.open.set()
    with serve_in_thread(create_app(settings, engine), port=port):
        waiting.join()
    assert texts == ["Hello, world."]
