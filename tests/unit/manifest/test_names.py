"""What outputs are called: readable where that is harmless, and never the same for two sources."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_laplas.manifest.names import legacy_output_name, output_name

FORMATS = ("json", "srt", "vtt", "txt")


def below(path):
    return output_name(f"s3://bucket/in/{path}", "s3://bucket/in/")


@pytest.mark.parametrize("path", ["a.mp3", "talks/a b.mp3", "é.mp3", "2024-05-01_12.30 (2) & more.wav"])
def test_a_harmless_path_is_kept(path):
    assert below(path) == f"{path}.json"


@pytest.mark.parametrize(
    ("path", "readable"),
    [
        ("Title [id].mp3", "Title _id_.mp3"),
        ("a?b*.mp3", "a_b_.mp3"),
        ("what #1.mp3", "what _1.mp3"),
        ("a\tb.mp3", "a_b.mp3"),
        ("50%.mp3", "50_.mp3"),
        ("../../evil.mp3", "__/__/evil.mp3"),
        (".manifest/x.mp3", "_manifest/x.mp3"),
        ("~root/x.mp3", "_root/x.mp3"),
        ("a/./b.mp3", "a/_/b.mp3"),
        ("con/nul.mp3", "_con/_nul.mp3"),
        ("dots.", "dots_"),
        (" space", "_space"),
        ("manifest", "manifest"),
        ("Talk.mp3", "Talk.mp3"),
        ("a-0123456789abcdef", "a-0123456789abcdef"),
        ("e\u0301.mp3", "e\u0301.mp3"),
        ("\udcff.mp3", "_.mp3"),
    ],
    ids=ascii,
)
def test_what_is_not_harmless_is_replaced_and_a_hash_is_added(path, readable):
    name = below(path)
    stem, _, digest = name.removesuffix(".json").rpartition("-")
    assert (stem, len(digest)) == (readable, 16)
    assert below(path) == name


def test_a_list_adds_a_hash_of_the_whole_address():
    one, other = (output_name(f"https://{host}/talks/a.mp3", None) for host in ("a.com", "b.com"))
    assert one.startswith("a.mp3-")
    assert one != other
    signed = "https://a.com/talks/a.mp3?X-Amz-Signature=1&X-Amz-Date=2"
    assert output_name(signed, None) == one
    assert output_name("https://a.com/?id=1", None) != output_name("https://a.com/?id=2", None)
    assert output_name("/in/Interview #1.mp3", None) != output_name("/in/Interview #2.mp3", None)
    assert output_name("https://a.com", None).startswith("audio-")


@pytest.mark.parametrize(
    "name", ["token", "ss", "st", "sp", "sr", "exp", "auth", "sig", "signature", "policy"]
)
def test_what_is_called_like_a_part_of_a_signature_and_is_none_tells_audio_apart(name):
    one, other = (output_name(f"https://a.com/dl?{name}={value}", None) for value in "AC")
    assert one != other


NAMES = st.text(
    st.one_of(
        st.sampled_from("aAbé/.~-_ #?*[]%:\\\t\n\u0301ß\u017fKk"),
        st.characters(codec="utf-8", max_codepoint=0x2FFF),
        st.characters(categories=["Cs"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=500, deadline=None)
@given(NAMES, NAMES, st.booleans())
def test_outputs_of_two_sources_differ_also_where_case_and_unicode_forms_do_not_count(one, other, listed):
    folder = None if listed else "s3://bucket/in"
    names = [output_name(f"s3://bucket/in/{path}", folder) for path in (one, other)]
    same = [unicodedata.normalize("NFC", name).casefold() for name in names]
    assert (same[0] == same[1]) == (one == other)


@settings(max_examples=500, deadline=None)
@given(st.one_of(NAMES, st.builds(lambda text, times: text * times, NAMES, st.integers(1, 200))))
def test_an_output_is_safe_everywhere(path):
    name = below(path)
    assert len(name.encode()) <= 900
    for segment in name.split("/"):
        assert 0 < len(segment.encode()) <= 241
        assert segment.isprintable()
        assert not set(segment) & set('<>:"\\|?*#%[]{}')
        assert segment[0] not in " .~"
        assert segment[-1] not in " ."
    assert {f"{name.removesuffix('json')}{suffix}" for suffix in FORMATS}.isdisjoint({"manifest.json"})


def test_version_1_called_them_otherwise():
    assert legacy_output_name("s3://b/in/Title [id].mp3", "s3://b/in") == "Title [id].mp3.json"
    assert legacy_output_name("https://a.com/a.mp3?X-Amz-Signature=1", None) == legacy_output_name(
        "https://a.com/a.mp3", None
    )
    assert len(legacy_output_name("https://a.com/a.mp3", None)) == len("a.mp3-0123456789.json")
