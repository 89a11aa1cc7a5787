"""The runner of a real Airflow itself."""

from pathlib import Path

import pytest
import requests

from airflow_stack.processes import ProcessDiedError, session_members
from airflow_stack.rest import AirflowRest, AirflowRestError
from airflow_stack.stack import AirflowStack


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "airflow.cfg").touch()

    with pytest.raises(ValueError, match="not empty"):
        AirflowStack(Path("dags"), home=tmp_path)


def test_a_process_that_cannot_start_shows_its_log_and_the_others_are_ended(tmp_path):
    broken = AirflowStack(
        tmp_path / "dags", home=tmp_path / "home", config={"core": {"executor": "NoSuchExecutor"}}
    )

    with pytest.raises(ProcessDiedError, match="NoSuchExecutor"), broken:
        pytest.fail("an Airflow without an executor is healthy")

    with pytest.raises(requests.ConnectionError):
        broken.health()


def test_a_killed_triggerer_can_be_replaced(stack):
    before = stack.process("triggerer").pid

    stack.kill("triggerer")
    assert session_members(before) == []
    stack.start_process("triggerer")
    stack.await_healthy()

    assert stack.process("triggerer").pid != before


def test_an_error_of_the_rest_api_says_what_airflow_said(stack):
    with pytest.raises(AirflowRestError, match=r"GET /api/v2/dags/.* 404 ") as caught:
        stack.xcom("transcribe_url", "no-such-run", "wait")

    assert caught.value.status == 404


def test_a_dag_that_does_not_exist_is_waited_for_only_so_long(stack):
    with pytest.raises(TimeoutError, match="no_such_dag: not parsed within 0 s"):
        stack.trigger("no_such_dag", timeout=0)


def test_an_airflow_with_users_lets_its_own_client_in_and_nobody_else(tmp_path):
    config = {"core": {"simple_auth_manager_all_admins": False}}
    with AirflowStack(tmp_path, home=tmp_path / "home", config=config) as guarded:
        assert guarded.dag_ids() == set()
        with pytest.raises(AirflowRestError) as refused:
            AirflowRest(guarded.base_url).dag_ids()

    assert refused.value.status in {401, 403}
