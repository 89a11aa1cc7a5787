"""Which files a task's page may read."""

from dataclasses import replace

import pytest

from airflow_provider_laplas.results import TaskKey
from airflow_provider_laplas.ui.places import lies_below, own_reference, own_xcom, results_folder

KEY = TaskKey("dag", "run", "task", 3)
FOLDER = "s3://conn@bucket/results"


@pytest.mark.parametrize("folder", [FOLDER, f"{FOLDER}/"])
@pytest.mark.parametrize("name", ["a.json", "a b.json", "..a.json", "%2e%2e.json"])
def test_what_lies_in_the_folder_is_read(folder, name):
    assert own_reference(f"{FOLDER}/{name}", KEY, folder) == f"{FOLDER}/{name}"


@pytest.mark.parametrize("folder", [FOLDER, f"{FOLDER}/"])
@pytest.mark.parametrize("name", ["deep/a.json", "%2e%2e/a.json"])
def test_what_lies_deeper_may_be_another_tasks(folder, name):
    assert lies_below(f"{FOLDER}/{name}", folder)
    assert own_reference(f"{FOLDER}/{name}", KEY, folder) is None


@pytest.mark.parametrize("folder", [FOLDER, f"{FOLDER}/"])
def test_the_folder_of_a_recordings_parts_is_the_tasks_own(folder):
    own = f"{FOLDER}/talk.mp4-{KEY.digest}/talk.mp4.json"
    assert own_reference(own, KEY, folder) == own
    another = replace(KEY, dag_id="another")
    assert own_reference(own, another, folder) is None
    assert own_reference(f"{FOLDER}/deep/talk.mp4-{KEY.digest}/talk.mp4.json", KEY, folder) is None
    assert own_reference(f"{FOLDER}/talk.mp4-{KEY.digest}/.parts/1.json", KEY, folder) is None


@pytest.mark.parametrize(
    "result",
    [
        "s3://conn@bucket/results",
        "s3://conn@bucket/results/",
        "s3://conn@bucket/results-of-others/a.json",
        "s3://conn@bucket/results/../secret.json",
        "s3://conn@bucket/results/deep/../../secret.json",
        "s3://conn@bucket/results/./a.json",
        "s3://conn@bucket/results//a.json",
        "s3://conn@bucket/results/..\\a.json",
        "s3://conn@bucket/results/a\0.json",
        "s3://other@bucket/results/a.json",
        "s3://bucket/results/a.json",
        "gs://conn@bucket/results/a.json",
        "/etc/passwd",
        "file:///etc/passwd",
        "",
        None,
        7,
        ["s3://conn@bucket/results/a.json"],
    ],
)
def test_nothing_else_is_read(result):
    assert own_reference(result, KEY, FOLDER) is None


def test_without_a_folder_no_file_is_read():
    assert own_reference("/tmp/a.json", KEY, None) is None


def test_an_xcom_is_read_if_it_is_the_tasks_own():
    own = own_xcom(KEY)
    assert own_reference(own, KEY, None) == own
    for name, other in [
        ("dag_id", "secret"),
        ("run_id", "r"),
        ("task_id", "t"),
        ("map_index", 4),
        ("xcom_key", "password"),
    ]:
        assert own_reference(own | {name: other}, KEY, None) is None
    assert own_reference({"inline": "H4sI"}, KEY, None) is None
    assert own_reference(own | {"more": 1}, KEY, None) is None


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path):
    folder, secret = tmp_path / "results", tmp_path / "secret.json"
    (folder / "deep").mkdir(parents=True)
    secret.write_text("{}")
    (folder / "a.json").write_text("{}")
    (folder / "link.json").symlink_to(secret)
    (folder / "out").symlink_to(tmp_path)
    (folder / "inside.json").symlink_to(folder / "a.json")
    assert lies_below(f"{folder}/a.json", str(folder))
    assert lies_below(f"{folder}/inside.json", f"file://{folder}") is False
    assert lies_below(f"{folder}/inside.json", str(folder))
    assert lies_below(f"file://{folder}/a.json", f"file://{folder}")
    assert not lies_below(f"{folder}/link.json", str(folder))
    assert not lies_below(f"{folder}/out/secret.json", str(folder))


def test_the_folder_is_the_tasks_then_the_connections_then_airflows(monkeypatch):
    monkeypatch.setenv("AIRFLOW__LAPLAS__RESULTS_PATH", "/of/airflow")
    assert results_folder({"results_path": "/of/task"}, lambda: "/of/connection") == "/of/task"
    for nothing in (None, "None", ""):
        assert results_folder({"results_path": nothing}, lambda: "/of/connection") == "/of/connection"
    assert results_folder({}, lambda: None) == "/of/airflow"
    monkeypatch.delenv("AIRFLOW__LAPLAS__RESULTS_PATH")
    assert results_folder({}, lambda: None) is None
