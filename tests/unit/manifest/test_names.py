"""What outputs are called: readable where that is harmless, and never the same for two sources."""

import ntpath
import unicodedata
from pathlib import PureWindowsPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_laplas.captions.formats import FORMATS
from airflow_provider_laplas.manifest.names import (
    LONGEST_PATH,
    legacy_output_name,
    may_be_called,
    output_name,
)


def below(path):
    return output_name(f"s3://bucket/in/{path}", "s3://bucket/in/")


@pytest.mark.parametrize(
    "path",
    [
        "a.mp3",
        "talks/a b.mp3",
        "é.mp3",
        "интервью/会議.mp3",
        "🎧 live.mp3",
        "2024-05-01_12.30 (2) & more.wav",
        "v1.2/a.json.mp3",
        "console/communication.mp3",
        "a.mp3.json",
        "talks/manifest",
    ],
)
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
        ("aux .mp3", "_aux .mp3"),
        ("com¹", "_com¹"),
        ("", "_"),
        ("a//b.mp3", "a/_/b.mp3"),
        ("a.mp3.json/b.mp3", "a.mp3.json_/b.mp3"),
        ("Talks/A.mp3", "talks/A.mp3"),
        ("ﬁne.mp3", "ﬁne.mp3"),
        ("\u0131l\u0131k.mp3", "\u0131l\u0131k.mp3"),
        ("a\u202eb\u3000.mp3", "a_b_.mp3"),
        # Of a Unicode that not every Python has.
        ("a\U0001fae8\u1e9e.mp3", "a__.mp3"),
        ("dots.", "dots_"),
        (" space", "_space"),
        ("manifest", "manifest"),
        ("Talk.mp3", "Talk.mp3"),
        ("a-0123456789abcdef", "a-0123456789abcdef"),
        ("e\u0301.mp3", "é.mp3"),
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
    ("source", "readable"),
    [
        ("https://a.com/%D0%98%D0%BD%D1%82%20%2F%231.mp3/?id=1#x", "Инт __1.mp3"),
        ("http://[broken/a.mp3", "a.mp3"),
        ("/in/%41.mp3", "_41.mp3"),
        ("s3://bucket/what? #1.mp3", "what_ _1.mp3"),
        ("C:\\talks\\a.mp3", "C__talks_a.mp3"),
        ("..", "__"),
    ],
)
def test_an_item_of_a_list_can_be_read_and_its_path_is_parsed_as_a_url_only_where_it_is_one(source, readable):
    assert output_name(source, None).rpartition("-")[0] == readable


def test_an_output_is_called_the_same_by_every_python():
    assert output_name("/in/Talk 🎧.mp3", None) == "Talk 🎧.mp3-07821d0c6ce0a4c4.json"


@pytest.mark.parametrize(
    "name", ["token", "ss", "st", "sp", "sr", "exp", "auth", "sig", "signature", "policy"]
)
def test_what_is_called_like_a_part_of_a_signature_and_is_none_tells_audio_apart(name):
    one, other = (output_name(f"https://a.com/dl?{name}={value}", None) for value in "AC")
    assert one != other


NAMES = st.text(
    st.one_of(
        st.sampled_from("aAbé/.~-_ #?*[]%:\\\t\n\u0301ß\u017fKk\u0131İiﬁǰ\u030cςΣ\uff11🎧"),
        st.characters(codec="utf-8", max_codepoint=0x2FFF),
        st.characters(categories=["Cs"]),
    ),
    min_size=1,
    max_size=40,
)


SUFFIXES = [f".{name}" for name in FORMATS]
PATHS = st.one_of(
    NAMES, st.lists(st.one_of(NAMES, st.sampled_from(["a", "A", *SUFFIXES])), min_size=1).map("".join)
)
ALIKE = (
    str,
    str.upper,
    str.lower,
    str.casefold,
    *(lambda text, form=form: unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")),
)


def outputs_of(paths, listed):
    folder = None if listed else "s3://bucket/in"
    return [output_name(f"s3://bucket/in/{path}", folder) for path in paths]


@settings(max_examples=1000, deadline=None)
@given(PATHS, st.lists(st.sampled_from(ALIKE), max_size=3), PATHS, st.booleans())
def test_outputs_of_two_sources_differ_also_where_case_and_unicode_forms_do_not_count(
    one, changes, another, listed
):
    alike = one
    for change in changes:
        alike = change(alike)
    for other in (alike, another):
        if other == one:
            continue
        names = outputs_of([one, other], listed)
        for first in ALIKE:
            for second in ALIKE:
                assert second(first(names[0])) != second(first(names[1]))


@settings(max_examples=500, deadline=None)
@given(st.lists(PATHS, unique=True, min_size=2, max_size=5), st.booleans())
def test_no_file_of_one_source_is_that_of_another_or_its_folder_or_a_file_of_the_batch(paths, listed):
    files = {"manifest.json": None, ".manifest": None}
    for output in outputs_of(paths, listed):
        for name in FORMATS:
            file = f"{output.removesuffix('json')}{name}"
            assert file not in files
            files[file] = output
    folders = {file[:at] for file in files for at, character in enumerate(file) if character == "/"}
    assert folders.isdisjoint(files)


def is_reserved(segment):
    """Whether Windows keeps a name for itself."""
    if hasattr(ntpath, "isreserved"):  # Python 3.13
        return ntpath.isreserved(segment)
    return PureWindowsPath(segment).is_reserved()


@settings(max_examples=500, deadline=None)
@given(PATHS.flatmap(lambda text: st.integers(1, 300).map(lambda times: text * times)), st.booleans())
def test_an_output_is_safe_everywhere(path, listed):
    (name,) = outputs_of([path], listed)
    assert outputs_of([path], listed) == [name]
    assert len(name.encode()) <= 900
    for segment in name.split("/"):
        assert 0 < len(segment.encode()) <= 241
        assert segment.isprintable()
        assert not set(segment) & set('<>:"\\|?*#%[]{}')
        assert segment[0] not in " .~"
        assert segment[-1] not in " ."
        assert not is_reserved(segment)
    assert name != "manifest.json"


@given(PATHS, st.booleans())
@example("?\ud800", False)
def test_a_source_may_be_called_as_it_is_called(path, listed):
    folder = "s3://bucket/in" if listed else None
    source = f"s3://bucket/in/{path}"
    assert may_be_called(source, output_name(source, folder))


@pytest.mark.parametrize("output", ["b.mp3.json", "x/talks/a.mp3.json", "3fae.json", "a.mp3", ""])
def test_a_source_may_not_be_called_otherwise(output):
    assert not may_be_called("s3://bucket/talks/a.mp3", output)


@given(PATHS, st.text(alphabet="ab#?/.", max_size=10))
def test_a_web_url_too_is_told_from_every_other(path, other):
    urls = [f"https://a.com/{text}".partition("#")[0] for text in (path, other)]
    assert (output_name(urls[0], None) == output_name(urls[1], None)) == (urls[0] == urls[1])


@pytest.mark.parametrize(
    ("source", "folder", "name"),
    [
        ("s3://b/in/Title [id].mp3", "s3://b/in", "Title [id].mp3.json"),
        ("s3://b/in/Talks/a #1.mp3", "s3://b/in/", "Talks/a #1.mp3.json"),
        ("s3://b/in/../../a.mp3", "s3://b/in", None),
        ("https://a.com/a.mp3", None, "a.mp3-c354c7dfce.json"),
        ("https://a.com/a.mp3?X-Amz-Signature=1#t=5", None, "a.mp3-c354c7dfce.json"),
        ("https://a.com/?q=a%20b/c&flag", None, "audio-4ac5a59a81.json"),
        ("https://a.com/a.mp3?token=1", None, None),
        ("/in/Interview #1.mp3", None, "Interview -fdf24369f3.json"),
        ("/in/a.mp3", None, "a.mp3-40492d1a96.json"),
    ],
)
def test_version_1_called_them_otherwise(source, folder, name):
    """The names were made by version 0.1."""
    assert legacy_output_name(source, folder) == name


def test_a_path_that_is_longer_than_a_key_may_be_is_shortened_though_each_part_is_short():
    path = "/".join(["p" * 99] * 8) + "/a.mp3"
    name = output_name(f"s3://b/in/{path}", "s3://b/in")
    assert len(name) <= LONGEST_PATH + len(".json")
    assert name != output_name(f"s3://b/in/{path[1:]}", "s3://b/in")
