"""A recording that is submitted in parts, and processes that are killed at each of them: no part is paid for twice."""

from collections import Counter

import pytest

from airflow_provider_laplas.manifest import FileState, Manifest
from tests.fake_api import TEXT, WORDS, answer_healthily
from tests.faults.common import submitted_name
from tests.faults.kill import killing
from tests.paths import ROOT
from tests.patience import PATIENCE, eventually

SPEECH = ROOT / "demo" / "recordings" / "two_cities.ogg"
PARTS = 7
"""As many as its 44 seconds make, of ten seconds at most."""


def times_submitted(api):
    """How often each part was submitted, whole."""
    return Counter(submitted_name(r) for r in api.requests if r.method == "POST" and r.body)


def texts_of(stack, run_id):
    """The words of each part, of the transcript that was returned."""
    text = stack.xcom("in_parts", run_id, "transcribe")["text"].split()
    return [" ".join(text[start : start + len(WORDS)]) for start in range(0, len(text), len(WORDS))]


@pytest.fixture(scope="module")
def start(stack, free_apis, folder):
    """Start a task of one recording; ``script`` tells its server what to do."""

    def run(run_id, script=lambda api: None):
        number, api = next(free_apis)
        script(api)
        conf = {
            "conn_id": f"laplas_{number}",
            "audio": str(SPEECH),
            "results_path": str(folder / run_id),
        }
        stack.trigger("in_parts", conf, run_id=run_id)
        return api

    return run


@pytest.fixture(scope="module")
def killed(start):
    """A task that is killed at each of its parts; at once, as most of the time is Airflow noticing it."""

    def script(number):
        return lambda api: api.script("POST", *[answer_healthily] * number, killing("task"))

    return [start(f"killed-at-part-{number}", script(number)) for number in range(PARTS)]


@pytest.mark.parametrize("number", range(PARTS))
def test_a_task_that_is_killed_at_a_part_pays_for_none_twice_and_a_clear_completes_it(
    stack, folder, killed, figures, number
):
    api, run_id = killed[number], f"killed-at-part-{number}"
    assert stack.wait("in_parts", run_id, PATIENCE) == "failed"
    assert "usage page" in stack.task_log("in_parts", run_id, "transcribe")
    (manifest,) = (folder / run_id).glob("*/manifest.json")
    states = Counter(part.state for part in Manifest.load(str(manifest)).parts)
    figures["submissions left ambiguous, and said to be"] += states[FileState.AMBIGUOUS]
    figures.tally(api, owed=0)
    assert set(times_submitted(api).values()) == {1}
    assert states[FileState.AMBIGUOUS] > 0
    left = PARTS - states[FileState.COMPLETED]
    posts = times_submitted(api).total()
    stack.clear("in_parts", run_id, ["transcribe"])
    stack.await_success("in_parts", run_id, PATIENCE)
    assert texts_of(stack, run_id) == [TEXT] * PARTS
    assert times_submitted(api).total() - posts == left


@pytest.fixture(scope="module")
def interrupted(stack, start):
    """Tasks of which none, one and so on of the parts are transcribed when the triggerer is killed."""

    def hold(api):
        api.polls_until_done = 100_000

    apis = [start(f"triggerer-killed-after-{number}", hold) for number in range(PARTS)]
    for number, api in enumerate(apis):
        eventually(lambda api=api: api.count("GET") > 2 * PARTS, "a triggerer that polls")
        for generation_id in list(api.generations)[:number]:
            api.complete(generation_id)
    stack.kill("triggerer")
    for api in apis:
        api.polls_until_done = 0
    stack.start_process("triggerer")
    return apis


@pytest.mark.parametrize("number", range(PARTS))
def test_a_triggerer_that_is_killed_after_any_number_of_parts_loses_none(stack, interrupted, figures, number):
    api, run_id = interrupted[number], f"triggerer-killed-after-{number}"
    stack.await_success("in_parts", run_id, PATIENCE)
    texts = texts_of(stack, run_id)
    figures.tally(api, work=PARTS, texts=texts)
    assert texts == [TEXT] * PARTS
    assert times_submitted(api).total() == len(times_submitted(api)) == PARTS
