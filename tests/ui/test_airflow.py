"""The tab's data in a real Airflow of four processes, with its plugin loaded as Airflow loads plugins."""

import pytest
import requests

from tests.fake_api import TEXT
from tests.paths import JFK_MP3
from tests.patience import PATIENCE
from tests.ui.auth import USERS
from tests.ui.conftest import Site
from tests.ui.real_airflow import airflow_with_pages, passwords_of, run_pages

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with airflow_with_pages(tmp_path_factory.mktemp("pages"), TEXT, {}) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(stack):
    passwords = passwords_of(stack)

    def ask(user):
        body = {"username": user, "password": passwords[user]}
        return requests.post(f"{stack.base_url}/auth/token", json=body, timeout=PATIENCE).json()[
            "access_token"
        ]

    return {user: ask(user) for user in USERS}


@pytest.fixture(scope="module")
def pages(stack, tokens):
    return Site(stack.base_url, tokens.__getitem__)


@pytest.fixture(scope="module")
def runs(stack):
    return run_pages(stack)


@pytest.fixture
def ask(pages, runs):
    def ask(path, task_id, user="reader", dag_id="public_pages", **more):
        query = {
            "dag_id": dag_id,
            "run_id": runs[dag_id],
            "task_id": task_id,
            "map_index": "{MAP_INDEX}",
            **more,
        }
        return pages.get(f"api/{path}", user, params=query)

    return ask


def test_airflow_lists_the_plugin_with_its_tab_and_its_page(stack, tokens):
    got = requests.get(
        f"{stack.base_url}/api/v2/plugins", headers={"Authorization": f"Bearer {tokens['admin']}"}, timeout=30
    ).json()
    [ours] = [plugin for plugin in got["plugins"] if plugin["name"] == "laplas"]
    assert {view["destination"]: view["name"] for view in ours["external_views"]} == {
        "task_instance": "Transcript",
        "nav": "Transcripts",
    }
    assert [each["url_prefix"] for each in ours["fastapi_apps"]] == ["/laplas"]


def test_a_finished_task(ask):
    facts = ask("task", "done").json()
    assert (facts["kind"], facts["state"], facts["error"]) == ("transcript", "finished", None)
    assert ask("transcript", "done").json()["text"] == TEXT
    assert ask("transcript", "in_xcom").json()["text"] == TEXT
    assert ask("download", "in_xcom", format="vtt").text.startswith("WEBVTT")
    assert ask("audio", "done").content == JFK_MP3.read_bytes()


def test_a_failed_task_tells_its_error(ask):
    facts = ask("task", "refused").json()
    assert (facts["state"], "refused the key" in facts["error"]["message"]) == ("failed", True)
    assert facts["error"]["advice"]


def test_a_finished_batch(ask):
    assert ask("batch", "batch").json()["counts"] == {"completed": 2}
    files = ask("files", "batch").json()["files"]
    assert [ask("transcript", "batch", file=row["output"]).json()["text"] for row in files] == [TEXT] * 2


def test_a_waiting_task_tells_what_its_trigger_knows(ask):
    facts = ask("task", "waits", dag_id="waiting_pages").json()
    assert (facts["kind"], facts["state"], facts["airflow_state"]) == ("transcript", "waiting", "deferred")
    assert facts["generation_id"]
    assert facts["deadline"] > facts["since"]
    assert facts["refresh"]
    assert ask("transcript", "waits", dag_id="waiting_pages").status_code == 404


def test_a_batch_at_work_tells_how_far_it_is(ask):
    facts = ask("task", "batch", dag_id="waiting_pages").json()
    assert (facts["kind"], facts["state"]) == ("batch", "waiting")
    got = ask("batch", "batch", dag_id="waiting_pages")
    assert (got.json()["files"], got.json()["active"]) == (2, True)
    assert len(got.content) < 50_000
    assert {row["state"] for row in ask("files", "batch", dag_id="waiting_pages").json()["files"]} == {
        "submitted"
    }


@pytest.mark.parametrize("path", ["task", "transcript", "download", "audio", "batch", "files"])
@pytest.mark.parametrize("task_id", ["done", "in_xcom", "batch", "refused"])
def test_a_user_without_the_right_gets_nothing(ask, path, task_id):
    for user, status in (("stranger", 403), (None, 401)):
        got = ask(path, task_id, user, dag_id="private_pages", format="txt", file="a.mp3.json")
        assert (got.status_code, list(got.json()), TEXT in got.text) == (status, ["detail"], False)


def test_a_browser_is_known_by_its_cookie(pages, runs, tokens):
    query = {"dag_id": "public_pages", "run_id": runs["public_pages"], "task_id": "done"}
    for token, status in ((tokens["reader"], 200), ("nonsense", 403)):
        got = pages.get("api/task", None, params=query, headers={"Cookie": f"_token={token}"})
        assert got.status_code == status


def test_a_task_has_loaded_none_of_the_pages(stack, runs):
    loaded = stack.xcom("modules", runs["modules"], "loaded")
    assert "airflow.sdk" in loaded
    # A web framework is there as well: Airflow's own executor has it.
    assert not [name for name in loaded if name.startswith("airflow_provider_laplas.ui")]
