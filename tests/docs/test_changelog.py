"""The changelog is written by hand, and has the form that people and tools read."""

import re
from itertools import pairwise

from packaging.version import Version

from airflow_provider_laplas import __version__
from tests.docs.pages import PAGES

KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
RELEASED = re.compile(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d")
SECTIONS = dict(
    section.split("\n", 1) for section in re.split(r"^## ", PAGES["CHANGELOG.md"], flags=re.MULTILINE)[1:]
)
VERSIONS = [Version(found[1]) for title in SECTIONS if (found := RELEASED.fullmatch(title))]


def test_every_section_is_a_release_with_its_day_and_the_first_may_be_what_comes_next():
    titles = list(SECTIONS)
    assert titles
    assert len(VERSIONS) == len(titles) - (titles[0] == "Unreleased")


def test_the_newest_release_comes_first_and_none_is_told_twice():
    assert all(newer > older for newer, older in pairwise(VERSIONS))


def test_the_packages_version_is_the_newest_release_or_the_one_that_is_being_made():
    newest = VERSIONS[0] if VERSIONS else Version("0")
    if "Unreleased" in SECTIONS:
        assert Version(__version__) > newest
    else:
        assert Version(__version__) == newest


def test_the_kinds_of_changes_are_those_of_keep_a_changelog_in_their_order():
    for title, text in SECTIONS.items():
        kinds = re.findall(r"^### (.+)$", text, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds], title


def test_every_entry_is_below_a_kind_and_is_a_sentence():
    for title, text in SECTIONS.items():
        before, *kinds = re.split(r"^### .+\n", text, flags=re.MULTILINE)
        assert not before.strip(), title
        for kind in kinds:
            first, *entries = re.split(r"^- ", kind, flags=re.MULTILINE)
            assert not first.strip()
            assert entries
            for entry in entries:
                # A blank line would end the list.
                assert re.fullmatch(r"\S.*[.)!:]\n(?:\n*\Z)?", entry, re.DOTALL), entry
                assert "\n\n" not in entry.strip(), entry
