"""The page knows every state of a file."""

import re

from airflow_provider_laplas.manifest import FileState
from airflow_provider_laplas.manifest.files import FAILED_STATES, UNFINISHED
from tests.paths import ROOT

STATES = (ROOT / "airflow_provider_laplas" / "ui" / "static" / "states.js").read_text()


def test_the_page_has_a_look_for_every_state_and_shows_as_done_what_is_done():
    looks = dict(re.findall(r"^  (\w+): \"([\w-]+)\",$", STATES, re.MULTILINE))
    assert looks.keys() == set(FileState)
    assert {state for state, look in looks.items() if look == "bad"} == FAILED_STATES
    unfinished = re.search(r"UNFINISHED = new Set\(\[(.*)\]\)", STATES)
    assert set(re.findall(r"\w+", unfinished[1])) == UNFINISHED
