"""The endpoints: submit, fetch, the legacy call, the key, the error bodies."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import requests

from tests.clock import Clock
from tests.local.conftest import (
    KEY,
    MODEL,
    UNKNOWN,
    Api,
    StubEngine,
    assert_error,
    count_generations,
    eventually,
    spooled,
    wav,
)
from tests.patience import PATIENCE


def test_an_upload_is_answered_with_a_new_uuid_and_ends_completed(api: Api):
    submitted = api.upload(wav())

    assert submitted.status_code == 201
    assert str(uuid.UUID(submitted.json()["generation_id"])) == submitted.json()["generation_id"]
    assert api.end(submitted)["status"] == "completed"


def test_a_reply_has_the_apis_first_shape_complete(api: Api, clock: Clock):
    audio = wav(2.0)
    submitted = api.upload(audio)
    reply = api.result(submitted)

    metadata = reply["metadata"]
    assert metadata["request_id"] == submitted.json()["generation_id"]
    assert metadata["transaction_key"]
    assert metadata["sha256"] == hashlib.sha256(audio).hexdigest()
    assert metadata["duration"] == pytest.approx(2.0, abs=0.01)
    assert metadata["channels"] == 1
    assert datetime.fromisoformat(metadata["created"]).timestamp() == clock.now
    [model_id] = metadata["models"]
    assert metadata["model_info"] == {
        model_id: {"name": "whisper-medium", "version": "stub 1", "arch": "whisper"}
    }
    assert "warnings" not in metadata
    [channel] = reply["results"]["channels"]
    [alternative] = channel["alternatives"]
    assert alternative == {
        "transcript": "Hello, world.",
        "confidence": pytest.approx(0.8),
        "words": [
            {"word": "hello", "start": 0.0, "end": 0.4, "confidence": 0.9, "punctuated_word": "Hello,"},
            {"word": "world", "start": 0.5, "end": 0.9, "confidence": 0.7, "punctuated_word": "world."},
        ],
    }


@pytest.mark.parametrize("part", ["audio", "file"])
def test_the_recording_may_come_under_either_part_name(api: Api, part: str):
    assert api.result(api.upload(wav(), part=part))


def test_a_server_that_takes_only_file_answers_audio_as_the_live_one_did(serve):
    api = serve(upload_parts=("file",))

    assert_error(api.upload(wav(), part="audio"), 400, "One of url or file is required")
    assert api.result(api.upload(wav(), part="file"))


def test_the_legacy_call_answers_with_the_reply_itself(api: Api):
    response = api.upload(wav(), path="")

    assert response.status_code == 200
    assert response.json()["results"]["channels"][0]["alternatives"][0]["transcript"] == "Hello, world."


def test_the_legacy_call_times_out_with_the_apis_message_and_keeps_nothing(
    serve, engine: StubEngine, data_dir
):
    engine.open.clear()
    api = serve(legacy_timeout=0.05)

    assert_error(api.upload(wav(), path=""), 504, "Generation timeout")
    assert not spooled(data_dir)


def test_the_legacy_call_tells_why_a_recording_fails(api: Api):
    assert_error(api.upload(b"no audio at all", path=""), 400, "not audio")


def test_the_legacy_call_answers_500_where_the_server_is_at_fault(api: Api, engine: StubEngine):
    engine.failure = RuntimeError("out of something")

    assert_error(api.upload(wav(), path=""), 500, "Something wrong with the server")


@pytest.mark.parametrize(
    "header",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}, {"Authorization": "Bearer"}],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/stt/create"), ("POST", "/v1/stt"), ("GET", f"/v1/stt/{UNKNOWN}")]
)
def test_nothing_is_done_without_the_key(api: Api, engine: StubEngine, header, method: str, path: str):
    response = requests.request(
        method, api.url + path, headers=header, json={"model": MODEL}, timeout=PATIENCE
    )

    assert_error(response, 401, "API key")
    assert not engine.asked


def test_every_key_of_the_settings_is_accepted(serve):
    api = serve(keys=frozenset({"first", "second"}))
    for key in ("first", "second"):
        api.headers = {"Authorization": f"Bearer {key}"}
        assert api.post().status_code == 400


def test_health_needs_no_key(api: Api):
    assert requests.get(f"{api.url}/health", timeout=PATIENCE).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "generation_id",
    [UNKNOWN, "RlLz0hRdAs9voL5Qi1Pzr", "..%5C..%5Cetc%5Cpasswd", "%00", "'%20OR%201"],
)
def test_an_unknown_id_is_not_found(shared_api: Api, generation_id: str):
    response = shared_api.get(generation_id)

    assert response.status_code == 404
    assert response.json()["message"].startswith("Generation not found")


def test_an_id_with_an_encoded_slash_is_no_id(shared_api: Api):
    response = shared_api.get("..%2F..%2Fetc%2Fpasswd")

    assert (response.status_code, response.json()["message"]) == (404, "Not Found")


def test_an_unknown_path_has_the_apis_error_body_without_its_query(api: Api):
    response = requests.get(f"{api.url}/v2/nothing?token=secret", timeout=PATIENCE)

    assert_error(response, 404, "Not Found")
    assert "secret" not in response.text


def test_a_wrong_method_has_the_apis_error_body_and_the_right_ones(api: Api):
    response = requests.put(f"{api.url}/v1/stt/create", timeout=PATIENCE)

    assert_error(response, 405, "Method Not Allowed")
    assert response.headers["Allow"] == "POST"


def test_each_request_has_an_id_of_its_own(api: Api):
    assert api.get("x").json()["requestId"] != api.get("x").json()["requestId"]


def test_a_failure_nobody_foresaw_is_a_500_with_the_apis_error_body(api: Api, monkeypatch):
    def broken(*args):
        raise RuntimeError("a secret")

    monkeypatch.setattr("airflow_provider_laplas.local.store.Store.get", broken)
    response = api.get(str(uuid.uuid4()))

    assert_error(response, 500, "Something wrong with the server. Please, try again later.")
    assert "secret" not in response.text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_loads_scripts_from_elsewhere(shared_api: Api, path: str):
    assert requests.get(shared_api.url + path, timeout=PATIENCE).status_code == 404
    assert requests.get(f"{shared_api.url}/openapi.json", timeout=PATIENCE).ok


class TestLegacyCall:
    """What becomes of the blocking call where it gets no reply."""

    def test_a_client_that_leaves_is_not_worked_for(self, api: Api, engine: StubEngine, data_dir, caplog):
        caplog.set_level("INFO", logger="airflow_provider_laplas.local")
        engine.open.clear()
        with pytest.raises(requests.Timeout):
            requests.post(
                f"{api.url}/v1/stt",
                headers=api.headers,
                data={"model": MODEL},
                files={"audio": wav()},
                timeout=0.3,
            )

        eventually(lambda: not count_generations(data_dir) and not spooled(data_dir))
        eventually(lambda: "POST /v1/stt 499" in caplog.text)

    def test_a_server_that_stops_answers_503_and_keeps_nothing(
        self, running, engine: StubEngine, data_dir, caplog, monkeypatch
    ):
        caplog.set_level("INFO")
        monkeypatch.setattr("airflow_provider_laplas.local.running.GRACE_SECONDS", 0)
        engine.open.clear()
        with ThreadPoolExecutor() as pool:
            with running() as api:
                answer = pool.submit(api.upload, wav(), path="")
                assert engine.entered.wait(10)
            assert_error(answer.result(10), 503, "stopping")

        assert count_generations(data_dir) == 0
        assert not spooled(data_dir)
        assert "POST /v1/stt 503" in caplog.text
        assert "Traceback" not in caplog.text

    @pytest.mark.parametrize("queued", [False, True])
    def test_a_generation_that_expires_is_gone(
        self, api: Api, engine: StubEngine, clock: Clock, data_dir, queued: bool
    ):
        engine.open.clear()
        if queued:
            api.upload(wav())
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(api.upload, wav(), path="")
            eventually(lambda: count_generations(data_dir) == 1 + queued)
            assert engine.entered.wait(10)
            clock.now += 3600
            assert_error(answer.result(10), 404, "expired")

    def test_a_failure_is_not_kept(self, api: Api, engine: StubEngine, data_dir):
        assert_error(api.upload(b"no audio", path=""), 400)
        assert_error(api.upload(wav(), path="", diarize="true"), 400)
        assert count_generations(data_dir) == 0
