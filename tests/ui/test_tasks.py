"""What the tab says of a task instance, by the kind of task and the state that it is in."""

import math
import shutil
import time
from pathlib import Path

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_laplas.results import load_reply
from airflow_provider_laplas.results.keeping import write_reply
from airflow_provider_laplas.storage import LOCAL
from airflow_provider_laplas.triggers import STTBatchTrigger, STTCompletionTrigger
from tests.ui.conftest import SAID, URL


def facts(site, world, dag_id, task_id, **more):
    got = site.get("api/task", params=world.query(dag_id, task_id, **more))
    assert got.status_code == 200, got.text
    return got.json()


@pytest.fixture
def changed(world):
    """Return a function that changes a task instance as Airflow would, until the test is over."""
    restore = []

    def change(dag_id, task_id, trigger=None, **values):
        key = world.key(dag_id, task_id)
        with create_session() as session:
            ti = _instance(session, key)
            before = {name: getattr(ti, name) for name in ("state", "trigger_id", "next_method", *values)}
            if trigger is not None:
                row = Trigger.from_object(trigger)
                session.add(row)
                session.flush()
                values |= {"trigger_id": row.id, "next_method": "execute_complete"}
            for name, value in values.items():
                setattr(ti, name, value)
        restore.append((key, before))

    yield change
    for key, before in reversed(restore):
        with create_session() as session:
            ti = _instance(session, key)
            for name, value in before.items():
                setattr(ti, name, value)


def _instance(session, key):
    return session.scalar(
        select(TaskInstance).where(
            TaskInstance.dag_id == key.dag_id,
            TaskInstance.run_id == key.run_id,
            TaskInstance.task_id == key.task_id,
            TaskInstance.map_index == key.map_index,
        )
    )


def test_a_finished_task(site, world):
    found = facts(site, world, "public", "file")
    assert (found["kind"], found["state"], found["airflow_state"]) == ("transcript", "finished", "success")
    assert found["generation_id"] == world.xcom("public", "file")["generation_id"]
    assert found["summary"] == {
        "model": "whisper-medium",
        "language": None,
        "duration": 4.0,
        "confidence": pytest.approx(0.9),
    }
    labelled = dict(found["facts"])
    assert labelled["Estimated cost"] == "0.04"
    assert labelled["Confidence"] == "90%"
    assert labelled["Stored in"] == world.xcom("public", "file")["result"]
    assert found["source"] == str(world.folder / "talk.mp3")
    assert found["audio"]["url"].startswith("api/audio?dag_id=public&run_id=")
    assert (found["refresh"], found["error"], found["findings"]) == (None, None, [])
    assert found["deadline"] is None
    assert "does not pay for it again" in found["after_clear"]


def test_a_signed_address_is_not_given_to_the_page_and_a_plain_one_is(site, world):
    signed, plain = facts(site, world, "public", "xcom"), facts(site, world, "public", "doubted")
    assert signed["source"] == f"{URL}?***"
    assert (signed["audio"], "signed" in signed["no_audio"]) == (None, True)
    assert (plain["audio"], plain["no_audio"]) == ({"url": URL, "type": None}, None)
    assert "abcdef0123456789" not in str(signed)


def test_a_transcript_in_an_xcom_is_said_to_be_lost_by_a_clear(site, world):
    found = facts(site, world, "public", "xcom")
    assert "deletes this transcript" in found["after_clear"]
    assert dict(found["facts"])["Stored in"] == "XCom"


def test_what_the_quality_checks_found_is_shown_in_sentences(site, world):
    [finding] = facts(site, world, "public", "doubted")["findings"]
    assert finding == world.xcom("public", "doubted", "findings")[0]
    assert "0.99" in finding
    assert not set(SAID.split()) & set(finding.split()) - {"the"}


@pytest.mark.parametrize(
    ("task_id", "kind"),
    [
        ("submit", "submission"),
        ("sensor", "transcript"),
        ("batch", "batch"),
        ("decorated", "batch"),
        ("other", "none"),
    ],
)
def test_each_kind_of_task_is_known(site, world, task_id, kind):
    assert facts(site, world, "public", task_id)["kind"] == kind


def test_a_submission_has_its_id(site, world):
    found = facts(site, world, "public", "submit")
    assert found["generation_id"] == world.xcom("public", "submit")
    assert "takes up this generation" in found["after_clear"]


def test_a_failed_task_has_its_error_and_what_to_do(site, world):
    found = facts(site, world, "failing", "refused")
    left = world.xcom("failing", "refused", "error")
    assert left["type"] == "LaplasAuthenticationError"
    assert found["error"] == {
        "message": left["message"],
        "advice": "Replace the key in the connection, then clear the task within the hour.",
    }
    assert "refused the key" in left["message"]
    assert (found["state"], found["refresh"]) == ("failed", None)


@pytest.mark.parametrize(("task_id", "state"), [("fail", "failed"), ("skip", "none")])
def test_a_transcript_that_is_not_good_enough_is_shown_with_what_was_found(site, world, task_id, state):
    found = facts(site, world, "doubting", task_id)
    assert (found["state"], len(found["findings"])) == (state, 1)
    got = site.get("api/transcript", params=world.query("doubting", task_id))
    assert got.json()["text"] == SAID
    if task_id == "fail":
        assert "checks the stored transcript again" in found["after_clear"]
        assert found["error"]["message"].endswith("checks.")


def test_a_task_that_failed_otherwise_says_where_to_look(site, world, changed):
    changed("public", "file", state="failed")
    assert facts(site, world, "public", "file")["error"]["message"].endswith("its log says why.")


@pytest.mark.parametrize(
    ("state", "shown", "again"),
    [
        ("running", "waiting", True),
        ("up_for_retry", "waiting", True),
        ("up_for_reschedule", "waiting", True),
        ("queued", "none", True),
        ("scheduled", "none", True),
        (None, "none", True),
        ("skipped", "none", False),
        ("removed", "none", False),
        ("upstream_failed", "none", False),
        ("failed", "failed", False),
        ("success", "finished", False),
    ],
)
def test_each_of_airflows_states_is_one_of_ours(site, world, changed, state, shown, again):
    changed("public", "file", state=state)
    found = facts(site, world, "public", "file")
    assert (found["state"], found["refresh"] is not None) == (shown, again)


def test_a_waiting_task_says_since_when_and_until_when(site, world, changed):
    now = time.time()
    trigger = STTCompletionTrigger(
        generation_id="the-generation", deadline=now + 3600, submitted_at=now - 60, results_path="/out"
    )
    changed("public", "file", trigger=trigger, state="deferred")
    found = facts(site, world, "public", "file")
    assert (found["state"], found["generation_id"]) == ("waiting", "the-generation")
    assert found["deadline"] == pytest.approx(now + 3600)
    assert found["since"] == pytest.approx(now - 60)
    assert "new deadline" in found["after_clear"]
    assert found["refresh"] == 10
    # It has come back, and has no worker yet.
    changed("public", "file", state="queued")
    assert facts(site, world, "public", "file")["state"] == "waiting"


def test_a_subclass_of_an_operator_is_known_by_what_it_waits_for(site, world, changed):
    batch = STTBatchTrigger(
        conn_id="laplas_default", manifest="/out/manifest.json", poll_interval=1, resume_at=0
    )
    changed("public", "other", trigger=batch, state="deferred")
    assert facts(site, world, "public", "other")["kind"] == "batch"


def test_a_recording_whose_parts_are_waited_for_is_shown_as_a_batch_in_a_folder_of_its_own(
    site, world, changed
):
    manifest = world.xcom("public", "batch")["manifest"]
    single = world.folder / "out" / "public" / "single"
    parts = single / f"talk.mp3-{world.key('public', 'file').digest}"
    shutil.copytree(Path(manifest).parent, parts)
    trigger = {"conn_id": "laplas_default", "poll_interval": 1, "resume_at": 0}
    changed(
        "public",
        "file",
        trigger=STTBatchTrigger(manifest=f"{parts}/manifest.json", **trigger),
        state="deferred",
    )
    assert site.get("api/batch", params=world.query("public", "file")).json()["files"] == 2
    # Its trigger may not name another folder than that of its task.
    changed("public", "file", trigger=STTBatchTrigger(manifest=manifest, **trigger), state="deferred")
    assert site.get("api/batch", params=world.query("public", "file")).status_code == 404


def test_the_run_is_found_where_airflow_has_not_escaped_the_plus_of_its_id(site, world):
    query = world.query("public", "file")
    assert "+" in query["run_id"]
    got = site.get("api/task", params=query | {"run_id": query["run_id"].replace("+", " ")})
    assert got.json()["kind"] == "transcript"


@pytest.mark.parametrize("map_index", ["-1", "{MAP_INDEX}", "", "x", "-2", "9" * 5000, "\uff11"])
def test_a_map_index_that_is_no_number_is_that_of_a_task_that_is_not_mapped(site, world, map_index):
    got = site.get("api/task", params=world.query("public", "file") | {"map_index": map_index})
    assert got.json()["kind"] == "transcript"


def test_without_its_rendered_fields_a_task_is_still_shown(site, world):
    from airflow.models.renderedtifields import RenderedTaskInstanceFields as Fields  # noqa: PLC0415

    key = world.key("public", "sensor")
    with create_session() as session:
        row = session.scalar(
            select(Fields).where(
                Fields.dag_id == "public", Fields.run_id == key.run_id, Fields.task_id == "sensor"
            )
        )
        kept = dict(row.rendered_fields)
        row.rendered_fields = {}
    try:
        found = facts(site, world, "public", "sensor")
        assert found["no_audio"] == "Airflow does not know any more where the audio is."
        got = site.get("api/transcript", params=world.query("public", "sensor"))
        assert (got.status_code, "own results folder" in got.json()["detail"]) == (404, True)
    finally:
        with create_session() as session:
            row = session.scalar(
                select(Fields).where(
                    Fields.dag_id == "public", Fields.run_id == key.run_id, Fields.task_id == "sensor"
                )
            )
            row.rendered_fields = kept


def test_an_edited_xcom_leads_to_no_other_file(site, world, xcom):
    secret = world.folder / "secret.json"
    secret.write_text('{"text": "nobody else may read this"}')
    returned = world.xcom("public", "file")
    elsewhere = [
        str(secret),
        secret.as_uri(),
        f"{world.folder}/out/public/single/../../../secret.json",
        world.xcom("private", "file")["result"],
        {**world.xcom("private", "xcom")["result"]},
        {"xcom_key": "reply", "dag_id": "private", "run_id": "x", "task_id": "xcom", "map_index": -1},
        {"inline": "x"},
        7,
    ]
    for result in elsewhere:
        xcom("public", "file", "return_value", {**returned, "result": result})
        for path in ("api/transcript", "api/download"):
            got = site.get(path, "stranger", params=world.query("public", "file"))
            assert (got.status_code, list(got.json())) == (404, ["detail"]), result
            assert "nobody" not in got.text


@pytest.mark.parametrize(
    "value", [None, 7, "text", [], {}, {"result": None}, {"duration": "x", "confidence": []}]
)
def test_what_an_edited_xcom_holds_breaks_nothing(site, world, xcom, value):
    for key in ("return_value", "usage", "generation_id"):
        xcom("public", "file", key, value)
    assert site.get("api/task", params=world.query("public", "file")).status_code == 200
    got = site.get("api/transcript", params=world.query("public", "file"))
    assert got.status_code == 404


ODD_NUMBERS = [math.inf, -math.inf, math.nan, 1e20, -1e20, 10**400]
"""Each of which Airflow's API takes for an XCom."""


@pytest.mark.parametrize("number", ODD_NUMBERS, ids=lambda number: str(number)[:8])
def test_what_is_no_usual_number_breaks_nothing(site, world, xcom, number):
    odd = {"duration": number, "confidence": number, "model": number, "language": number}
    xcom("public", "file", "return_value", world.xcom("public", "file") | odd)
    xcom(
        "public",
        "file",
        "usage",
        {"audio_seconds": number, "estimated_cost": number, "tokens": {"a": number}},
    )
    assert set(facts(site, world, "public", "file")["summary"]) == {
        "model",
        "language",
        "duration",
        "confidence",
    }


def test_an_edited_model_is_not_taken_for_a_moment(site, world, xcom):
    xcom("public", "file", "return_value", world.xcom("public", "file") | {"model": 1.5, "language": 2.5})
    labelled = dict(facts(site, world, "public", "file")["facts"])
    assert not {"Language"} & labelled.keys()
    assert not isinstance(labelled.get("Model"), float)


@pytest.mark.parametrize(
    "value", [None, 7, "/etc/passwd", {}, {"encoding": "gzip", "data": "x"}, {"encoding": "json", "data": 7}]
)
def test_a_reply_that_is_none_is_answered_with_a_sentence(site, world, xcom, value):
    xcom("public", "xcom", "reply", value)
    got = site.get("api/transcript", params=world.query("public", "xcom"))
    assert (got.status_code, list(got.json())) == (404, ["detail"])


def test_the_moments_are_those_of_the_task(site, world):
    labelled = dict(facts(site, world, "public", "file")["facts"])
    begun, ended = labelled["Begun"], labelled["Ended"]
    assert abs(time.time() - ended) < 3600
    assert begun <= ended


@pytest.mark.parametrize("path", ["api/transcript", "api/download"])
def test_a_folder_that_holds_other_tasks_folders_leads_to_no_transcript_of_theirs(
    site, world, xcom, rendered, path
):
    batch = world.xcom("private", "batch")["manifest"].removesuffix("/manifest.json")
    single = world.xcom("private", "file")["result"]
    returned = world.xcom("public", "file")
    for folder, target in (
        (f"{world.folder}/out", f"{batch}/a.mp3.json"),
        (f"{world.folder}/out", single),
        (f"{world.folder}/out/", f"{batch}/deep/b.mp3.json"),
        # The other DAG's batch uses the same folder.
        (batch, f"{batch}/a.mp3.json"),
        (f"{batch}/", f"{batch}/a.mp3.json"),
    ):
        rendered("public", "file", results_path=folder)
        xcom("public", "file", "return_value", {**returned, "result": target})
        got = site.get(path, "stranger", params=world.query("public", "file"))
        assert (got.status_code, SAID in got.text) == (404, False), (folder, target)


def test_a_task_that_shares_a_batchs_folder_shows_its_own_transcript(site, world, xcom, rendered):
    batch = world.xcom("private", "batch")["manifest"].removesuffix("/manifest.json")
    own = f"{batch}/11111111-2222-3333-4444-555555555555.json"
    write_reply(own, load_reply(world.xcom("public", "file")["result"]), LOCAL)
    rendered("public", "file", results_path=batch)
    xcom("public", "file", "return_value", {**world.xcom("public", "file"), "result": own})
    got = site.get("api/transcript", "stranger", params=world.query("public", "file"))
    assert got.json()["text"] == SAID
