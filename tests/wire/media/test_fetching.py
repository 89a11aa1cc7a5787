"""Recordings behind URLs: downloaded with care, refused with a reason."""

import hashlib
import resource
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress

import pytest

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.media import MediaSettings, fetching
from airflow_provider_laplas.media.fetching import fetched, is_public
from tests.origin import Origin

CONTENT = bytes(range(256)) * 300

OUTSIDE = MediaSettings()
INSIDE = MediaSettings(allow_private_urls=True, max_fetch_bytes=100_000)


@pytest.fixture
def origin():
    with Origin.running() as server:
        server.pages["/a.mp3"] = 200, {}, CONTENT
        yield server


def redirect(target):
    return 302, {"Location": target}, b""


def refusal(url, settings=INSIDE, *, passing=False):
    """Return the message of the error, which Airflow retries if it is ``passing``."""
    with (
        pytest.raises(LaplasStorageError if passing else LaplasArgumentError) as caught,
        fetched(url, settings),
    ):
        pass
    assert passing or caught.value.argument == "audio"
    assert "Nothing was submitted" in caught.value.message
    return caught.value.message


def test_a_recording_is_downloaded_and_can_be_read_more_than_once(origin):
    with fetched(f"{origin.url}/a.mp3?X-Signature=a%2Fb%7E&b=%2F", INSIDE) as upload:
        for _ in range(2):
            with upload.open() as file:
                assert file.read() == CONTENT
        assert (upload.name, upload.size, upload.content_type) == ("a.mp3", len(CONTENT), "audio/mpeg")
        assert upload.version == hashlib.sha256(CONTENT).hexdigest()
    assert origin.asked == ["/a.mp3?X-Signature=a%2Fb%7E&b=%2F"]


def test_its_version_is_that_of_its_content(origin):
    def version():
        with fetched(f"{origin.url}/a.mp3", INSIDE) as upload:
            return upload.version

    before = version()
    assert version() == before
    origin.pages["/a.mp3"] = 200, {}, CONTENT[::-1]
    assert version() != before


@pytest.mark.parametrize(
    ("path", "headers", "name", "content_type"),
    [
        ("/talks/a%20talk.mp4", {}, "a talk.mp4", "video/mp4"),
        ("/a.mp4", {"Content-Type": "audio/ogg; charset=utf-8"}, "a.mp4", "audio/ogg"),
        ("/a.mp4", {"Content-Type": "application/octet-stream"}, "a.mp4", "video/mp4"),
        ("/", {}, "audio", "application/octet-stream"),
        ("/stream", {"Content-Disposition": "attachment; filename=../../x.mp3"}, "stream", None),
        ("/a%2F..%2Fb.mp3", {}, "b.mp3", "audio/mpeg"),
        ("/a%0D%0Ab.mp3", {}, "ab.mp3", "audio/mpeg"),
        (f"/{'x' * 1000}.mp3", {}, f"{'x' * 196}.mp3", "audio/mpeg"),
    ],
)
def test_it_is_called_as_the_url_says(origin, path, headers, name, content_type):
    origin.pages[path] = 200, headers, CONTENT
    with fetched(f"{origin.url}{path}", INSIDE) as upload:
        assert upload.name == name
        assert content_type is None or upload.content_type == content_type


def test_so_many_redirects_are_followed(origin):
    origin.pages |= {f"/{n}": redirect(f"/{n + 1}") for n in range(1, 5)} | {"/5": redirect("/a.mp3")}
    with fetched(f"{origin.url}/1", INSIDE) as upload:
        assert upload.size == len(CONTENT)
    origin.pages["/0"] = redirect("/1")
    assert "more than 5 times" in refusal(f"{origin.url}/0")


def test_a_redirect_is_followed_as_it_is_written(origin):
    signed = "/a.mp3?X-Signature=a%2Fb%7E%20c+d&e='"
    origin.pages["/1"] = redirect(signed)
    with fetched(f"{origin.url}/1", INSIDE):
        assert origin.asked == ["/1", signed]


@pytest.mark.parametrize(
    ("page", "reason", "passing"),
    [
        (redirect("file:///etc/passwd"), "not an http(s) URL", False),
        (redirect("ftp://example.com/a.mp3"), "not an http(s) URL", False),
        ((404, {}, b""), "status 404", False),
        ((429, {}, b""), "status 429", True),
        ((503, {}, b""), "status 503", True),
        ((200, {}, b""), "empty", False),
        ((200, {}, bytes(100_001)), "larger than 100,000 bytes", False),
        ((200, {"Content-Length": ""}, bytes(100_001)), "larger than 100,000 bytes", False),
        ((200, {"Content-Length": "100001"}, b""), "larger than 100,000 bytes", False),
        ((200, {"Content-Length": "10"}, b"12345"), "cut before the end", True),
    ],
    ids=["file", "ftp", "404", "429", "503", "empty", "big", "big-undeclared", "big-declared", "cut"],
)
def test_what_a_url_does_wrong_is_said_without_its_signature(origin, page, reason, passing, tmp_path):
    origin.pages["/a"] = page
    settings = MediaSettings(allow_private_urls=True, max_fetch_bytes=100_000, temporary_folder=str(tmp_path))
    message = refusal(f"{origin.url}/a?token=0123456789abcdef", settings, passing=passing)
    assert reason in message
    assert "0123456789abcdef" not in message
    assert f"{origin.url}/a" in message
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_does_not_answer_is_said(origin):
    origin.server_close()
    assert "cannot be reached" in refusal(f"{origin.url}/a.mp3", passing=True)


def test_a_host_that_does_not_speak_tls_is_said(origin):
    assert "TLS failed" in refusal(f"https://127.0.0.1:{origin.server_port}/a.mp3")


@pytest.fixture
def dripping():
    """Return a function that makes a URL: what is there begins as given, and goes on with a byte now and then."""
    over = threading.Event()
    with ExitStack() as stack:
        stack.callback(over.set)

        def make(begin):
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer():
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.recv(10_000)
                    connection.sendall(begin)
                    while not over.wait(0.05):
                        connection.sendall(b"x")

            threading.Thread(target=answer, daemon=True).start()
            return f"http://127.0.0.1:{server.getsockname()[1]}/a.mp3"

        yield make


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nX-Y: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["head", "body"]
)
def test_a_host_that_sends_a_byte_now_and_then_is_given_up(dripping, begin, monkeypatch):
    monkeypatch.setattr(fetching, "STALL", 0.5)
    assert "less than 65,536 bytes came within 0.5 s" in refusal(dripping(begin), passing=True)


def test_a_host_that_falls_silent_is_given_up(origin, monkeypatch):
    monkeypatch.setattr(fetching, "STALL", 0.2)
    origin.pages["/a"] = 200, {"Content-Length": "1000"}, b"begin"
    hold = threading.Event()
    original = origin.finish_request

    def finish(*args):
        original(*args)
        hold.wait(30)

    origin.finish_request = finish
    assert "within 0.2 s" in refusal(f"{origin.url}/a", passing=True)
    hold.set()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]"]
)
def test_an_address_that_is_not_public_is_never_connected_to(origin, host):
    refusal(f"http://{host}:{origin.server_port}/a.mp3", OUTSIDE)
    assert origin.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_that_is_not_public_is_said_and_what_allows_it(origin, host):
    message = refusal(f"http://{host}:{origin.server_port}/a.mp3", OUTSIDE)
    assert "`media.allow_private_urls`" in message


def test_every_hop_of_a_redirect_is_checked(origin, monkeypatch):
    # The test's own web server stands for one on the public internet.
    monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")
    origin.pages |= {
        "/inside": redirect(f"http://127.0.0.2:{origin.server_port}/secret"),
        "/outside": redirect("/a.mp3"),
        "/secret": (200, {}, CONTENT),
    }
    with fetched(f"{origin.url}/outside", OUTSIDE):
        pass
    assert "private address" in refusal(f"{origin.url}/inside", OUTSIDE)
    assert "/secret" not in origin.asked


@pytest.mark.parametrize(
    "address",
    [
        *(
            "10.1.2.3",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
        ),
        *("fe80::1", "fc00::1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "fec0::1", "5f00::1"),
        *("::127.0.0.1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "ff02::1", "fe80::1%eth0", "2130706433", ""),
    ],
)
def test_what_is_not_a_public_address_is_not_taken_for_one(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_a_public_address_is_public(address):
    assert is_public(address)


def test_a_proxy_of_the_environment_is_not_used(origin, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with fetched(f"{origin.url}/a.mp3", INSIDE):
        assert origin.asked == ["/a.mp3"]


def test_a_disk_that_is_full_is_not_laid_to_the_url(origin):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(LaplasStorageError, match="no space"), fetched(f"{origin.url}/a.mp3", INSIDE):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_process_that_is_killed_while_it_downloads_leaves_nothing_behind(origin, tmp_path):
    origin.pages["/a"] = 200, {"Content-Length": "90000"}, b"x" * 50_000
    begun, hold = threading.Event(), threading.Event()
    original = origin.finish_request

    def finish(*args):
        original(*args)
        begun.set()
        hold.wait(30)

    origin.finish_request = finish
    program = f"""
from airflow_provider_laplas.media import MediaSettings
from airflow_provider_laplas.media.fetching import fetched
with fetched({origin.url + "/a"!r}, MediaSettings(allow_private_urls=True, temporary_folder={str(tmp_path)!r})):
    pass
"""
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        assert begun.wait(30)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    hold.set()
    assert list(tmp_path.iterdir()) == []
