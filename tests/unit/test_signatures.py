"""What signs a URL, and so does not tell which audio it is of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.signatures import unsigned, unsigned_by_version_1
from tests.unit.signed import KNOWN_TO_VERSION_1, SIGNED


@pytest.mark.parametrize("url", SIGNED)
def test_what_signs_a_url_is_taken_out_of_it(url):
    once = unsigned(url.format("one"))
    assert "one" not in once
    assert once == unsigned(url.format("two"))


@pytest.mark.parametrize(
    "name",
    [
        *("token", "auth", "exp", "hmac", "access_token", "expires", "signature", "policy", "key-pair-id"),
        *(
            "sig",
            "se",
            "sv",
            "sp",
            "sr",
            "ss",
            "st",
            "si",
            "x-amz-date",
            "x-goog-date",
            "googleaccessid",
            "hash-algorithm",
        ),
    ],
)
def test_a_name_of_a_signature_without_the_signature_is_a_part_of_the_address(name):
    for url in (f"https://a.com/dl?{name}=A", f"https://a.com/dl?id=1&{name}"):
        assert unsigned(url) == url


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (
            "https://a.com/a?token=1&X-Amz-Signature=2&sig=3&Policy=4",
            "https://a.com/a?token=1&sig=3&Policy=4",
        ),
        ("https://a.com/a?X-Amz-Signature=1&X-Goog-Date=2", "https://a.com/a?X-Goog-Date=2"),
        ("https://a.com/a?Signature=1&Expires=2", "https://a.com/a?Signature=1&Expires=2"),
        ("https://a.com/a?sv=1&sig=2&sp=r", "https://a.com/a?sv=1&sig=2&sp=r"),
        ("https://a.com/a?sv=1&sig=2&si=p&snapshot=3", "https://a.com/a?snapshot=3"),
        ("https://a.com/a?versionId=1&X-Amz-Signature=2", "https://a.com/a?versionId=1"),
        ("https://a.com/a?b=%20+/&c&&X%2DAmz-Signature=2&b=%7e", "https://a.com/a?b=%20+/&c&&b=%7e"),
        ("https://a.com/a?b=%20+/&c&&#x?sig", "https://a.com/a?b=%20+/&c&&"),
        ("https://a.com/a?", "https://a.com/a?"),
        ("HTTPS://a.com/a?X-Amz-Signature=2#x", "HTTPS://a.com/a"),
        ("http://[broken/a?X-Amz-Signature=2", "http://[broken/a"),
    ],
)
def test_all_else_of_a_url_stays_to_the_letter(url, kept):
    assert unsigned(url) == kept


@pytest.mark.parametrize(
    "path",
    [
        "/in/a #1?.mp3",
        "s3://b/a?X-Amz-Signature=1#2",
        "file:///in/a%20b?sig=1&sv=2&se=3",
        "a\tb",
        "http:/a?#",
    ],
)
def test_a_path_is_not_parsed_as_a_url(path):
    assert unsigned(path) == path


@given(st.text("abc=&%+/?", max_size=20), st.text("abc=&%+/?", max_size=20))
def test_urls_without_a_signature_are_the_same_only_where_they_are_equal(one, other):
    urls = [f"https://a.com/?{query}" for query in (one, other)]
    assert (unsigned(urls[0]) == unsigned(urls[1])) == (one == other)


@pytest.mark.parametrize(
    ("audio", "made"),
    [
        ("https://a.com/a?q=a%20b/c&flag", "https://a.com/a?q=a+b%2Fc&flag="),
        ("https://a.com/a?x=1&X-Amz-Signature=2&X-Amz-Date=3#y", "https://a.com/a?x=1"),
        ("https://a.com/a?token=1", None),
        ("https://a.com/a?token=1&X-Amz-Signature=2", None),
        ("/in/Interview #1.mp3", "/in/Interview "),
        ("/in/a?token=1", "/in/a"),
        ("http://[broken/a", "http://[broken/a"),
    ],
)
def test_what_version_1_made_of_it_is_known_where_it_stands_for_this_audio_alone(audio, made):
    assert unsigned_by_version_1(audio) == made


@pytest.mark.parametrize("url", KNOWN_TO_VERSION_1)
def test_version_1_knew_a_url_that_was_signed_anew(url):
    once = unsigned_by_version_1(url.format("one"))
    assert once is not None
    assert once == unsigned_by_version_1(url.format("two"))


@pytest.mark.parametrize(
    "audio", ["/in/a?\udcff.mp3", "s3://bucket/a?b=\ud800&c", "https://example.com/?\ud800=1"]
)
def test_a_name_with_bytes_that_are_no_text_is_compared_with_version_1_like_any_other(audio):
    assert unsigned_by_version_1(audio) != unsigned_by_version_1(
        audio.replace("\ud800", "\ud801").replace("\udcff", "\udcfe")
    )
