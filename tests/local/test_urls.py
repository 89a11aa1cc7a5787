"""Recordings behind URLs: fetched with care, refused with a reason."""

import errno
import gzip
import threading

import pytest
import requests

from airflow_provider_laplas.local import download
from tests.local.conftest import Api, StubEngine, assert_error, eventually, spooled, wav
from tests.patience import PATIENCE


@pytest.fixture
def near(serve) -> Api:
    """A server that may fetch from this machine."""
    return serve(allow_private_urls=True, max_download=100_000, max_redirects=3)


def redirect(target: str):
    return 302, {"Location": target}, b""


def test_a_recording_is_fetched_with_its_query_and_transcribed(near: Api, origin, data_dir):
    origin.pages["/a.wav"] = 200, {}, wav()
    result = near.result(near.post(url=f"{origin.url}/a.wav?X-Signature=abc&b=%2F"))

    assert result["metadata"]["duration"] == 1.0
    assert origin.asked == ["/a.wav?X-Signature=abc&b=%2F"]
    eventually(lambda: not spooled(data_dir))


def test_a_url_is_gone_from_disk_as_soon_as_it_has_been_used(near: Api, origin, engine: StubEngine, data_dir):
    origin.pages["/a.wav"] = 200, {}, wav()
    engine.open.clear()
    near.post(url=f"{origin.url}/a.wav?X-Signature=abc")

    assert engine.entered.wait(10)
    assert [path.suffix for path in spooled(data_dir)] == [".audio"]


def test_redirects_are_followed(near: Api, origin):
    origin.pages |= {"/1": redirect("/2"), "/2": redirect(f"{origin.url}/a.wav"), "/a.wav": (200, {}, wav())}

    assert near.result(near.post(url=f"{origin.url}/1"))


def test_the_url_may_come_in_a_form(near: Api, origin):
    origin.pages["/a.wav"] = 200, {}, wav()

    submitted = requests.post(
        f"{near.url}/v1/stt/create",
        headers=near.headers,
        files={"model": (None, "#g1_whisper-tiny"), "url": (None, f"{origin.url}/a.wav")},
        timeout=PATIENCE,
    )
    assert near.result(submitted)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (redirect("/a"), "redirects more than 3 times"),
        (redirect("file:///etc/passwd"), "not an http(s) URL"),
        (redirect("ftp://example.com/a.mp3"), "not an http(s) URL"),
        ((404, {}, b""), "status 404"),
        ((503, {}, b""), "status 503"),
        ((200, {}, b""), "empty"),
        ((200, {}, bytes(100_001)), "larger than 100000 bytes"),
        ((200, {"Content-Length": ""}, bytes(100_001)), "larger than 100000 bytes"),
        ((200, {"Content-Length": "10"}, b"12345"), "cut before the end"),
        ((200, {"Content-Length": "100001"}, b""), "larger than 100000 bytes"),
        # It is counted, and judged, as it comes.
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(10**6))), "not audio"),
    ],
    ids=[
        "loop",
        "file",
        "ftp",
        "404",
        "503",
        "empty",
        "big",
        "big-undeclared",
        "cut",
        "big-declared",
        "compressed",
    ],
)
def test_what_a_url_does_wrong_ends_as_an_error_that_says_so(near: Api, origin, page, reason: str):
    origin.pages["/a"] = page

    error = near.error(near.post(url=f"{origin.url}/a?token=secret"))
    assert error["name"] == ("AudioError" if reason == "not audio" else "DownloadError")
    assert reason in error["message"]
    assert "secret" not in error["message"]
    origin.pages["/good"] = 200, {}, wav()
    assert near.result(near.post(url=f"{origin.url}/good"))


def test_a_page_that_is_not_audio_ends_as_an_error_that_says_so(near: Api, origin):
    origin.pages["/a"] = 200, {"Content-Type": "text/html"}, b"<html>Log in, please</html>"

    assert "not audio" in near.error(near.post(url=f"{origin.url}/a"))["message"]


def test_a_host_that_does_not_answer_ends_as_an_error_that_says_so(near: Api, origin):
    origin.server_close()

    assert "cannot be reached" in near.error(near.post(url=f"{origin.url}/a"))["message"]


def test_a_host_that_falls_silent_ends_as_an_error_that_says_so(serve, origin):
    api = serve(allow_private_urls=True, download_timeout=0.2)
    origin.pages["/a"] = 200, {"Content-Length": "1000"}, b"begin"
    hold = threading.Event()
    original = origin.finish_request

    def finish(*args):
        original(*args)
        hold.wait(30)

    origin.finish_request = finish
    error = api.error(api.post(url=f"{origin.url}/a"))
    hold.set()

    assert "longer than 0.2 s" in error["message"]


def test_a_download_is_given_up_when_the_server_stops(running, origin, engine: StubEngine):
    hold, asked = threading.Event(), threading.Event()
    original = origin.finish_request

    def finish(*args):
        asked.set()
        hold.wait(30)
        original(*args)

    origin.finish_request = finish
    origin.pages["/a"] = 200, {}, wav()
    with running(allow_private_urls=True) as api:
        generation_id = api.post(url=f"{origin.url}/a").json()["generation_id"]
        assert asked.wait(10)
    hold.set()

    with running(allow_private_urls=True) as api:
        eventually(lambda: api.status(generation_id) == "completed")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.mp3",
        "file:///etc/passwd",
        "/etc/passwd",
        "http://",
        "https:///a.mp3",
        "http://example.com:99999/a.mp3",
        "http://[::1/a.mp3",
        "javascript:alert(1)",
        "",
        "data:audio/wav;base64,AAAA",
    ],
)
def test_what_is_not_an_http_url_is_refused_at_once(shared_api: Api, url: str):
    assert_error(shared_api.post(url=url), 400, "url")


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fec0::1",
    "::127.0.0.1",
    "::ffff:0:7f00:1",
    "64:ff9b:1::7f00:1",
    "5f00::1",
    "100:0:0:1::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_at_once(shared_api: Api, address: str):
    host = f"[{address}]" if ":" in address else address

    refused = shared_api.post(url=f"http://user:pw@{host}/a.mp3")

    assert_error(refused, 400, "url", "private address", "--allow-private-urls")


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1."])
def test_a_name_or_spelling_that_leads_to_a_private_address_is_never_connected_to(
    api: Api, origin, host: str
):
    error = api.error(api.post(url=f"http://{host}:{origin.server_port}/a.wav"))

    assert error["name"] == "DownloadError"
    assert not origin.asked


def test_a_name_that_resolves_to_a_private_address_is_said_to(api: Api, origin):
    error = api.error(api.post(url=f"http://localhost:{origin.server_port}/a.wav"))

    assert "private address, which is only allowed with --allow-private-urls" in error["message"]


def test_every_hop_of_a_redirect_is_checked(api: Api, origin, monkeypatch):
    # The test's own web server stands for one on the public internet.
    monkeypatch.setattr(download, "is_public", lambda address: address == "127.0.0.1")
    origin.pages |= {
        "/inside": redirect(f"http://127.0.0.2:{origin.server_port}/secret"),
        "/outside": redirect("/a.wav"),
        "/a.wav": (200, {}, wav()),
        "/secret": (200, {}, wav()),
    }

    assert api.result(api.post(url=f"{origin.url}/outside"))
    assert "private address" in api.error(api.post(url=f"{origin.url}/inside"))["message"]
    assert "/secret" not in origin.asked


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_a_public_address_is_public(address: str):
    assert download.is_public(address)


@pytest.mark.parametrize("address", ["2130706433", "localhost", ""])
def test_what_is_not_a_plain_address_is_not_public(address: str):
    assert not download.is_public(address)


def test_a_redirect_is_followed_as_it_is_written(near: Api, origin):
    signed = "/a.wav?X-Signature=a%2Fb%7E%20c+d&e='"
    origin.pages |= {"/1": redirect(signed), "/a.wav": (200, {}, wav())}

    assert near.result(near.post(url=f"{origin.url}/1"))
    assert origin.asked == ["/1", signed]


def test_a_disk_that_fills_up_is_not_laid_to_the_url(near: Api, origin, monkeypatch):
    origin.pages["/a.wav"] = 200, {}, wav()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_stream", full)
    error = near.error(near.post(url=f"{origin.url}/a.wav"))

    assert "no room" in error["message"]
