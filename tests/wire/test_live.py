"""The check of the real API (`make test-live`), against doubles of it: what it pays, what it prints, what it finds."""

import io
import os
import subprocess
import sys

import pytest

from tests.fake_api import FakeAPI, answer_healthily, error_body, reply, reset_after_body, transcript_reply
from tests.live.__main__ import DOES_NOT, HOLDS, NOT_RUN, main
from tests.live.facts import CLIP_WORDS, FACTS
from tests.paths import JFK_MP3, ROOT
from tests.patience import PATIENCE

KEY = "live-key-canary-4711"


def healthy_reply():
    """As the API answers to the recording: half a second for each word."""
    made = transcript_reply(" ".join(CLIP_WORDS))
    made["result"]["metadata"] |= {
        "transaction_key": "deprecated",
        "request_id": "r",
        "sha256": "0",
        "created": "2026-01-01T00:00:00.000Z",
    }
    return made


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with FakeAPI(key=KEY) as fake:
        fake.default_reply = healthy_reply()
        yield fake


@pytest.fixture
def run(api, capsys):
    """Run the check; what it prints is held against the key."""

    def run_it(**environment):
        given = {"LAPLAS_API_KEY": KEY, "LAPLAS_BASE_URL": api.url} | environment
        code = main(given, poll_interval=0.01)
        printed = capsys.readouterr()
        assert KEY not in printed.out + printed.err
        return code, printed.out

    return run_it


def broken(printed):
    return {line.split()[2].rstrip(":") for line in printed.splitlines() if line.startswith("DOES NOT")}


def test_an_api_as_it_was_observed_holds_every_fact_and_is_paid_once(api, run):
    code, printed = run()
    assert f"{len(FACTS)} hold, 0 do not, 0 not seen" in printed
    assert code == HOLDS
    assert api.count("POST") == 1


def test_what_it_costs_is_said_before_anything_is_sent(api, run):
    api.stop()
    code, printed = run()
    assert "11 seconds, at your account's price" in printed.splitlines()[0]
    assert "it may have been billed" in printed
    assert code == DOES_NOT
    assert api.requests == []


def changed(change):
    made = healthy_reply()
    change(made["result"])
    return made


def alternative(result):
    return result["results"]["channels"][0]["alternatives"][0]


def in_milliseconds(result):
    for word in alternative(result)["words"]:
        word["start"] *= 1000
        word["end"] *= 1000


REPLIES = {
    "word_times": changed(in_milliseconds),
    "duration": changed(lambda result: result["metadata"].update(duration=11_000)),
    "metadata": changed(lambda result: result["metadata"].pop("sha256")),
    "word_fields": changed(
        lambda result: [word.pop("punctuated_word") for word in alternative(result)["words"]]
    ),
    "confidences": changed(lambda result: alternative(result)["words"][3].update(confidence=93)),
    "what_is_said": transcript_reply("hello"),
    "transcript_place": {"status": "completed", "result": {"text": " ".join(CLIP_WORDS)}},
    "completed_word": changed(lambda result: None) | {"status": "done"},
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_breaks_a_fact_is_reported_by_its_name(api, run, name):
    api.default_reply = REPLIES[name]
    code, printed = run()
    assert name in broken(printed)
    assert code == DOES_NOT
    assert api.count("POST") == 1


@pytest.mark.parametrize(
    ("method", "answers", "name"),
    [
        ("POST", [reply(200, {"id": "0123456789abcdef"})], "id_name"),
        ("POST", [reply(400, error_body(400, "One of url or file is required"))], "part_name"),
        ("GET", [reply(403, error_body(403))], "wrong_key"),
        ("GET", [answer_healthily, reply(200, {"status": "waiting"})], "unknown_id"),
        ("GET", [reply(401, {"error": "no"})], "error_body"),
        (
            "GET",
            [answer_healthily, answer_healthily, reply(200, {"status": "thinking"})],
            "pending_words",
        ),
    ],
)
def test_an_answer_that_breaks_a_fact_is_reported_by_its_name(api, run, method, answers, name):
    api.script(method, *answers)
    code, printed = run()
    assert name in broken(printed)
    assert code == DOES_NOT


def test_a_rate_limit_that_is_published_is_reported(api, run):
    api.script("GET", answer_healthily, reply(404, error_body(404), headers=[("RateLimit-Limit", "10")]))
    _, printed = run()
    assert "no_published_rate_limit" in broken(printed)


def test_a_transcript_that_is_gone_after_it_was_fetched_is_reported(api, run):
    api.forget_when_done = True
    assert broken(run()[1]) == {"stays"}


def test_every_fact_has_a_name_and_a_sentence_of_its_own():
    assert len({fact.name for fact in FACTS}) == len({fact.sentence for fact in FACTS}) == len(FACTS)
    assert all(fact.sentence.endswith(".") for fact in FACTS)


# What is paid, and what is shown


def test_a_key_that_is_refused_submits_nothing(api, run):
    api.key = "another"
    code, printed = run()
    assert "refuses the key" in printed
    assert (code, api.count("POST")) == (DOES_NOT, 0)


def test_a_submission_without_an_answer_is_not_repeated(api, run):
    api.script("POST", reset_after_body())
    code, printed = run()
    assert "may have been billed" in printed
    assert (code, api.count("POST")) == (DOES_NOT, 1)


def test_a_key_that_comes_back_is_not_printed(api, run):
    api.script("POST", reply(201, {"id": KEY, KEY: KEY, "\x1b[2J": 1}))
    api.default_reply = {"status": KEY, "result": {KEY: KEY}}
    code, printed = run()
    assert "***" in printed
    assert code == DOES_NOT


@pytest.mark.parametrize(
    "environment",
    [{"LAPLAS_API_KEY": ""}, {"CI": "true", "LAPLAS_BASE_URL": "https://api.example.com/v1"}],
    ids=["no key", "CI"],
)
def test_without_a_key_and_in_ci_nothing_is_sent(api, run, environment):
    code, printed = run(**environment)
    assert "Nothing was submitted" in printed
    assert (code, api.requests) == (NOT_RUN, [])


@pytest.mark.parametrize(("said", "posts"), [("y", 1), ("", 0), ("n", 0)])
def test_at_a_terminal_it_asks_first(api, run, monkeypatch, said, posts):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal(f"{said}\n"))
    code, _ = run()
    assert code == (HOLDS if posts else NOT_RUN)
    assert api.count("POST") == posts


def test_the_command_takes_the_key_from_the_environment_and_shows_it_nowhere(api):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.live"],
        cwd=ROOT,
        env=os.environ | {"LAPLAS_API_KEY": KEY, "LAPLAS_BASE_URL": api.url, "CI": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == HOLDS, ran.stderr
    assert KEY not in ran.stdout + ran.stderr


def test_make_gives_the_key_to_no_command_line():
    shown = subprocess.run(
        ["make", "--dry-run", "test-live", "PYTHON=python", f"LAPLAS_API_KEY={KEY}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "tests.live" in shown.stdout
    assert KEY not in shown.stdout


def test_the_upload_is_the_recording(api, run):
    bodies = []

    async def keep(fake, request):
        bodies.append(await request.read_body())
        await reply(201, {"generation_id": fake.create(), "status": "queued"})(fake, request)

    api.script("POST", keep)
    assert run()[0] == HOLDS
    assert JFK_MP3.read_bytes() in bodies[0]
