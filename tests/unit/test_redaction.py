"""What may be shown of an address or of a foreign text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.redaction import redact, redact_url, redacted, unsigned
from tests.unit.signed import SIGNED


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/a.mp3", "https://example.com/a.mp3"),
        ("https://example.com/a.mp3?sig=1", "https://example.com/a.mp3?***"),
        ("https://u:p@example.com:8443/a.mp3#x", "https://***@example.com:8443/a.mp3#***"),
        ("s3://key:secret@bucket/a.mp3", "s3://***@bucket/a.mp3"),
        ("http://[::1]:80/a?b", "http://[::1]:80/a?***"),
        ("http://[broken/a?b", "***"),
        ("https://example.com:port/a?b", "***"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/data/talk #1, why? a.mp3", "/data/talk #1, why? a.mp3"),
        ("file:///data/talk #1?.mp3", "file:///data/talk #1?.mp3"),
        ("s3://conn@bucket/talk #1?.mp3", "s3://conn@bucket/talk #1?.mp3"),
        ("s3://key:secret@bucket/a@b/c.mp3", "s3://***@bucket/a@b/c.mp3"),
        ("s3://AKIA:ab/cd@bucket/k.mp3", "s3://***@bucket/k.mp3"),
        ("s3://host:9000/a@b.mp3", "s3://host:9000/a@b.mp3"),
        ("HTTPS://u:p@example.com/a.mp3?sig=1#x", "https://***@example.com/a.mp3?***#***"),
    ],
)
def test_a_place_of_the_users_is_shown_with_all_of_its_name_and_without_secrets(location, shown):
    assert redacted(location) == shown


@given(st.text(), st.text(alphabet="0123456789abcdef", min_size=8))
def test_no_secret_and_no_control_character_survives(text, secret):
    shown = redact(
        f"{text}{secret}\n{text} https://u:{secret}@host/?sig={secret}", secrets=[secret], limit=10_000
    )
    assert secret not in shown
    assert not any(ord(character) < 32 for character in shown)
    shown.encode()


def test_a_long_text_is_cut():
    assert redact("x" * 400, limit=10) == "x" * 9 + "…"


@pytest.mark.parametrize("url", SIGNED)
def test_what_signs_a_url_is_taken_out_of_it(url):
    once = unsigned(url.format("one"))
    assert "one" not in once
    assert once == unsigned(url.format("two"))
