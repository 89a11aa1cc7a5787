"""With ``plan_only`` a task says what it would submit, and submits nothing."""

import json
import shutil

import pytest
from airflow.sdk import task

from airflow_provider_laplas.operators import TranscribeBatchOperator, TranscribeOperator
from tests.fake_api import reply
from tests.paths import JFK_MP3, ROOT
from tests.tasks.batch.conftest import batch

LONG = ROOT / "demo" / "recordings" / "two_cities.ogg"
"""Some 44 seconds."""

MEDIA = {"max_part_seconds": 20}
PARTS = 4
SIGNED = "https://example.com/a.mp3?X-Amz-Signature=0123456789abcdef0123456789abcdef"


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    shutil.copy(LONG, folder / "long.ogg")
    shutil.copy(JFK_MP3, folder / "short.mp3")
    return folder


@pytest.fixture
def plan(api, dag, run_dag):
    """Run the DAG's one task, and return its plan."""

    def plan(task_id="t"):
        posts = api.count("POST")
        finished = run_dag(dag)
        assert finished.state == "success"
        assert api.count("POST") == posts
        found = finished.xcom(task_id)
        assert json.loads(json.dumps(found)) == found
        return found

    return plan


def test_one_recording_is_planned_and_its_cost_estimated(api, plan, inbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", api.connection(price_per_minute=0.6))
    TranscribeOperator(task_id="t", audio=str(inbox / "long.ogg"), media=MEDIA, plan_only=True)
    found = plan()
    (file,) = found["files"]
    assert file["source"] == str(inbox / "long.ogg")
    assert file["bytes"] == LONG.stat().st_size
    assert [part["start"] for part in file["parts"]][1:] == [part["end"] for part in file["parts"]][:-1]
    assert file["parts"][0]["why"].startswith("in a silence of")
    sums = found["sums"]
    assert (sums["files"], sums["errors"], sums["generations"]) == (1, 0, PARTS)
    assert sums["estimated_cost"] == pytest.approx(sums["seconds"] / 100)


def test_the_limits_of_the_connection_are_used(api, plan, inbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_LAPLAS_DEFAULT", api.connection(max_part_seconds=20))
    TranscribeOperator(task_id="t", audio=str(inbox / "long.ogg"), media={}, plan_only=True)
    assert plan()["sums"]["generations"] == PARTS


def test_a_url_is_shown_without_its_signature_and_left_to_the_api(plan):
    TranscribeOperator(task_id="t", audio=SIGNED, media=MEDIA, plan_only=True)
    found = plan()
    assert "0123456789abcdef" not in json.dumps(found)
    (file,) = found["files"]
    assert (file["seconds"], file["bytes_to_send"], len(file["parts"])) == (None, 0, 1)
    assert "estimated_cost" not in found["sums"]


def test_without_media_a_file_is_sent_as_it_is(plan, inbox):
    TranscribeOperator(task_id="t", audio=str(inbox / "long.ogg"), plan_only=True)
    (file,) = plan()["files"]
    assert (file["kind"], file["bytes_to_send"]) == ("as_it_is", LONG.stat().st_size)


def test_a_batch_needs_no_results_path_and_says_which_file_cannot_be_used(plan, inbox):
    (inbox / "broken.mp4").write_bytes(b"no video at all" * 1000)
    TranscribeBatchOperator(
        task_id="t", audio=str(inbox), media=MEDIA | {"extract_audio": "always"}, plan_only=True
    )
    found = plan()
    errors = {file["source"].rpartition("/")[2]: "error" in file for file in found["files"]}
    assert errors == {"broken.mp4": True, "long.ogg": False, "short.mp3": False}
    assert (found["sums"]["files"], found["sums"]["errors"]) == (3, 1)


def test_a_batch_plans_what_would_be_submitted_now_and_writes_nothing(plan, dag, run_dag, inbox, out):
    operator = batch(out, audio=str(inbox), media=MEDIA)
    assert run_dag(dag).state == "success"
    shutil.copy(JFK_MP3, inbox / "new.mp3")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    operator.plan_only = True
    found = plan("batch")
    assert [file["source"].rpartition("/")[2] for file in found["files"]] == ["new.mp3"]
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_of_a_recording_of_which_one_part_failed_a_clear_plans_that_part(api, dag, run_dag, inbox, out):
    (inbox / "short.mp3").unlink()
    operator = batch(out, audio=str(inbox), media=MEDIA, retries=0)
    api.script("GET", reply(200, {"status": "error", "error": {"message": "no speech"}}))
    assert run_dag(dag).state == "failed"
    operator.plan_only = True
    cleared = run_dag.clear(dag)
    assert cleared.state == "success"
    found = cleared.xcom("batch")
    (file,) = found["files"]
    assert (len(file["parts"]), found["sums"]["generations"]) == (1, 1)
    assert found["sums"]["seconds"] < 20
    assert api.count("POST") == PARTS


def test_a_plan_takes_no_lease_from_a_batch_that_goes_on(api, dag, run_dag, inbox, out):
    operator = batch(out, audio=str(inbox), media=MEDIA)
    operator.plan_only = True
    assert run_dag(dag).state == "success"
    assert not out.exists()
    operator.plan_only = False
    assert run_dag(dag).state == "success"
    assert api.count("POST") == PARTS + 1


@pytest.mark.parametrize("several", [False, True], ids=["one", "a list"])
def test_the_decorator_plans_what_its_function_returns(plan, inbox, several):
    @task.transcribe(media=MEDIA, plan_only=True)
    def t():
        return [str(inbox / "long.ogg")] if several else str(inbox / "long.ogg")

    t()
    assert plan()["sums"]["generations"] == PARTS
