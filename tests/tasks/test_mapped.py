"""A mapped task whose list changes between two tries: what an index finds of the work of another."""

import json
from itertools import chain, repeat

import pytest
from airflow.sdk import task

from airflow_provider_laplas.operators import SubmitSTTOperator, TranscribeOperator
from tests.fake_api import TEXT, answer_healthily, error_body, reply, reset_after_body

BOTH = pytest.mark.parametrize("operator", [SubmitSTTOperator, TranscribeOperator])


def url(name):
    return f"https://example.com/{name}.mp3"


@pytest.fixture
def lists(api, dag, run_dag, tmp_path):
    """Map an operator over a list, and at every further call clear all and run it again with another one."""
    current = []
    actions = chain([run_dag], repeat(run_dag.clear))

    def mapped(operator, *, results_path=str(tmp_path), **kwargs):
        @task
        def listed():
            return [url(name) for name in current]

        operator.partial(task_id="t", results_path=results_path, **kwargs).expand(audio=listed())

        def run(names):
            current[:] = names
            return next(actions)(dag)

        return run

    return mapped


def for_a(behaviour):
    """Answer so to the submission of a, whichever comes first, and healthily to the other one."""

    async def answer(api, request):
        await request.read_body()
        await (behaviour if request.json["url"] == url("a") else answer_healthily)(api, request)

    return answer, answer


def submitted(api):
    return [request.json["url"] for request in api.requests if request.method == "POST"]


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        *((SubmitSTTOperator, "ab", after) for after in ("xab", "ba", "b", "xa", "bb")),
        (SubmitSTTOperator, "abc", "xa"),
        (TranscribeOperator, "ab", "xab"),
        (TranscribeOperator, "abc", "b"),
    ],
)
def test_what_another_index_has_submitted_is_taken_up_and_not_paid_again(api, lists, operator, before, after):
    run = lists(operator)
    assert run(before).state == "success"
    again = run(after)
    assert {again.state_of("t", index) for index in range(len(after))} == {"success"}
    assert sorted(submitted(api)) == sorted(map(url, set(before) | set(after)))


def test_a_list_that_changes_and_changes_back_pays_for_nothing_again(api, lists):
    run = lists(SubmitSTTOperator)
    ids = [[run("ab").xcom("t", map_index=index) for index in range(2)]]
    run("xab")
    ids.append([run("ab").xcom("t", map_index=index) for index in range(2)])
    assert ids[0] == ids[1]
    assert sorted(submitted(api)) == [url("a"), url("b"), url("x")]


def test_without_a_folder_an_index_still_finds_what_it_has_submitted_itself_before(api, lists):
    run = lists(TranscribeOperator, results_path=None, poke_interval=0.1)
    ids = [[run("ab").xcom("t", "generation_id", map_index=index) for index in range(2)]]
    run("xy")
    api.generations.clear()
    ids.append([run("ab").xcom("t", "generation_id", map_index=index) for index in range(2)])
    assert ids[0] == ids[1]
    assert sorted(submitted(api)) == sorted(map(url, "abxy"))


def test_the_same_audio_twice_in_one_list_is_submitted_twice_as_ever(api, lists):
    run = lists(SubmitSTTOperator)
    assert run("aa").state == "success"
    assert submitted(api) == [url("a")] * 2
    assert run("aa").state == "success"
    assert submitted(api) == [url("a")] * 2


def test_an_ambiguous_submission_of_another_index_is_not_repeated_without_consent(api, lists, tmp_path):
    """The first index is killed before it can report it; a Clear moves its work to the second."""
    run = lists(SubmitSTTOperator)
    api.script("POST", *for_a(reset_after_body()))
    assert run("ab").state_of("t", 0) == "failed"
    (note_of_a,) = [note for note in tmp_path.rglob("*.json") if '"generation_id": null' in note.read_text()]
    note_of_a.write_text(json.dumps(json.loads(note_of_a.read_text()) | {"ambiguity_reported": False}))
    again = run("xa")
    assert again.state_of("t", 1) == "failed"
    assert submitted(api).count(url("a")) == 1
    # It is reported now, so that another Clear is consent.
    assert run("xa").state == "success"
    assert submitted(api).count(url("a")) == 2


def test_a_submission_that_was_refused_leaves_no_note_to_others(api, lists, monkeypatch):
    monkeypatch.setattr("airflow_provider_laplas.client.client.ATTEMPTS", 1)
    run = lists(SubmitSTTOperator)
    api.script("POST", *for_a(reply(429)))
    assert run("ab").state_of("t", 0) == "failed"
    assert run("xa").state == "success"
    assert len(api.generations) == 3


def test_a_refused_twin_does_not_take_away_the_note_of_what_is_paid_for(api, lists):
    run = lists(SubmitSTTOperator)
    api.script("POST", answer_healthily, reply(400, error_body(400, "too many")))
    run("aa")
    assert run("xya").state == "success"
    # One of the two was accepted, and the other one refused.
    assert submitted(api).count(url("a")) == 2
    assert len(api.generations) == 3


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "no folder"])
def test_without_a_folder_the_log_warns_that_others_work_may_be_paid_again(api, lists, caplog, folder):
    run = lists(SubmitSTTOperator) if folder else lists(SubmitSTTOperator, results_path=None)
    run("ab")
    run("xa")
    assert ("set `results_path`" in caplog.text) is not folder
    assert submitted(api).count(url("a")) == (1 if folder else 2)


def test_a_folder_that_cannot_be_written_to_holds_no_submission_up(api, lists, tmp_path, caplog):
    (tmp_path / "file").touch()
    run = lists(SubmitSTTOperator, results_path=f"{tmp_path}/file/no-folder")
    assert run("ab").state == "success"
    assert "The folder has no note of this task" in caplog.text


@BOTH
def test_a_note_that_airflow_drops_on_success_is_found_in_the_folder(
    api, dag, run_dag, monkeypatch, tmp_path, caplog, operator
):
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "True")
    operator(task_id="t", audio=url("a"), results_path=str(tmp_path))
    assert run_dag(dag).state == "success"
    again = run_dag.clear(dag)
    assert again.state == "success"
    assert api.count("POST") == 1
    assert "clear_on_success is on" not in caplog.text
    if operator is TranscribeOperator:
        assert again.xcom("t")["text"] == TEXT
