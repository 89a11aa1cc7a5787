"""What may be shown of an address, of an argument, or of a foreign text."""

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_provider_laplas.known_secrets import NO_SECRETS, Secrets
from airflow_provider_laplas.redaction import BOUND, redact, redacted, shown
from tests.encodings import ENCODINGS
from tests.unit.signed import SIGNED

SECRET = "Canary7f3aQx"


@pytest.mark.parametrize(
    ("url", "shown_as"),
    [
        ("https://example.com/a.mp3", "https://example.com/a.mp3"),
        ("https://example.com/a.mp3?sig=1", "https://example.com/a.mp3?***"),
        ("https://u:p@example.com:8443/a.mp3#x", "https://***@example.com:8443/a.mp3#***"),
        ("http://[::1]:80/a?b", "http://[::1]:80/a?***"),
        ("http://[broken/a?b", "***"),
        ("https://example.com:port/a?b", "***"),
        ("https://example.com/a@b.mp3", "https://example.com/a@b.mp3"),
        ("https://u:12/p@example.com/a.mp3", "***"),
        ("https://u%3Ap%40example.com/a.mp3", "***"),
        ("https://example.com/https://u:p@example.com", "***"),
        ("https://example.com/https%3A%2F%2Fa.com/b", "https://example.com/***"),
        ("https://example.com/a;token=abc", "https://example.com/a;token=***"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url, shown_as):
    assert redacted(url) == shown_as


@pytest.mark.parametrize(
    ("location", "shown_as"),
    [
        ("/data/talk #1, why? a.mp3", "/data/talk #1, why? a.mp3"),
        ("file:///data/talk #1?.mp3", "file:///data/talk #1?.mp3"),
        ("s3://conn@bucket/talk #1?.mp3", "s3://conn@bucket/talk #1?.mp3"),
        ("s3://key:secret@bucket/a@b/c.mp3", "s3://***@bucket/a@b/c.mp3"),
        ("s3://AKIA:ab/cd@bucket/k.mp3", "s3://***@bucket/k.mp3"),
        ("s3://AKIA:12/cd@bucket/k.mp3", "s3://***@bucket/k.mp3"),
        ("az://c/a.mp3?sv=1&sig=2", "az://c/a.mp3?***"),
        ("ftp://u:p@example.com/a.mp3?b", "ftp://***@example.com/a.mp3?***"),
        ("HTTPS://u:p@example.com/a.mp3?sig=1#x", "https://***@example.com/a.mp3?***#***"),
        ("\n https://u:p@example.com/a.mp3?sig=1 \n", "https://***@example.com/a.mp3?***"),
        ("https:/u:p@example.com/a.mp3?sig=1", "https:/***@example.com/a.mp3?***"),
        ("//u:p@example.com/a.mp3?sig=1", "//***@example.com/a.mp3?***"),
        ("//server/share/a.mp3", "//server/share/a.mp3"),
        ("simplecache::https://u:p@example.com/a.mp3?s", "simplecache::https://***@example.com/a.mp3?***"),
        ("filecache::s3://k:s@bucket/a.mp3", "filecache::s3://***@bucket/a.mp3"),
        ("zip://a.mp3::https://u:p@example.com/a.zip", "***"),
        ("C:/Talks/a.mp3", "C:/Talks/a.mp3"),
        (" spaces around ", " spaces around "),
    ],
)
def test_a_place_of_the_users_is_shown_with_all_of_its_name_and_without_secrets(location, shown_as):
    assert redacted(location) == shown_as


URL = f"https://user:{SECRET}@example.com/a.mp3?X-Amz-Signature={SECRET}"


@dataclass(frozen=True)
class Item:
    url: str


@pytest.mark.parametrize(
    "value",
    [
        *(URL, f"\t{URL}\n", f"please take {URL}, thanks", f"[{URL}]", URL.encode(), Path(URL), Item(URL)),
        *(f"simplecache::{URL}", URL.removeprefix("https:"), f"'{URL}'", f"a={URL};b={URL}"),
        *([URL], (URL, 1), {URL}, frozenset({URL}), {"item": {"url": URL}}, {URL: 1}, [[({URL},)]]),
        *(
            {"token": SECRET},
            {"Api-Key": [SECRET]},
            {"x": {"password": {"is": SECRET}}},
            {"auth": 123_456_789},
        ),
        *(
            f"token={SECRET}",
            f"Authorization: Bearer {SECRET}",
            f'{{"api_key": "{SECRET}"}}',
            f"Bearer {SECRET}",
        ),
        *(f"password='{SECRET} {SECRET}'", f"user:{SECRET}@example.com", f"('secret', '{SECRET}')"),
        *(f"Cookie: a=b; id={SECRET}", f"/a.mp3?id={SECRET}", f"//a:{SECRET}@b"),
    ],
    ids=str,
)
def test_an_argument_is_shown_without_secrets_wherever_they_are_in_it(value):
    for text in (str(redacted(value)), shown(value, limit=10_000)):
        assert SECRET not in text
        assert "123456789" not in text


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 7, 7.5, "", "text", "a b: c, d = e?", b"abc", len, Item("a"), Path("/in/a.mp3")),
        *(
            [],
            [1],
            ("a", {"b"}),
            {"language": "en", "keywords": "token ring"},
            {"token": None, "max_tokens": 5},
        ),
    ],
    ids=str,
)
def test_what_holds_no_secret_is_shown_as_it_is(value):
    assert redacted(value) is value


def test_the_error_about_an_object_that_cannot_be_written_has_nothing_of_it():
    class Unspeakable:
        def __str__(self):
            raise ValueError(SECRET)

    assert redacted(Unspeakable()) == "***"


@given(st.text(alphabet="ab:/@?#=&% .-[]") | st.text())
def test_what_may_be_shown_is_shown_again_as_it_is(text):
    once = redacted(text)
    assert redacted(once) == once


ECHOES = [
    "cannot GET /a.mp3?X-Amz-Signature={}",
    "cannot GET /a.mp3?{}",
    "no access: https://user:{}@example.com/a.mp3",
    "no access: https:\\/\\/user:{}@example.com\\/a.mp3",
    "no access: https%3A%2F%2Fuser%3A{}%40example.com%2Fa.mp3",
    "no access: https%253A%252F%252Fexample.com%252Fa.mp3%253Fsig%253D{}%2526se%253D1",
    "no access: https://example.com/a.mp3?b='{}'",
    'no access: https://example.com/a.mp3?b="{}"',
    'no access: https://us"er:{}@example.com/a.mp3',
    "no access: https://example.com/a.mp3#access_token={}",
    "no access: https://example.com/fetch/https%3A%2F%2Fuser%3A{}%40example.com",
    "no access: //user:{}@example.com/a.mp3",
    "no access: simplecache::https://user:{}@example.com/a.mp3",
    "no access: https:&#x2F;&#x2F;user:{}@example.com",
    "no access: https:\\\\user:{}@example.com",
    '{{"token": "{}"}}',
    '{{\\"token\\": \\"{}\\"}}',
    "{{'x-api-key': '{}'}}",
    "{{&quot;x-api-key&quot;: &quot;{}&quot;}}",
    "%22x-api-key%22%3A+%22{}%22%7D",
    "{{'x-api-key': b'{}'}}",
    "Authorization: Bearer {}",
    "authorization: {}",
    "Basic {}=",
    "Cookie: session={}",
    "password = '{} and more'",
    "signature%3D{}",
    "x-amz-signature\\u003d{}",
    "X%2DAmz%2DSignature={}",
    "apikey={}, user=me",
    "user:{}@example.com",
    "(cret={})",
    "cret%3D{}",
    "a\nb?sig={}\nc",
]


@pytest.mark.parametrize("echo", ECHOES)
def test_what_looks_like_a_secret_is_masked_though_nobody_has_said_that_it_is_one(echo):
    said = redact(echo.format(SECRET), limit=10_000)
    assert SECRET not in said
    assert "***" in said


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_url_is_masked_in_any_encoding_though_nobody_has_said_what_is_secret_in_it(name):
    url = f"https://user:{SECRET}@example.com/a.mp3?X-Amz-Signature={SECRET}"
    said = redact(f"cannot fetch {ENCODINGS[name](url)} (404)", limit=10_000)
    assert ENCODINGS[name](SECRET) not in said
    assert said.startswith("cannot fetch")


@pytest.mark.parametrize("url", SIGNED)
def test_a_signature_is_masked_with_and_without_the_rest_of_its_url(url):
    for part in (url, url.partition(".com")[2], url.partition("windows.net")[2]):
        assert SECRET not in redact(part.format(SECRET), limit=10_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Body validation error: utt_split must be a number", None),
        ('a b (c), d: e / f? g! 1 = 1; it\'s "h"', None),
        ("Invalid token: expired", None),
        ("basic authentication is needed", None),
        ("see https://example.com/docs/a.html.", None),
        ("write to me@example.com", None),
        ("at https://example.com/a.mp3?b=c (404)", "at https://example.com/a.mp3?*** (404)"),
    ],
)
def test_of_a_text_only_what_could_be_a_secret_is_masked(text, said):
    assert redact(text) == (said or text)


def test_a_long_text_is_cut():
    assert redact("x" * 400, limit=10) == "x" * 9 + "…"


@pytest.mark.parametrize("lead", range(0, 60, 7))
@pytest.mark.parametrize("echo", ["{}", "https://user:{}@example.com", "/a?{}", "token={}"])
def test_what_is_cut_is_masked_first(echo, lead):
    text = f"{'x ' * (BOUND // 2 - lead)}{echo.format(SECRET * 5)} {'y' * BOUND}"
    said = redact(text, secrets=Secrets([SECRET * 5]), limit=2 * BOUND)
    assert not any(SECRET[n : n + 4] in said for n in range(len(SECRET) - 4))


@pytest.mark.parametrize("secret", ["x" * 7 + SECRET, SECRET])
def test_a_word_that_is_longer_than_what_is_looked_at_is_cut_where_no_secret_can_be(secret):
    said = redact("x" * (BOUND - 5) + secret, secrets=Secrets([secret]), limit=2 * BOUND)
    assert "Cana" not in said
    assert set(said) <= set("x*…")


# What is known to be secret

ANY_SECRET = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=8).filter(
    lambda text: len(" ".join(text.split())) >= 8
)
AROUND = st.text(st.characters(exclude_characters="*"))


@given(AROUND, ANY_SECRET, AROUND)
@example("", "a b\x00c defgh", "")
def test_no_secret_survives_in_any_text_around_it(before, secret, after):
    said = redact(f"{before}{secret}{after}", secrets=Secrets([secret]), limit=BOUND)
    assert secret not in said
    assert " ".join(secret.split()) not in said
    assert not any(ord(character) < 32 for character in said)
    said.encode()


# Whether an escape begins before the secret is the text's to say.
BESIDE = st.text(st.characters(exclude_characters="*%\\&+", exclude_categories=["Cs"]))
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="*"), min_size=8)


@pytest.mark.parametrize("name", ENCODINGS)
@given(before=BESIDE, secret=PRINTABLE, after=BESIDE)
@example(before="", secret="000000\\\x7f", after="")
@example(before="", secret="abcdefg\\é\\", after="")
def test_no_secret_survives_in_any_encoding(name, before, secret, after):
    # Of the case of other letters nothing is known.
    assume(secret.isascii() or not name.endswith(" case"))
    written = ENCODINGS[name](secret)
    said = redact(f"{before} {written} {after}", secrets=Secrets([secret]), limit=BOUND)
    assert written not in said


def test_an_escape_of_many_backslashes_is_read_though_they_are_encoded_themselves():
    secret = "pässwörd-ö-ü"
    written = quote(quote(json.dumps(json.dumps(secret))[3:-3]))
    assert Secrets([secret]).mask(f"it was <{written}>") == "it was <***>"


@given(st.text("abcdefghijk0123456789", min_size=8, max_size=80), st.data())
def test_no_eight_characters_of_a_secret_survive(secret, data):
    begin = data.draw(st.integers(0, len(secret) - 8))
    part = secret[begin : data.draw(st.integers(begin + 8, len(secret)))]
    assert redact(f"it was <{part}>", secrets=Secrets([secret])) == "it was <***>"


@pytest.mark.parametrize(
    ("secret", "text", "said"),
    [
        ("abc", "abc", "abc"),
        ("abcd", "latest abcd, (ABCD) xabcd", "latest ***, (***) xabcd"),
        ("Secret-Key-1", "secret-key-1 SECRET-KEY-2", "*** ***2"),
        ("", "a", "a"),
    ],
)
def test_a_short_secret_masks_no_part_of_a_word_and_a_shorter_one_nothing(secret, text, said):
    assert Secrets([secret]).mask(text) == said


@pytest.mark.parametrize(
    ("url", "masked", "kept"),
    [
        (
            "https://user:pass@example.com/talk.mp3?X-Amz-Signature=abcdefghij&lang=en&id=12345678",
            ["pass", "abcdefghij", "12345678", "user:pass", "dXNlcjpwYXNz"],
            ["user", "talk.mp3", "example.com", "en"],
        ),
        ("https://abcd@example.com", ["abcd"], ["example.com"]),
        ("https://u:ab/cd@example.com/a", ["ab/cd"], ["example.com"]),
        ("simplecache::https://u:abcd@example.com", ["abcd"], ["simplecache", "https://example.com"]),
        ("//u:abcd@example.com", ["abcd"], ["example.com"]),
        ("https://a.com/a?sig=abcd;b=abcdefgh#token=efgh", ["abcd", "abcdefgh", "efgh"], ["a.com/a"]),
        ("https://a.com/a?ab%20cd%2Bef+gh", ["ab cd+ef gh", "ab%20cd%2Bef+gh", "AB%20CD%2bEF%20GH"], []),
        ("https://a.com/me@home/a.mp3", [], ["a.com", "me", "home"]),
        ("/in/a.mp3", [], ["/in/a.mp3"]),
    ],
)
def test_what_is_secret_in_a_url_is_known_from_the_url(url, masked, kept):
    secrets = Secrets.of_url(url)
    assert [secrets.mask(text) for text in masked] == ["***"] * len(masked)
    assert [secrets.mask(text) for text in kept] == kept


def test_what_is_secret_in_nested_values_is_known_from_them():
    secrets = Secrets.of_values(
        {
            "a": [f"see https://u:abcd@example.com?id={SECRET}", 1],
            "token": "efgh",
            "auth": {"key": ["ijkl"]},
            "b": "mnop",
        }
    )
    for text in ("abcd", SECRET, "efgh", "ijkl"):
        assert secrets.mask(text) == "***"
    assert secrets.mask("mnop") == "mnop"


def test_a_word_is_masked_as_a_whole_only():
    secrets = Secrets(words=["http://proxy.example:3128"])
    assert secrets.mask("HTTP://proxy.example:3128 http://proxy.example") == "*** http://proxy.example"


def test_secrets_can_be_added_and_do_not_show_themselves():
    both = Secrets(["abcdefgh"]) + Secrets(["ijkl"])
    assert both.mask("abcdefgh ijkl mnop") == "*** *** mnop"
    assert both + NO_SECRETS is both
    assert not NO_SECRETS
    assert "abcdefgh" not in repr(both)
    assert both.are_in("x abcdefgh")
    assert not both.are_in("x")


@pytest.mark.parametrize("generation_id", ["20261128-5f3c-77aa", "gen_us-east-1_0001", "audio-mpeg-17"])
def test_an_id_that_has_a_word_of_the_url_in_it_is_no_secret(generation_id):
    url = (
        "https://b.s3.amazonaws.com/a.mp3?X-Amz-Date=20261128T101010Z&response-content-type=audio-mpeg"
        f"&X-Amz-Credential=AKIA{'Q' * 16}/20261128/us-east-1/s3/aws4_request&X-Amz-Signature={'0f' * 32}"
    )
    assert not Secrets.of_url(url).are_in(generation_id)
    assert Secrets.of_url(url).are_in(f"x-{'0f' * 12}")
    assert Secrets.of_url(url).are_in(f"AKIA{'Q' * 16}")


def test_what_a_url_says_of_its_file_is_left_in_messages():
    query = "response-content-type=audio/mpeg&response-content-disposition=attachment; filename=call recording.mp3"
    secrets = Secrets.of_url(f"https://example.com/a.mp3?{query}")
    for message in ("The recording is too short", "audio/mpeg is not supported", "`filename` is missing"):
        assert redact(message, secrets=secrets) == message


@pytest.mark.parametrize(
    "value",
    [
        {"account_key": "c2VjcmV0c2VjcmV0"},
        {"connection_string": "DefaultEndpointsProtocol=https;AccountKey=c2VjcmV0c2VjcmV0"},
        {"headers": [["Authorization", "Bearer c2VjcmV0c2VjcmV0"]]},
        [("token", "c2VjcmV0c2VjcmV0")],
        "<SignatureProvided>c2VjcmV0c2VjcmV0</SignatureProvided>",
        "failed: AccountKey=c2VjcmV0c2VjcmV0;x",
    ],
)
def test_names_of_secrets_are_known_in_pairs_tags_and_connection_strings(value):
    assert "c2VjcmV0c2VjcmV0" not in str(redacted(value))
    assert "c2VjcmV0c2VjcmV0" not in redact(str(value))


def test_a_known_secret_is_found_in_base64_in_hexadecimal_and_with_its_spaces():
    key, password = "sk-live-0123456789", "correct  horse"
    secrets = Secrets([key, password])
    for before in ("", "u:", "us:", "user:"):
        encoded = b64encode(f"{before}{key}:x".encode()).decode()
        assert encoded[6:20] not in redact(f"Basic realm {encoded}", secrets=secrets)
    assert key.encode().hex() not in redact(f"seen {key.encode().hex()}", secrets=secrets)
    assert "horse" not in redact(f"said {password}!", secrets=secrets)


@pytest.mark.parametrize(
    "message",
    [
        "no generation=0c4b2c7e-9d0f-4f0e-8a51-1d2f3a4b5c6d",
        "model=nova-2-general-2024 is not known",
        "file=interview-2024-01.mp3 is broken",
        "at=2026-11-28T17:40:00Z",
    ],
)
def test_what_a_message_says_of_its_subject_is_left_in_it(message):
    assert redact(message) == message
