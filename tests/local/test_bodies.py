"""Request bodies: what is refused, with which words, and that the server goes on."""

import errno
import http.client
import os
import shutil
import socket
from pathlib import Path

import pytest
import requests

from airflow_provider_laplas.local.store import Store
from tests.local.conftest import MODEL, Api, StubEngine, assert_error, eventually, spooled, wav
from tests.patience import PATIENCE


@pytest.fixture(autouse=True)
def _the_server_goes_on(request):
    api = request.getfixturevalue("api" if "api" in request.fixturenames else "shared_api")
    yield
    assert api.result(api.upload(wav()))


def send(api: Api, body, content_type: str, path: str = "/v1/stt/create") -> requests.Response:
    headers = api.headers | {"Content-Type": content_type}
    return requests.post(api.url + path, data=body, headers=headers, timeout=PATIENCE)


def test_neither_url_nor_file_has_the_apis_message(shared_api: Api):
    assert shared_api.post().json()["message"] == "One of url or file is required"
    response = requests.post(
        f"{shared_api.url}/v1/stt/create",
        headers=shared_api.headers,
        files={"model": (None, MODEL)},
        timeout=PATIENCE,
    )
    assert_error(response, 400)
    assert response.json()["message"] == "One of url or file is required"


def test_both_url_and_file_are_refused(shared_api: Api):
    assert_error(shared_api.upload(wav(), url="https://example.com/a.mp3"), 400, "Only one of url or file")


@pytest.mark.parametrize("model", ["#g1_nova-2-general", "#g1_whisper-huge", "", "whisper"])
def test_an_unknown_model_is_refused_by_name_of_the_field(shared_api: Api, model: str):
    assert_error(shared_api.upload(wav(), model=model), 400, "model")
    assert_error(shared_api.post(model=model, url="https://example.com/a.mp3"), 400, "model")


def test_a_missing_model_is_refused_by_name_of_the_field(api: Api):
    assert_error(send(api, b'{"url": "https://example.com/a.mp3"}', "application/json"), 400, "model")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("paragraphs", "yes please"),
        ("punctuate", 1),
        ("utt_split", -1),
        ("utt_split", "soon"),
        ("tag", "one"),
        ("custom_topic_mode", "loose"),
        ("language", "English please"),
        ("keywords", ["a"]),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_by_name(shared_api: Api, option: str, value):
    assert_error(shared_api.post(url="https://example.com/a.mp3", **{option: value}), 400, option)


def test_all_wrong_fields_are_named_at_once(shared_api: Api):
    response = shared_api.post(model="x", url="ftp://example.com/a.mp3", paragraphs="x")

    assert_error(response, 400, "model", "url", "paragraphs")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff\xfe", b"[" * 5000, b'{"model": NaN}'])
def test_a_body_that_is_not_a_json_object_is_refused(shared_api: Api, body: bytes):
    assert_error(send(shared_api, body, "application/json"), 400, "Body validation error")


def test_another_content_type_is_refused(api: Api):
    assert_error(send(api, b"<model/>", "text/xml"), 415, "application/json or multipart/form-data")


def test_an_empty_file_is_refused(shared_api: Api):
    assert_error(shared_api.upload(b""), 400, "file", "empty")


@pytest.mark.parametrize(
    "content", [b"Dear diary, " * 1000, os.urandom(50_000), b"\x89PNG\r\n\x1a\n" + bytes(100), b"RIFF"]
)
def test_a_file_that_is_not_audio_ends_as_an_error_that_says_so(shared_api: Api, content: bytes):
    error = shared_api.error(shared_api.upload(content))

    assert error["name"] == "AudioError"
    assert "not audio" in error["message"]


def test_a_truncated_mp3_ends_as_an_error_that_says_so(api: Api, jfk_mp3: Path):
    content = jfk_mp3.read_bytes()

    error = api.error(api.upload(content[: len(content) // 2]))

    assert error["name"] == "AudioError"
    assert "cut short" in error["message"]


def test_a_truncated_wav_ends_as_an_error_that_says_so(api: Api):
    content = wav(10)

    assert "cut short" in api.error(api.upload(content[: len(content) // 2]))["message"]


def test_damage_short_of_that_is_recorded_as_a_warning(api: Api, jfk_mp3: Path):
    content = bytearray(jfk_mp3.read_bytes())
    content[40_000:40_400] = os.urandom(400)

    [warning] = api.result(api.upload(bytes(content)))["metadata"]["warnings"]

    assert (warning["parameter"], warning["type"]) == ("audio", "damaged")


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {path}\n",
        "ffconcat version 1.0\nfile 'file:{path}'\n",
    ],
)
def test_a_playlist_cannot_make_the_server_open_another_file(
    api: Api, engine: StubEngine, playlist: str, jfk_mp3: Path
):
    error = api.error(api.upload(playlist.format(path=jfk_mp3).encode()))

    assert error["name"] == "AudioError"
    assert not engine.asked


@pytest.mark.parametrize("name", ["../../escape", "/etc/passwd", "a\x00b", "con\\..\\x"])
def test_a_clients_file_name_is_never_used_as_a_path(api: Api, name: str, data_dir: Path):
    boundary = "xxxx"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{MODEL}\r\n--{boundary}\r\n'
        f'Content-Disposition: form-data; name="audio"; filename="{name}"\r\n\r\n'
    ).encode()
    body += wav() + f"\r\n--{boundary}--\r\n".encode()
    before = {path.name for path in data_dir.iterdir()} | {path.name for path in data_dir.parent.iterdir()}

    assert api.result(send(api, body, f"multipart/form-data; boundary={boundary}"))
    assert {path.name for path in data_dir.iterdir()} | {
        path.name for path in data_dir.parent.iterdir()
    } <= before | {
        "generations.sqlite3-wal",
        "generations.sqlite3-shm",
    }


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\ncut", "multipart/form-data; boundary=b"),
        (b"", "multipart/form-data; boundary=b"),
        (b"anything", "multipart/form-data; boundary=b"),
        (b"anything", "multipart/form-data"),
        (b"--b\r\n\r\nno name\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"x", "multipart/form-data; boundary=" + "b" * 500),
    ],
)
def test_a_malformed_form_is_refused(shared_api: Api, body: bytes, content_type: str):
    assert_error(send(shared_api, body, content_type), 400, "form is malformed or cut short")


def test_two_recordings_in_one_form_are_refused(api: Api, data_dir: Path):
    response = requests.post(
        f"{api.url}/v1/stt/create",
        headers=api.headers,
        data={"model": MODEL},
        files=[("audio", wav()), ("file", wav())],
        timeout=PATIENCE,
    )

    assert_error(response, 400, "only one recording")
    assert not spooled(data_dir)


def test_a_field_given_twice_is_refused_by_name(api: Api):
    assert_error(api.upload(wav(), language=["en", "de"]), 400, "language")


def test_a_list_option_repeats_its_field(api: Api):
    assert api.result(api.upload(wav(), tag=["one", "two"]))["metadata"]["tags"] == ["one", "two"]


class TestSizes:
    LIMIT = 100_000

    @pytest.fixture
    def api(self, serve) -> Api:
        return serve(max_upload=self.LIMIT, max_fields=2_000)

    def test_a_file_over_the_limit_is_413_and_leaves_nothing_behind(self, api: Api, data_dir: Path):
        assert_error(api.upload(bytes(self.LIMIT + 1)), 413, "too large")
        assert not spooled(data_dir)

    def test_a_file_of_exactly_the_limit_is_taken(self, api: Api):
        padding = self.LIMIT - len(wav())
        assert api.upload(wav() + bytes(padding)).status_code == 201

    @pytest.mark.parametrize("name", ["audio", "something_else"])
    def test_the_limit_holds_without_a_content_length(self, api: Api, name: str):
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'.encode()

        def endless():
            yield head
            for _ in range(20):
                yield bytes(10_000)

        assert_error(send(api, endless(), "multipart/form-data; boundary=b"), 413, "too large")

    def test_a_declared_length_over_the_limit_is_413_before_anything_is_sent(self, api: Api):
        host = api.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        connection.putrequest("POST", "/v1/stt/create")
        for name, value in api.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Content-Length", str(10**12))
        connection.endheaders()

        assert connection.getresponse().status == 413
        connection.close()

    def test_a_file_under_another_name_counts_too(self, api: Api):
        response = api.upload(bytes(self.LIMIT + 5_000), part="something_else")

        assert_error(response, 413, "too large")

    def test_a_long_field_is_413(self, api: Api):
        assert_error(api.upload(wav(), keywords="x" * 3_000), 413, "too large")

    def test_a_long_json_body_is_413(self, api: Api):
        assert_error(api.post(url="https://example.com", keywords="x" * 3_000), 413, "too large")

        def chunks():
            for _ in range(10):
                yield b" " * 1_000

        assert_error(send(api, chunks(), "application/json"), 413, "too large")

    def test_a_recording_longer_than_allowed_ends_as_an_error(self, serve, data_dir: Path):
        api = serve(max_audio=1.5, data_dir=data_dir / "second")

        assert "longer than 1.5 s" in api.error(api.upload(wav(2)))["message"]
        assert (
            "longer than 1.5 s" in api.error(api.upload(wav(1, channels=2), multi_channel="true"))["message"]
        )
        assert api.result(api.upload(wav(1, channels=2)))


def test_a_body_that_does_not_arrive_in_time_is_408(serve, data_dir: Path):
    api = serve(upload_timeout=0.05, data_dir=data_dir / "second")
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=PATIENCE)
    connection.putrequest("POST", "/v1/stt/create")
    for name, value in (api.headers | {"Content-Type": "application/json", "Content-Length": "100"}).items():
        connection.putheader(name, value)
    connection.endheaders()

    assert connection.getresponse().status == 408
    connection.close()


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(api: Api, data_dir: Path, caplog):
    caplog.set_level("INFO", logger="airflow_provider_laplas.local")
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=PATIENCE)
    connection.putrequest("POST", "/v1/stt/create")
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": "100000"}
    for name, value in (api.headers | headers).items():
        connection.putheader(name, value)
    connection.endheaders(
        b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n' + bytes(5_000)
    )
    eventually(lambda: spooled(data_dir))
    connection.close()

    eventually(lambda: not spooled(data_dir))
    eventually(lambda: " 499 " in caplog.text)


@pytest.mark.parametrize("path", ["/create", ""])
def test_a_disk_without_room_is_503_before_the_recording_is_read(
    api: Api, path: str, data_dir: Path, monkeypatch
):
    room = shutil.disk_usage(data_dir)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room._replace(free=16 * 1024 * 1024))
    response = api.upload(wav(), path=path)
    monkeypatch.undo()

    assert_error(response, 503, "no room")
    assert not spooled(data_dir)


def test_a_disk_that_fills_up_meanwhile_is_503(api: Api, data_dir: Path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "add", full)
    response = api.upload(wav())
    monkeypatch.undo()

    assert_error(response, 503, "no room")
    assert not spooled(data_dir)


def test_a_form_of_very_many_fields_is_refused(shared_api: Api):
    fields = {f"field-{number}": "x" for number in range(200)}

    assert_error(shared_api.upload(wav(), **fields), 400, "malformed")


def test_a_refused_client_that_drips_on_is_cut_off(serve, data_dir: Path, monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.local.wire.LINGER_SECONDS", 0.1)
    api = serve(data_dir=data_dir / "second")
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        head = "POST /v1/stt/create HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        client.sendall(head.encode())
        answer = client.recv(4096).decode().lower()
        assert " 401 " in answer
        assert "connection: close" in answer

        def cut_off() -> bool:
            try:
                client.sendall(b"x")
            except OSError:
                return True
            return False

        eventually(cut_off)


def test_a_refused_client_that_has_sent_all_keeps_its_connection(shared_api: Api):
    with requests.Session() as session:
        response = session.post(
            f"{shared_api.url}/v1/stt/create", headers=shared_api.headers, json={}, timeout=10
        )
        polled = session.get(f"{shared_api.url}/v1/stt/none", timeout=PATIENCE)

    assert response.status_code == 400
    assert polled.status_code == 401
    assert "Connection" not in response.headers
    assert "Connection" not in polled.headers
