"""Nobody gets data without the right to the XComs and the task instances of the DAG: every route is tried."""

import pytest
from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend
from fastapi.routing import APIRoute

from airflow_provider_laplas.ui.app import make_app
from tests.ui.auth import NO_XCOM, PRIVATE
from tests.ui.conftest import SAID

WITHOUT_DATA = {"/page", "/search"}
"""The page itself, which is the same for everybody and asks for its data by the other routes."""

NOT_OF_A_TASK = {"/api/search"}

ROUTES = [route for route in make_app().routes if isinstance(route, APIRoute)]
DATA = sorted({route.path for route in ROUTES} - WITHOUT_DATA)
OF_A_TASK = sorted(set(DATA) - NOT_OF_A_TASK)
TASKS = ["file", "xcom", "sensor", "submit", "batch", "decorated"]


def asked(path, task_id):
    """What else a route is asked for."""
    return {"format": "txt", "q": "quick brown", **({"file": "a.mp3"} if task_id == "batch" else {})}


def test_the_routes_are_those_that_are_known():
    assert set(OF_A_TASK) == {
        f"/api/{name}" for name in ("task", "transcript", "download", "audio", "batch", "files")
    }
    assert all(route.methods <= {"GET", "HEAD"} for route in ROUTES)


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiJ9."},
        {"Cookie": "_token=nonsense"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
    ],
    ids=["nobody", "nonsense", "unsigned", "cookie", "basic"],
)
def test_nobody_gets_data_without_a_valid_token(site, world, path, method, headers):
    got = site.get(
        path.lstrip("/"),
        None,
        method=method,
        headers=headers,
        params=world.query("public", "file", **asked(path, "file")),
    )
    # 405: this route has no HEAD.
    assert got.status_code in {401, 403, 405}
    assert SAID not in got.text


@pytest.mark.parametrize("path", OF_A_TASK)
@pytest.mark.parametrize("task_id", TASKS)
@pytest.mark.parametrize("dag_id", [PRIVATE, NO_XCOM])
def test_whoever_may_not_read_a_dags_xcoms_gets_nothing_of_it(site, world, path, task_id, dag_id):
    query = world.query(dag_id, task_id, **asked(path, task_id))
    got = site.get(path.lstrip("/"), "stranger", params=query)
    assert (got.status_code, got.json()) == (403, {"detail": "Forbidden"})


@pytest.mark.parametrize("path", OF_A_TASK)
@pytest.mark.parametrize(
    "names",
    [
        [],
        [("dag_id", "")],
        [("dag_id", " ")],
        [("dag_id", "~")],
        [("dag_id", "public"), ("dag_id", PRIVATE)],
        [("dag_id", PRIVATE), ("dag_id", "public")],
        [("dag_id", "public"), ("DAG_ID", PRIVATE)],
        [("dag_id", f"public\0{PRIVATE}")],
        [("dag_id[]", PRIVATE), ("dag_id", "public")],
        [("dag_id", "public;dag_id=" + PRIVATE)],
        [("dag_id", "%70rivate")],
    ],
)
def test_no_way_to_name_a_dag_leads_around_the_check(site, world, path, names):
    key = world.key(PRIVATE, "file")
    others = {"run_id": key.run_id, "task_id": key.task_id, "map_index": "-1", **asked(path, "file")}
    got = site.get(path.lstrip("/"), "stranger", params=[*names, *others.items()])
    assert got.status_code in {400, 403, 404}
    assert SAID not in got.text
    assert list(got.json()) == ["detail"]


@pytest.mark.parametrize("path", OF_A_TASK)
@pytest.mark.parametrize("name", ["dag_id", "run_id", "task_id", "map_index", "file", "format"])
def test_a_parameter_that_is_given_twice_is_refused(site, world, path, name):
    query = {"file": "a", "format": "txt"} | world.query("public", "file")
    got = site.get(path.lstrip("/"), params=[*query.items(), (name, query[name])])
    assert (got.status_code, got.json()) == (400, {"detail": "A parameter is given more than once."})


@pytest.mark.parametrize("path", OF_A_TASK)
@pytest.mark.parametrize("change", [{"run_id": "other"}, {"task_id": "other_task"}, {"map_index": "7"}])
def test_there_is_nothing_of_a_task_instance_that_is_not_there(site, world, path, change):
    query = world.query("public", "file", **asked(path, "file")) | change
    got = site.get(path.lstrip("/"), params=query)
    assert (got.status_code, got.json()) == (404, {"detail": "There is no such task instance."})


def test_a_viewer_sees_what_a_viewer_may_see(site, world):
    for user in ("reader", "stranger"):
        got = site.get("api/transcript", user, params=world.query("public", "file"))
        assert got.json()["text"] == SAID
    assert site.get("api/transcript", "reader", params=world.query(PRIVATE, "file")).json()["text"] == SAID


@pytest.mark.parametrize("path", [*DATA, "/nothing", "/static/nothing.js"])
def test_every_answer_has_the_headers_that_keep_it_to_itself(site, world, path):
    got = site.get(path.lstrip("/"), params=world.query("public", "file"))
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Referrer-Policy"] == "no-referrer"
    assert got.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert got.headers["Cache-Control"] in {"private, no-store", "private, no-cache", "no-cache"}


class TestXComBackend:
    """XComs that Airflow keeps in object storage, below their ids."""

    @pytest.fixture(scope="class")
    def stored(self, world, tmp_path_factory):
        """Return a function that stores an XCom as the backend does, and returns what is in the database then."""
        base = tmp_path_factory.mktemp("xcoms")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH", base.as_uri())
            patch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD", "0")
            patch.setattr("airflow.sdk.execution_time.xcom.XCom", XComObjectStorageBackend)

            def stored(value, dag_id, run_id, task_id):
                return XComObjectStorageBackend.serialize_value(
                    value, key="reply", dag_id=dag_id, run_id=run_id, task_id=task_id
                )

            yield stored

    def test_a_tasks_own_are_read(self, site, world, xcom, stored):
        key = world.key("public", "xcom")
        value = world.xcom("public", "xcom", "reply")
        xcom("public", "xcom", "reply", stored(value, key.dag_id, key.run_id, key.task_id))
        assert site.get("api/transcript", params=world.query("public", "xcom")).json()["text"] == SAID

    def test_an_edited_one_leads_to_no_others(self, site, world, xcom, stored):
        key = world.key(PRIVATE, "xcom")
        value = world.xcom(PRIVATE, "xcom", "reply")
        place = stored(value, PRIVATE, key.run_id, key.task_id)
        base, _, below = place.partition(f"/{PRIVATE}/")
        own = world.key("public", "xcom")
        folder = f"{base}/public/{own.run_id}/xcom"
        # A task of the other DAG may be called as this one is.
        like_it = stored(value, PRIVATE, key.run_id, "public")
        for edited in (
            place,
            like_it,
            f"{base}/public/../{PRIVATE}/{below}",
            f"{folder}/../../../{PRIVATE}/{below}",
            f"{folder}/%2e%2e/%2e%2e/%2e%2e/{PRIVATE}/{below}",
        ):
            xcom("public", "xcom", "reply", edited)
            got = site.get("api/transcript", "stranger", params=world.query("public", "xcom"))
            assert (got.status_code, SAID in got.text) == (404, False), edited
