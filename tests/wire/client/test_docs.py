"""The page on the client: its functions, against a scripted API, and its tables."""

import asyncio
import inspect
import re

import pytest

from airflow_provider_laplas.client import LaplasClient
from airflow_provider_laplas.client.settings import ClientFields
from tests.docs.pages import PAGES, PYTHON
from tests.fake_api import WORDS

PAGE = "docs/client.md"
TEXT = " ".join(WORDS)
URL = "https://example.com/a.mp3"


@pytest.fixture
def examples(api, monkeypatch):
    """What the page's blocks define."""
    api.polls_until_done = 0
    monkeypatch.setenv("LAPLAS_API_KEY", api.key)
    monkeypatch.setenv("LAPLAS_URL", api.url)
    defined = {}
    for block, code in PYTHON.items():
        if block.startswith(PAGE):
            exec(compile(code, block, "exec"), defined)
    return {name: made for name, made in defined.items() if inspect.isfunction(made)}


def test_every_function_of_the_page_does_what_it_says(api, examples, audio):
    assert examples.pop("transcribe_one")(URL) == TEXT
    assert asyncio.run(examples.pop("transcribe_some")([URL, URL])) == [TEXT, TEXT]
    assert examples.pop("submit_object")(f"file://{audio}") in api.generations
    assert not examples


def test_the_page_names_every_argument_and_every_method_that_it_should():
    named = set(re.findall(r"`(\w+)`", PAGES[PAGE]))
    # Ports of the package's own, and of its tests.
    own = {"self", "source", "pause", "look_up_every", "part_names", "fields"}
    assert set(inspect.signature(LaplasClient.__init__).parameters) - own <= named
    assert set(ClientFields.__annotations__) <= named
    table = PAGES[PAGE].partition("| method |")[2].partition("\n## ")[0]
    methods = re.findall(r"^\| `(\w+)`(?:, `(\w+)`)?", table, re.MULTILINE)
    assert len(methods) == 5
    assert {name for pair in methods for name in pair if name} <= set(dir(LaplasClient))
