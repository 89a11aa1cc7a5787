"""Processes that are killed at exact points: nothing is paid twice, and nothing that was paid for is lost."""

import pytest

from tests.fake_api import TEXT
from tests.faults.kill import killing
from tests.patience import PATIENCE


def arm(point, target, api, folder, run_marker):
    """Have the process end at this point of the first try."""
    if point == "sent":
        api.script("POST", killing(target))
    elif point == "stored":
        api.script("GET", killing(target))
    else:
        run_marker.touch()


DAGS = {
    "intent": "killed_at_a_note",
    "sent": "one",
    "reply": "killed_at_a_note",
    "stored": "one_in_place",
}


@pytest.fixture(scope="module")
def runs(stack, free_apis, folder):
    """Every point and every target at once: most of the time is Airflow noticing that somebody is gone."""
    started = {}
    for point, dag_id in DAGS.items():
        for target in ("task", "supervisor"):
            number, api = next(free_apis)
            run_id = f"{point}-{target}"
            arm(point, target, api, folder, folder / f"kill-{target}-{run_id}")
            stack.trigger(dag_id, {"conn_id": f"laplas_{number}"}, run_id=run_id)
            started[point, target] = dag_id, run_id, api
    return started


@pytest.mark.parametrize("target", ["task", "supervisor"])
@pytest.mark.parametrize("point", ["intent", "sent", "reply"])
def test_a_crash_before_the_id_is_stored_ends_in_the_ambiguous_error_after_one_post_at_most(
    stack, runs, figures, point, target
):
    dag_id, run_id, api = runs[point, target]
    assert stack.wait(dag_id, run_id, PATIENCE) == "failed"
    log = stack.task_log(dag_id, run_id, "transcribe")
    assert "LaplasAmbiguousSubmitError" in log
    assert "usage page" in log
    figures["submissions left ambiguous, and said to be"] += 1
    figures.tally(api, owed=0)
    assert api.count("POST") <= 1


@pytest.mark.parametrize("target", ["task", "supervisor"])
def test_a_crash_after_the_id_is_stored_ends_in_one_transcript_after_one_post(stack, runs, figures, target):
    dag_id, run_id, api = runs["stored", target]
    stack.await_success(dag_id, run_id, PATIENCE)
    text = stack.xcom(dag_id, run_id, "transcribe")["text"]
    figures.tally(api, texts=[text])
    assert (text, api.count("POST")) == (TEXT, 1)
    assert "Not submitting: an earlier try submitted it" in stack.task_log(dag_id, run_id, "transcribe")


def test_a_user_clears_after_the_ambiguous_error_and_it_is_submitted(stack, runs, figures):
    dag_id, run_id, api = runs["sent", "task"]
    stack.wait(dag_id, run_id, PATIENCE)
    before = api.count("POST")
    stack.clear(dag_id, run_id, ["transcribe"])
    stack.await_success(dag_id, run_id, PATIENCE)
    assert api.count("POST") == before + 1
    assert "a user cleared the task since" in stack.task_log(dag_id, run_id, "transcribe")


def test_a_resumed_half_that_is_killed_after_the_retention_finds_the_transcript(
    stack, use_api, folder, figures
):
    conn_id, api = use_api()
    results = folder / "resumed"
    run_id = stack.trigger("killed_when_resumed", {"conn_id": conn_id, "results_path": str(results)})
    api.forget_when_done = True
    stack.await_success("killed_when_resumed", run_id, PATIENCE)
    assert (folder / f"resumed-{run_id}").exists()
    text = stack.xcom("killed_when_resumed", run_id, "transcribe")["text"]
    figures.tally(api, texts=[text])
    assert (text, api.count("POST")) == (TEXT, 1)
    assert not api.generations


def test_a_list_that_changes_before_a_clear_pays_only_for_what_is_new(stack, use_api, folder, figures):
    conn_id, api = use_api()
    run_id, listed = "listed", folder / "list-listed"
    listed.write_text("a b")
    results = {"conn_id": conn_id, "results_path": str(folder / "listed")}
    stack.trigger("listed", results, run_id=run_id)
    stack.await_success("listed", run_id, PATIENCE)
    listed.write_text("x a b")
    stack.clear("listed", run_id, ["listed", "transcribe"])
    stack.await_success("listed", run_id, PATIENCE)
    texts = [stack.xcom("listed", run_id, "transcribe", map_index=index)["text"] for index in range(3)]
    figures.tally(api, work=3, texts=texts)
    assert texts == [TEXT] * 3
    urls = [request.json["url"] for request in api.requests if request.method == "POST"]
    assert sorted(urls) == [f"https://example.com/{name}.mp3" for name in "abx"]
