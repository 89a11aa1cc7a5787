"""The key, signed queries, passwords and transcripts: not in the log, not in errors, not left on disk."""

import logging
import sqlite3
from pathlib import Path

import pytest
import requests

from airflow_provider_laplas.local.engine import Heard
from airflow_provider_laplas.local.settings import Settings
from tests.local.conftest import KEY, MODEL, Api, StubEngine, eventually, spooled, wav
from tests.patience import PATIENCE

SECRETS = (KEY, "canary-wrong-key", "canary-signature", "canary-password", "canary-path", "canary-file")
SPEECH = "canary-transcript"


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.fixture
def used(serve, log, origin, data_dir: Path) -> Path:
    """The data folder of a server that was used in every way, well and badly."""
    engine = StubEngine(words=(Heard(f" {SPEECH}", 0.0, 0.5, 0.9),))
    api: Api = serve(engine, allow_private_urls=True)
    host = origin.url.removeprefix("http://")
    origin.pages |= {"/a.wav": (200, {}, wav()), "/r": (302, {"Location": "/gone?canary-signature"}, b"")}
    for path in ("/a.wav", "/r", "/gone"):
        api.end(api.post(url=f"http://user:canary-password@{host}{path}?sig=canary-signature"))
        api.post(path="", url=f"http://user:canary-password@{host}{path}?sig=canary-signature")
    ids = [api.upload(wav()).json()["generation_id"] for _ in range(2)]
    eventually(lambda: all(api.status(generation_id) == "completed" for generation_id in ids))
    assert SPEECH in api.get(ids[0]).text
    bad = [
        api.post(url="ftp://user:canary-password@host/?canary-signature"),
        api.post(url=f"http://user:canary-password@{host}/?canary-signature", model="canary-path"),
        requests.post(f"{api.url}/v1/stt/create?canary-signature", timeout=PATIENCE),
        requests.get(f"{api.url}/v1/stt/canary-path?canary-signature", headers=api.headers, timeout=PATIENCE),
        requests.get(f"{api.url}/canary-path?canary-signature", timeout=PATIENCE),
        requests.get(
            f"{api.url}/v1/stt/{ids[0]}", headers={"Authorization": "Bearer canary-wrong-key"}, timeout=10
        ),
        requests.post(
            f"{api.url}/v1/stt/create",
            headers=api.headers,
            data={"model": MODEL, "language": "canary-password"},
            files={"audio": ("canary-file", wav())},
            timeout=PATIENCE,
        ),
    ]
    for response in bad:
        assert response.status_code >= 400
        message = response.json()["message"]
        assert not any(secret in message for secret in SECRETS)
    engine.failure = RuntimeError(f"it stumbled over {SPEECH} and canary-signature")
    assert SPEECH not in api.error(api.upload(wav()))["message"]
    eventually(lambda: not spooled(data_dir))
    return data_dir


def test_the_log_holds_no_secret_and_no_speech(used: Path, log):
    records = log.get_records("setup")
    ours = [record for record in records if record.name.startswith("airflow_provider_laplas")]
    assert any("POST /v1/stt/create 201" in record.getMessage() for record in ours)
    assert any("completed" in record.getMessage() for record in ours)
    # The test's own client logs what it asks for.
    told = "\n".join(
        logging.Formatter().format(record) for record in records if not record.name.startswith("urllib3")
    )
    for secret in (*SECRETS, SPEECH):
        assert secret.lower() not in told.lower()


def test_the_disk_holds_no_secret_and_speech_only_in_results(used: Path):
    files = [path for path in used.rglob("*") if path.is_file()]
    assert any(path.name == "generations.sqlite3" for path in files)
    for path in files:
        content = path.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in content, path.name
        if not path.name.startswith("generations.sqlite3"):
            assert SPEECH.encode() not in content
    with sqlite3.connect(used / "generations.sqlite3") as database:
        rows = database.execute("SELECT id, status, body, error FROM generations").fetchall()
    assert len(rows) >= 5
    assert SPEECH not in repr(rows)


def lines_of_requests(log):
    return [record.getMessage() for record in log.records if record.name.endswith(".wire")]


def test_a_request_is_one_line_with_method_path_status_and_time(serve, log):
    api = serve()
    generation_id = api.upload(wav()).json()["generation_id"]
    api.get(generation_id)

    # The line is written when the answer is out.
    eventually(lambda: len(lines_of_requests(log)) == 2)
    lines = lines_of_requests(log)
    assert lines[1].startswith(f"GET /v1/stt/{generation_id} 200 ")
    assert " ms, request " in lines[1]


def test_the_settings_do_not_show_their_keys(tmp_path: Path):
    assert KEY not in repr(Settings(keys=frozenset({KEY}), data_dir=tmp_path))


def test_a_method_that_a_client_made_up_is_not_logged(serve, log):
    api = serve()
    requests.request("CANARY", f"{api.url}/health", timeout=PATIENCE)
    requests.request("PROPFIND", f"{api.url}/health", timeout=PATIENCE)

    eventually(lambda: bool(lines_of_requests(log)))
    lines = lines_of_requests(log)
    assert all(line.startswith("(method) ") for line in lines)
