"""What is sent to be transcribed, once and not twice."""

import asyncio
import io
import os
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from airflow_provider_laplas.api.calls import Delivery, Upload
from airflow_provider_laplas.audio import open_upload
from airflow_provider_laplas.client.client import ATTEMPTS
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasAuthenticationError,
    LaplasCreditsError,
    LaplasError,
    LaplasRateLimitError,
    LaplasResponseError,
    LaplasServerError,
    LaplasTooLargeError,
    LaplasTransportError,
    LaplasValidationError,
)
from airflow_provider_laplas.storage import LOCAL
from tests.fake_api import (
    KEY,
    WORDS,
    FakeAPI,
    error_body,
    hang,
    html,
    reply,
    reset_after_body,
    reset_in_body,
    stall,
    truncated,
)
from tests.patience import PATIENCE
from tests.wire.client.conftest import short

URL = "https://example.com/a.mp3"


def parts_of(request):
    """The parts of a multipart request, read by a parser that is not ours."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + request.body, policy=policy.HTTP)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


def test_a_url_is_submitted_as_json_with_the_options(api, client):
    generation_id = client.submit(URL, model="m", options={"diarize": True, "tag": ["a"], "language": None})
    assert generation_id in api.generations
    request = api.requests[-1]
    assert (request.method, request.path) == ("POST", "/v1/stt/create")
    assert request.json == {"model": "m", "url": URL, "diarize": True, "tag": ["a"]}
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_a_file_is_uploaded_with_its_length_its_name_and_the_options_as_form_fields(api, client, audio):
    assert client.submit(audio, options={"diarize": True, "tag": ["a", "b"]}) in api.generations
    request = api.requests[-1]
    assert int(request.headers["content-length"]) == len(request.body)
    assert parts_of(request) == [
        ("model", None, b"#g1_whisper-medium"),
        ("diarize", None, b"true"),
        ("tag", None, b"a"),
        ("tag", None, b"b"),
        ("audio", "größe 1.mp3", audio.read_bytes()),
    ]


def test_an_object_storage_uri_is_uploaded(api, client, audio):
    client.submit(f"file://{audio}")
    assert parts_of(api.requests[-1])[-1] == ("audio", "größe 1.mp3", audio.read_bytes())


def test_the_other_part_name_is_tried_once_and_remembered(api, client, audio):
    api.script("POST", reply(400, error_body(400, "One of url or file is required")))
    client.submit(audio)
    client.submit(audio)
    names = [parts_of(request)[-1][0] for request in api.requests]
    assert names == ["audio", "file", "file"]


def test_another_part_name_that_is_refused_too_ends_in_the_apis_error(api, client, audio):
    refusal = reply(400, error_body(400, "One of url or file is required"))
    api.script("POST", refusal, refusal)
    with pytest.raises(LaplasValidationError):
        client.submit(audio)
    assert api.count("POST") == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        reset_after_body(),
        reply(500),
        html(502),
        reply(504),
        *map(reply, (103, 302, 303, 408, 409, 499, 524)),
        reply(201, {}),
        reply(201, b"<"),
        truncated({"generation_id": "x" * 40}),
    ],
)
def test_a_submission_that_may_have_been_taken_is_sent_once_and_is_ambiguous(api, client, behaviour):
    api.script("POST", behaviour)
    with pytest.raises(LaplasAmbiguousSubmitError, match="usage page"):
        client.submit(URL)
    assert api.count("POST") == 1


def test_an_upload_that_is_cut_before_its_end_was_not_taken_and_is_sent_again(api, client, tmp_path):
    path = tmp_path / "large.mp3"
    path.write_bytes(b"x" * 30_000_000)
    api.script("POST", reset_in_body(100_000))
    client.submit(path)
    assert api.count("POST") == 2
    assert len(api.generations) == 1


def test_audio_that_cannot_be_opened_submits_nothing_and_is_not_ambiguous(api, client):
    def refuse():
        raise PermissionError("not yours")

    with pytest.raises(LaplasTransportError, match="nothing was submitted") as caught:
        client.submit(Upload("a.mp3", 1000, "audio/mpeg", refuse))
    assert not caught.value.sent
    assert not api.requests


def test_an_upload_that_is_read_whole_and_then_cut_is_sent_once(api, client, audio):
    """On an event loop, the library has not said yet that the last piece was sent."""
    for _ in range(20):
        api.script("POST", reset_after_body())
        with pytest.raises(LaplasAmbiguousSubmitError):
            client.submit(audio)
    assert api.count("POST") == 20


def test_a_lost_submission_stays_ambiguous_though_the_settings_cannot_be_looked_up_again(api, clients, audio):
    clients.ports["look_up_every"] = 0.0
    clients.failing = range(2, 100)
    api.script("POST", reply(502))

    async def submit():
        async with clients() as client:
            await client.asubmit(str(audio))

    with pytest.raises(LaplasAmbiguousSubmitError):
        asyncio.run(submit())


def test_a_server_that_takes_an_upload_slowly_is_given_the_time(api, client, clients, tmp_path):
    clients.fields |= {"connect_timeout": 0.2, "timeout": 5}
    path = tmp_path / "large.mp3"
    path.write_bytes(b"x" * 30_000_000)
    api.script("POST", stall(0.6))
    client.submit(path)
    assert api.count("POST") == 1


def test_a_submission_to_a_port_that_speaks_no_tls_was_never_sent(api, client, clients):
    clients.url = api.url.replace("http:", "https:")
    clients.fields |= {"connect_timeout": 0.2, "timeout": 0.2}
    with pytest.raises(LaplasTransportError) as caught:
        client.submit(URL)
    assert not caught.value.sent


def test_a_submission_that_is_never_answered_is_ambiguous(api, client, clients):
    clients.fields |= {"timeout": 0.3}
    api.script("POST", hang())
    with pytest.raises(LaplasAmbiguousSubmitError):
        client.submit(URL)
    assert api.count("POST") == 1


def test_a_submission_is_repeated_after_429(api, client):
    api.script("POST", reply(429), reply(429, headers=[("Retry-After", "0")]))
    assert client.submit(URL) in api.generations
    assert api.count("POST") == 3
    assert len(api.generations) == 1


def test_repeating_ends_in_the_typed_error(api, client):
    api.script("POST", *[reply(429)] * ATTEMPTS)
    with pytest.raises(LaplasRateLimitError):
        client.submit(URL)
    assert api.count("POST") == ATTEMPTS


def test_a_submission_is_repeated_where_no_connection_was_made(api, client, clients):
    def start_then_pause(failures, error):
        if failures == 1:
            api.start()
        return short(failures, error)

    api.stop()
    clients.ports["pause"] = start_then_pause
    assert client.submit(URL) in api.generations
    assert api.count("POST") == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, LaplasValidationError),
        (401, LaplasAuthenticationError),
        (403, LaplasCreditsError),
        (413, LaplasTooLargeError),
        (422, LaplasValidationError),
        (405, LaplasResponseError),
        (425, LaplasResponseError),
        (501, LaplasServerError),
    ],
)
def test_a_refused_submission_is_sent_once(api, client, status, kind):
    api.script("POST", reply(status))
    with pytest.raises(kind, match=f"req-{status}"):
        client.submit(URL)
    assert api.count("POST") == 1


def test_an_upload_over_the_connections_limit_is_refused_before_anything_is_sent(api, client, clients, audio):
    clients.fields = {"max_upload_bytes": 699_999}
    with pytest.raises(LaplasTooLargeError, match=r"700,000 bytes.*699,999.*Nothing was sent.*media=\{\}"):
        client.submit(audio)
    assert not api.requests


def test_an_upload_within_the_connections_limit_and_any_url_are_sent(api, client, clients, audio):
    clients.fields = {"max_upload_bytes": 700_000}
    assert client.submit(audio) in api.generations
    assert client.submit(URL) in api.generations


def test_the_apis_own_refusal_of_a_large_upload_names_media(api, client, audio):
    api.script("POST", reply(413))
    with pytest.raises(LaplasTooLargeError, match=r"media=\{\}"):
        client.submit(audio)


@pytest.mark.parametrize(
    "audio",
    [
        None,
        "",
        " ",
        "None",
        7,
        b"bytes",
        "http://",
        "https://exa mple.com/a",
        "/no/such/file.mp3",
        "file:///no/such.mp3",
        "/",
    ],
)
def test_audio_that_cannot_be_submitted_is_refused_by_name(api, client, audio):
    with pytest.raises(LaplasArgumentError, match="`audio`"):
        client.submit(audio)
    assert not api.requests


def test_an_empty_file_is_refused(api, client, tmp_path):
    (tmp_path / "empty.mp3").touch()
    with pytest.raises(LaplasArgumentError, match="empty"):
        client.submit(tmp_path / "empty.mp3")


def test_a_file_that_shrinks_while_it_is_uploaded_submits_nothing(api, client):
    upload = Upload("a.mp3", 1000, "audio/mpeg", lambda: io.BytesIO(b"x" * 10))
    with pytest.raises(LaplasArgumentError, match="shorter"):
        client.submit(upload)
    assert not api.generations


def test_a_storage_that_fails_while_it_is_read_submits_nothing_and_may_be_tried_again(api, client):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the bucket is on fire")

    sources = [Failing(), io.BytesIO(b"x" * 1000)]
    client.submit(Upload("a.mp3", 1000, "audio/mpeg", lambda: sources.pop(0)))
    assert not sources
    assert len(api.generations) == 1


def test_a_storage_that_hangs_while_it_is_read_holds_up_no_other_thread_of_the_loop(api, clients):
    class Hanging(io.BytesIO):
        def read(self, size=-1):
            hanging.release()
            released.wait(60)
            return super().read(size)

    async def look_up_amid_uploads():
        client = clients.rate_limited()
        upload = Upload("a.mp3", 3, "audio/mpeg", lambda: Hanging(b"one"))
        tasks = [asyncio.create_task(client.submit(upload, model="m", options={})) for _ in range(40)]
        try:
            await asyncio.to_thread(lambda: [hanging.acquire(timeout=PATIENCE) for _ in tasks])
            await asyncio.wait_for(asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80), 30)
        finally:
            released.set()
        return await asyncio.gather(*tasks)

    released, hanging = threading.Event(), threading.Semaphore(0)
    assert len(set(asyncio.run(look_up_amid_uploads()))) == 40


def test_a_file_that_grows_while_it_is_uploaded_is_sent_as_it_was(api, client, audio):
    upload = open_upload(audio, LOCAL)
    with audio.open("ab") as file:
        file.write(b"more")
    client.submit(upload)
    assert len(parts_of(api.requests[-1])[-1][2]) == 700_000


def test_a_submission_that_is_sent_again_is_counted(api, client, counted):
    api.script("POST", *[reply(429, headers=[("Retry-After", "0")])] * 2)
    client.submit(URL)
    assert counted["laplas.retries"] == 2


def test_a_submission_within_a_budget_is_sent_again_after_429_and_counted(api, clients, counted):
    async def submit():
        return await clients.rate_limited().submit(URL, model="m", options={})

    api.script("POST", *[reply(429, headers=[("Retry-After", "0")])] * 2)
    assert asyncio.run(submit()) in api.generations
    assert api.count("POST") == 3
    assert counted["laplas.retries"] == 2


@dataclass
class Note:
    """Counts how often a submission is noted, and how much the API has of it by then."""

    api: FakeAPI
    times: int = 0

    def __call__(self):
        self.times += 1
        assert not self.api.generations


@pytest.mark.parametrize("source", [URL, "upload"])
def test_a_submission_is_noted_once_before_the_first_byte_of_it_is_sent(api, clients, audio, source):
    note = Note(api)
    delivery = Delivery(note)
    clients().submit(URL if source == URL else audio, delivery=delivery)
    assert (note.times, delivery.whole) == (1, True)


def unreadable():
    raise PermissionError("not yours")


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        (Upload("a.mp3", 1000, "audio/mpeg", unreadable), {}),
        (URL, {"proxy": "http://127.0.0.1:9"}),
        (URL, {"proxy": "http://user:%E2%82%AC@127.0.0.1:9"}),
        (URL, {"proxy": "http://" + "a" * 64 + ".example:9"}),
        (URL, {"verify": __file__}),
        (URL, {"verify": "/dev/null"}),
    ],
    ids=["unreadable", "no proxy", "password", "name of a host", "no certificates", "empty certificates"],
)
def test_what_fails_before_the_first_byte_is_typed_and_is_not_noted(api, clients, source, fields):
    clients.fields |= fields | {"connect_timeout": 1}
    clients.url = api.url.replace("http:", "https:") if "verify" in fields else api.url
    note = Note(api)
    delivery = Delivery(note)
    with pytest.raises(LaplasError) as caught:
        clients().submit(source, delivery=delivery)
    assert not isinstance(caught.value, LaplasAmbiguousSubmitError)
    assert (note.times, delivery.whole, api.count("POST")) == (0, False, 0)


@pytest.mark.parametrize("error", [RuntimeError, BrokenPipeError, TimeoutError])
def test_a_submission_that_cannot_be_noted_is_not_made_and_ends_in_the_notes_error(api, clients, error):
    def note():
        raise error("the store is away")

    delivery = Delivery(note)
    with pytest.raises(error, match="the store is away"):
        clients().submit(URL, delivery=delivery)
    assert (delivery.whole, api.generations) == (False, {})


def test_an_upload_that_is_cut_was_not_handed_over_whole(api, clients, tmp_path):
    path = tmp_path / "large.mp3"
    path.write_bytes(b"x" * 30_000_000)
    delivery = Delivery(lambda: None)
    api.script("POST", *[reset_in_body(100_000)] * ATTEMPTS)
    with pytest.raises(LaplasTransportError):
        clients().submit(path, delivery=delivery)
    assert not delivery.whole


@pytest.mark.parametrize(
    "name",
    [b"caf\xe9.mp3", b"\xff\xfe.mp3", b'quo"te.mp3', b"new\nline.mp3", "größe.mp3".encode()],
)
def test_a_file_of_any_name_is_uploaded_under_a_valid_one(api, client, tmp_path, name):
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(b"x" * 100)
    client.submit(os.fsdecode(path))
    part, filename, content = parts_of(api.requests[-1])[-1]
    assert (part, content) == ("audio", b"x" * 100)
    assert filename
    assert filename.endswith(".mp3")
    filename.encode()


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("upload", {"keywords": "\ud83d"}),
        (URL, {"other": "\ud83d"}),
        (URL, {"other": float("nan")}),
        (URL, {"other": {1, 2}}),
        ("https://example.com/\udce9.mp3", {}),
    ],
)
def test_what_no_request_can_hold_is_refused_by_name(api, client, audio, source, options):
    with pytest.raises(LaplasArgumentError, match=r"`(options|keywords|audio)`"):
        client.submit(audio if source == "upload" else source, options=options)
    assert not api.requests


def test_the_legacy_call_returns_the_transcript_itself(api, clients, audio):
    assert clients().transcribe(URL).text == " ".join(WORDS)
    assert clients().transcribe(audio).text == " ".join(WORDS)
    assert {request.path for request in api.requests} == {"/v1/stt"}


def test_a_legacy_call_that_times_out_is_ambiguous(api, clients):
    api.script("POST", reply(504, error_body(504, "Generation timeout")))
    with pytest.raises(LaplasAmbiguousSubmitError, match="Generation timeout"):
        clients().transcribe(URL)
