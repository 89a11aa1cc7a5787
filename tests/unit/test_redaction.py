"""What may be shown of an address or of a foreign text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.redaction import redact, redact_url


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
