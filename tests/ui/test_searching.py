"""The page "Transcripts": hits DAG by DAG, and the figures for those who may read all."""

import json
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.dag import DagModel
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from airflow_provider_laplas import sql
from airflow_provider_laplas.manifest import Manifest
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sql import TranscriptRow
from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.ui.server import may_read_all
from tests.ui.auth import NEWCOMER, USERS
from tests.ui.conftest import SAID

ELSEWHERE = "file:///from/elsewhere.json"


@pytest.fixture(scope="module")
def database(world, tmp_path_factory):
    """Load what the tasks have transcribed, and one that no task is known of, into a database."""
    file = tmp_path_factory.mktemp("database") / "transcripts.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_TRANSCRIPTS_DB", json.dumps({"conn_type": "sqlite", "host": str(file)}))
        patch.setenv("AIRFLOW__LAPLAS__TRANSCRIPTS_CONN_ID", "transcripts_db")
        hook = SqliteHook(sqlite_conn_id="transcripts_db")
        sql.create_tables(hook)
        for dag_id in ("public", "private", "no_xcom"):
            result = world.xcom(dag_id, "file")["result"]
            sql.load(hook, [TranscriptRow(result, f"/in/{dag_id}.mp3", load_transcript(result))])
            sql.load_batch(hook, Manifest.load(world.xcom(dag_id, "batch")["manifest"]))
        sql.load(
            hook,
            [
                TranscriptRow(
                    ELSEWHERE, "https://in/elsewhere.mp3?X-Amz-Signature=abc", load_transcript(result)
                )
            ],
        )
        yield file


def search(site, q, user="admin", **more):
    got = site.get("api/search", user, params={"q": q, **more})
    assert got.status_code == 200, got.text
    return got.json()


def test_without_a_configuration_it_says_how_to_set_one(site, world):
    found = search(site, "fox")
    assert (found["configured"], found["hits"], found["report"]) == (False, [], [])
    assert "transcripts_conn_id" in found["how"]


def test_nobody_searches_without_a_token(site, world, database):
    assert site.get("api/search", None, params={"q": "fox"}).status_code == 401


def test_whoever_may_read_all_finds_all_and_sees_the_figures(site, world, database):
    found = search(site, "quick BROWN")
    assert (found["configured"], found["how"], found["total"], found["pages"]) == (True, None, 10, 1)
    assert all(hit["text"] == SAID for hit in found["hits"])
    report = dict(found["report"])
    assert int(report["Transcripts"]) >= 10
    assert abs(time.time() - report["Newest"]) < 3600
    assert "https://in/elsewhere.mp3?***" in [hit["source"] for hit in found["hits"]]
    assert "abc" not in str(found)


def test_others_find_what_they_may_read(site, world, database):
    found = search(site, "quick brown", "stranger")
    links = [hit["transcript"] for hit in found["hits"]]
    assert len(links) == found["total"] == 3
    assert {dict(parse_qsl(urlsplit(link).query))["dag_id"] for link in links} == {"public"}
    assert found["report"] == []
    assert "private" not in str(found)


def test_where_there_is_no_dag_those_without_rights_still_find_nothing(site):
    engine = create_engine("sqlite://")
    DagModel.metadata.tables["dag"].create(engine)
    with Session(engine) as session:
        for name, may in (("admin", True), (NEWCOMER, False)):
            user = SimpleAuthManagerUser(username=name, role=USERS[name])
            assert may_read_all(user, session) is may


def test_who_may_read_no_dag_finds_nothing(site, world, database):
    found = search(site, "quick brown", NEWCOMER)
    assert (found["total"], found["report"]) == (0, [])


def test_an_edited_xcom_shows_nobody_anothers_hits(site, world, database, xcom):
    wanted = world.xcom("private", "file")["result"]
    xcom("public", "file", "result", wanted)
    xcom("private", "file", "result", "/somewhere/else.json")
    assert "private" not in str(search(site, "quick brown", "stranger"))
    xcom("public", "file", "return_value", world.xcom("public", "file") | {"result": wanted})
    assert "private" not in str(search(site, "quick brown", "stranger"))


def test_a_batch_above_or_beside_anothers_transcripts_shows_nobody_these(site, world, database, tmp_path):
    summary = Path(world.xcom("public", "batch")["manifest"]).parent / ".manifest" / "summary.json"
    above = tmp_path / "out"
    (above / ".manifest").mkdir(parents=True)
    (above / ".manifest" / "summary.json").write_text(summary.read_text())
    hook = SqliteHook(sqlite_conn_id="transcripts_db")
    # Airflow does not know their tasks any more: it deletes XComs.
    uris = [f"{above}/4f0c9a.json", f"{above}/private/4f0c9b.json", f"{above}/private/batch/talk.mp3.json"]
    sql.load(hook, [TranscriptRow(uri, "/in/talk.mp3", Transcript(text="okapi", raw={})) for uri in uris])
    own = f"{above}/talk.mp3.json"
    sql.load(hook, [TranscriptRow(own, "/in/talk.mp3", Transcript(text="okapi", raw={}))])
    assert search(site, "okapi")["total"] == 4
    [hit] = search(site, "okapi", "stranger")["hits"]
    assert dict(parse_qsl(urlsplit(hit["transcript"]).query))["file"] == "talk.mp3.json"


def test_a_task_in_the_folder_of_anothers_batch_shows_nobody_the_batchs_hits(
    site, world, database, xcom, rendered
):
    folder = world.xcom("private", "batch")["manifest"].removesuffix("/manifest.json")
    wanted = f"{folder}/a.mp3.json"
    rendered("public", "file", results_path=folder)
    xcom("public", "file", "result", wanted)
    xcom("public", "file", "return_value", world.xcom("public", "file") | {"result": wanted})
    # The two of its own batch: where its own transcript lies is not known any more.
    links = [hit["transcript"] for hit in search(site, "quick brown", "stranger")["hits"]]
    assert [dict(parse_qsl(urlsplit(link).query))["task_id"] for link in links] == ["batch"] * 2


def test_a_storage_that_is_away_is_asked_once(site, world, database):
    hook = SqliteHook(sqlite_conn_id="transcripts_db")
    # There is no such protocol.
    uris = [f"nowhere://bucket/{n}/a/b/c.json" for n in range(5)]
    sql.load(hook, [TranscriptRow(uri, uri, Transcript(text="zebra", raw={})) for uri in uris])
    assert (search(site, "zebra")["total"], search(site, "zebra", "stranger")["total"]) == (5, 0)


def test_a_hit_leads_to_its_transcript_at_its_moment(site, world, database):
    for hit in search(site, "fox", "stranger")["hits"]:
        link = urlsplit(hit["transcript"])
        assert (link.path, link.fragment) == ("page", "t=0")
        query = dict(parse_qsl(link.query))
        got = site.get("api/transcript", "stranger", params=query)
        assert got.json()["text"] == SAID
        if "file" in query:
            assert query["task_id"] == "batch"


def test_hits_are_paged(site, world, database):
    assert search(site, "fox", page=1)["hits"] == []
    assert search(site, "fox", page=1)["total"] == 10
    assert search(site, "nothing of it")["total"] == 0
    assert search(site, "")["total"] == 0
    assert search(site, "")["report"]


@pytest.mark.parametrize("q", ["?!", "x" * 1001, "'; DROP TABLE laplas_transcripts; --"])
def test_any_phrase_is_a_phrase(site, world, database, q):
    got = site.get("api/search", params={"q": q})
    assert got.status_code in {200, 400}
    assert search(site, "fox")["total"] == 10


def test_a_database_that_cannot_be_read_is_a_sentence_without_what_was_asked(site, world, monkeypatch):
    monkeypatch.setenv("AIRFLOW__LAPLAS__TRANSCRIPTS_CONN_ID", "not_there")
    got = site.get("api/search", params={"q": "fox"})
    assert (got.status_code, "cannot be read" in got.json()["detail"]) == (404, True)
