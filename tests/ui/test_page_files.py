"""The files of the page: small, whole, and without anything that a strict policy would refuse."""

import re

import pytest

from tests.paths import ROOT

STATIC = ROOT / "airflow_provider_laplas" / "ui" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))


def test_all_scripts_together_are_at_most_100_kb():
    assert sum(script.stat().st_size for script in SCRIPTS) <= 100_000


def test_the_page_has_no_script_and_no_style_of_its_own_and_loads_its_own_files_by_relative_paths():
    page = (STATIC / "index.html").read_text()
    assert re.findall(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page) == []
    for path in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert re.fullmatch(r"static/[\w.]+", path)
        assert (STATIC / path.removeprefix("static/")).is_file()


def test_the_browser_is_told_of_every_script_at_once_and_need_not_find_them_one_by_one():
    page = (STATIC / "index.html").read_text()
    named = re.findall(r'(?:modulepreload" href|module" src)="static/([^"]*)"', page)
    assert sorted(named) == [script.name for script in SCRIPTS]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_makes_markup_of_text_or_evaluates_it(script):
    text = script.read_text()
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|setHTML|DOMParser|import\("
    assert re.findall(sinks, text) == []
    for module in re.findall(r'from "([^"]*)"', text):
        assert (STATIC / module).is_file()


@pytest.mark.parametrize("file", [*SCRIPTS, *STATIC.glob("*.css")], ids=lambda file: file.name)
def test_no_file_names_an_address_elsewhere(file):
    addresses = set(re.findall(r"\w+://[^\s\"'`]*", file.read_text()))
    assert addresses <= {"http://www.w3.org/2000/svg"}
