"""Hundreds of secrets, a server that repeats them in every way that servers do, and the search for them."""

import json
import random
import re
import string
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

from tests.encodings import ENCODINGS
from tests.fake_api import FakeAPI, Request, reply, transcript_reply

URL_SAFE = f"{string.ascii_letters}{string.digits}"
ALPHABETS = (
    URL_SAFE,
    f"{URL_SAFE}+/=",
    f"{URL_SAFE}-_.~",
    f"{URL_SAFE}!$'(),:;@\"",
    "0123456789abcdef",
    f"{URL_SAFE}äößéñ",
)
LENGTHS = (8, 9, 12, 16, 20, 32, 44, 64, 200, 900)
SPEECH = "and so my fellow countrymen"


def make_secret(name: str, length: int, alphabet: str = URL_SAFE) -> str:
    """Return a secret that is the same in every process."""
    chosen = random.Random(name)
    # It begins with what tells it from all others.
    return "".join([*chosen.choices(URL_SAFE, k=6), *chosen.choices(alphabet, k=length - 6)])


KEY = make_secret("key", 44)
PROXY_USER, PROXY_PASSWORD = make_secret("proxy's user", 10), make_secret("proxy's password", 20)


@dataclass(frozen=True)
class Case:
    """One recording's URL, and the options that are sent with it."""

    number: int

    @property
    def secrets(self) -> dict[str, str]:
        """By where they are."""
        length, alphabet = LENGTHS[self.number % len(LENGTHS)], ALPHABETS[self.number % len(ALPHABETS)]
        most = {"user": 20, "password": 60}
        return {
            name: make_secret(f"{name} {self.number}", min(length, most.get(name, length)), alphabet)
            for name in ("user", "password", "signature", "id", "fragment", "token", "callback")
        }

    @property
    def url(self) -> str:
        told = {name: quote(secret, safe="") for name, secret in self.secrets.items()}
        return (
            f"https://{told['user']}:{told['password']}@example.com/talk-{self.number}.mp3"
            f"?X-Amz-Signature={told['signature']}&id={told['id']}#{told['fragment']}"
        )

    @property
    def options(self) -> dict[str, object]:
        secrets = self.secrets
        callback = f"https://example.com/done?secret={quote(secrets['callback'], safe='')}"
        return {
            "callback": {"url": callback, "headers": {"x-api-token": secrets["token"]}},
            "extra": callback,
        }


def all_secrets(count: int) -> list[str]:
    """Return the secrets of so many cases, and those of the connection."""
    return [KEY, PROXY_USER, PROXY_PASSWORD, *(s for n in range(count) for s in Case(n).secrets.values())]


POST_WAYS = (
    *("healthy", "200", "message 400", "message 413", "message 422", "message 500", "list 500", "text 500"),
    *(
        "text 400",
        "cut 500",
        "id",
        "id, lower case",
        "content type",
        "request id",
        "speech 500",
        "nested 400",
    ),
)
GET_WAYS = (
    "completed",
    "status",
    "failed",
    "message 500",
    "text 502",
    "names",
    "content type",
    "gone",
    "error",
)


CASES = len(POST_WAYS) * len(GET_WAYS)
"""How many recordings see every way to answer a POST, and every way to answer a GET."""


class EchoAPI(FakeAPI):
    """Repeats the key, the URL, the options and the proxy's password, one way for each recording."""

    def __init__(self) -> None:
        super().__init__(key=KEY, polls_until_done=0)
        self.posted: dict[str, str] = {}
        self.polled: dict[str, int] = {}
        self.numbers: set[int] = set()
        self.script("POST", *[_answer_post] * 10_000)
        self.script("GET", *[_answer_get] * 10_000)

    @property
    def proxied(self) -> str:
        """An Airflow connection to it by way of itself, as a proxy with a password."""
        return self.connection(proxy=f"http://{PROXY_USER}:{PROXY_PASSWORD}@127.0.0.1:{self.port}")


def _echo(request: Request, number: int) -> str:
    proxy = request.headers.get("proxy-authorization", "")
    sent = json.loads(request.body)
    lead = "x " * (0, 130, 0, 140, 0, 0, 2_040)[number % 7]
    said = f"{request.headers['authorization']} {sent['url']} {proxy} {PROXY_USER}:{PROXY_PASSWORD} {json.dumps(sent)}"
    return f"{lead}{list(ENCODINGS.values())[number % len(ENCODINGS)](said)}"


def _number(text: str) -> int:
    found = re.search(r"talk-(\d+)", text)
    return int(found[1]) if found else 0


async def _answer_post(api: "EchoAPI", request: Request) -> None:
    await request.read_body()
    number = _number(request.json["url"])
    api.numbers.add(number)
    echo = _echo(request, number)
    way = POST_WAYS[number % len(POST_WAYS)]
    status = int(way[-3:]) if way[-3:].isdigit() else 201
    kind, body = "application/json", {"message": echo, "statusCode": status, "requestId": "r"}
    match way.split()[0].rstrip(","):
        case "healthy" | "200":
            generation_id = api.create()
            api.posted[generation_id] = echo
            api.polled[generation_id] = number
            body = {"generation_id": generation_id}
        case "list":
            body = [echo, SPEECH]
        case "text":
            kind, body = "text/plain", f"{echo} {SPEECH}".encode("utf-8", "replace")
        case "cut":
            body = json.dumps({"status": "completed", "result": {"text": f"{SPEECH} {echo}"}}).encode()[:-3]
        case "id":
            body = {"generation_id": KEY.lower() if "lower" in way else KEY, "id": echo[-150:]}
        case "content":
            kind, body = echo[-500:].encode("ascii", "replace").decode(), b"[]"
        case "request":
            status, body = 400, {**body, "message": "no", "statusCode": 400, "requestId": echo[-300:]}
        case "speech":
            body = {"status": "completed", "result": {"text": SPEECH}, "error": SPEECH}
        case "nested":
            body["message"] = {"fieldErrors": {"url": [echo, {"why": echo}]}}
    await reply(status, body, content_type=kind)(api, request)


async def _answer_get(api: "EchoAPI", request: Request) -> None:
    generation_id = request.path.rsplit("/", 1)[1]
    if generation_id not in api.polled:
        await reply(404)(api, request)
        return
    number, echo = api.polled[generation_id], api.posted[generation_id]
    api.generations[generation_id] += 1
    way = GET_WAYS[number // len(POST_WAYS) % len(GET_WAYS)]
    first = api.generations[generation_id] == 1
    answer = reply(200, transcript_reply(SPEECH))
    if way == "status" and first:
        answer = reply(200, {"status": echo})
    elif way == "failed":
        answer = reply(200, {"status": "failed", "error": {"message": echo, "text": SPEECH}})
    elif way == "error":
        answer = reply(200, {"status": "error", "error": [echo], "result": {"text": SPEECH}})
    elif way == "message 500" and first:
        answer = reply(500, {"message": echo})
    elif way == "text 502" and first:
        answer = reply(502, f"{SPEECH} {echo}".encode("utf-8", "replace"), content_type="text/plain")
    elif way == "content type" and first:
        answer = reply(200, b"[]", content_type=echo[-500:].encode("ascii", "replace").decode())
    elif way == "gone":
        answer = reply(404, {"message": echo, "statusCode": 404, "requestId": echo[:90]})
    elif way == "names":
        spoken = transcript_reply(SPEECH)
        spoken["result"]["metadata"]["model_info"]["m1"]["name"] = echo
        spoken["result"]["results"]["channels"][0]["detected_language"] = KEY
        answer = reply(200, spoken)
    await answer(api, request)


def found_in(text: str, secrets: list[str]) -> Iterator[str]:
    """
    Yield where a part of a secret, of eight characters and in any case, is in a text.

    Of hexadecimal digits alone, which Airflow's random ids have by the thousand, eight are found by chance, and 14 are not.
    """
    lowered = text.lower()
    for name in ("percent, every byte", "JSON, every character", "HTML, every character"):
        for secret in secrets:
            if (written := ENCODINGS[name](secret[:8]).lower()) in lowered:
                begin = lowered.index(written)
                yield f"{secret}, {name}: {text[max(0, begin - 200) : begin + 60]!r}"
    parts, begins = _parts(tuple(secrets))
    for begin in range(len(lowered) - _RUN + 1):
        # Most places are ruled out by this alone, of millions.
        if lowered[begin : begin + _RUN] in begins and (run := _run(lowered, begin)) in parts:
            yield f"{parts[run]}: {text[max(0, begin - 200) : begin + 60]!r}"


@cache
def _parts(secrets: tuple[str, ...]) -> tuple[dict[str, str], set[str]]:
    """Return each part with its secret, and what parts begin with."""
    parts = {
        run: secret
        for secret in secrets
        for form in (secret, quote(secret, safe=""), b64encode(secret.encode()).decode())
        for begin in range(len(form) - 7)
        if len(run := _run(form.lower(), begin)) >= _RUN
    }
    return parts, {run[:_RUN] for run in parts}


_RUN, _DIGITS = 8, 14
_HEXADECIMAL = frozenset("0123456789abcdef")


def _run(text: str, begin: int) -> str:
    """Return the characters from a place on that are compared; fewer than eight where there are not enough."""
    run = text[begin : begin + _RUN]
    if _HEXADECIMAL.issuperset(run):
        run = text[begin : begin + _DIGITS]
        return run if len(run) == _DIGITS or not _HEXADECIMAL.issuperset(run) else ""
    return run
