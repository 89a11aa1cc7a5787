"""Parts of the system that go away for a while: nothing is lost."""

import pytest

from tests.fake_api import TEXT
from tests.patience import PATIENCE, eventually


def deferred(stack, dag_id, run_id):
    return [task for task in stack.task_states(dag_id, run_id) if task.state == "deferred"]


def test_fifty_waits_outlast_a_killed_triggerer(stack, use_api, figures):
    conn_id, api = use_api()
    api.polls_until_done = 100_000
    run_id = stack.trigger("many", {"conn_id": conn_id})
    eventually(lambda: len(deferred(stack, "many", run_id)) == 50, "fifty open waits")
    looks = api.count("GET")
    eventually(lambda: api.count("GET") > looks, "a triggerer that looks")
    stack.kill("triggerer")
    api.polls_until_done = 0
    stack.start_process("triggerer")
    stack.await_success("many", run_id, PATIENCE)
    texts = [stack.xcom("many", run_id, "transcribe", map_index=n)["text"] for n in range(50)]
    figures.tally(api, work=50, texts=texts)
    assert texts == [TEXT] * 50
    assert api.count("POST") == len(api.generations) == 50


def test_waits_outlast_a_restart_of_airflows_api_server_and_of_the_api(stack, use_api, figures):
    conn_id, api = use_api()
    api.polls_until_done = 100_000
    run_id = stack.trigger("one", {"conn_id": conn_id})
    eventually(lambda: api.count("GET") > 0 and deferred(stack, "one", run_id), "an open wait")
    api.stop()
    stack.kill("api-server")
    stack.start_process("api-server")
    stack.await_healthy()
    api.polls_until_done = 0
    api.start()
    stack.await_success("one", run_id, PATIENCE)
    text = stack.xcom("one", run_id, "transcribe")["text"]
    figures.tally(api, faults=2, texts=[text])
    assert (text, api.count("POST")) == (TEXT, 1)


def test_a_wait_outlasts_a_kill_of_the_local_server(stack, local_server, jfk_mp3, figures):
    local_server.await_ready()
    run_id = stack.trigger("one", {"conn_id": "laplas_local", "audio": str(jfk_mp3)})
    eventually(lambda: deferred(stack, "one", run_id), "a submitted recording")
    local_server.program.kill()
    local_server.program.start()
    local_server.await_ready()
    stack.await_success("one", run_id, PATIENCE)
    text = stack.xcom("one", run_id, "transcribe")["text"]
    figures.tally_local([text])
    assert "ask what you can do for your country" in text
    assert local_server.submissions == 1


@pytest.mark.parametrize("place", ["folder", "xcom"])
def test_a_transcript_is_intact_though_no_worker_slot_was_free_until_after_the_retention(
    stack, use_api, folder, state_of, figures, place
):
    conn_id, api = use_api()
    api.polls_until_done = 100_000
    results = str(folder / f"busy-{place}") if place == "folder" else None
    run_id = stack.trigger("busy_pool", {"conn_id": conn_id, "results_path": results})
    eventually(lambda: state_of("busy_pool", run_id) == "deferred", "a deferred task")
    release = folder / f"release-{place}"
    blocking = stack.trigger("blocker", {"until": str(release)})
    eventually(lambda: state_of("blocker", blocking, "hold") == "running", "a full pool")
    api.polls_until_done = 0
    eventually(lambda: state_of("busy_pool", run_id) == "scheduled", "a task that waits for a slot")
    api.generations.clear()
    looks = api.count("GET")
    release.touch()
    stack.await_success("busy_pool", run_id, PATIENCE)
    text = stack.xcom("busy_pool", run_id, "transcribe")["text"]
    figures.tally(api, texts=[text])
    assert text == TEXT
    assert api.count("GET") == looks
