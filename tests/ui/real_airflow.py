"""A real Airflow of four processes, with a task in each state of the tab and users of whom not all may read everything."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_stack.processes import await_condition
from airflow_stack.stack import AirflowStack
from tests.fake_api import FakeAPI, transcript_reply
from tests.paths import JFK_MP3, ROOT
from tests.patience import PATIENCE
from tests.ui.conftest import settings_of_users

"""Seconds that a busy machine gets."""

FINISHED = ("public_pages", "private_pages", "modules")
WAITING = "waiting_pages"


@contextmanager
def airflow_with_pages(folder: Path, said: str, environment: Mapping[str, str]) -> Iterator[AirflowStack]:
    """
    Run an Airflow with the DAGs of ``dags/pages.py``.

    :param folder: an empty one, for the recordings, and all that tasks write
    :param said: what the API transcribes of every recording
    :param environment: laid over Airflow's
    """
    dags = folder / "dags"
    for each in (folder / "inbox", dags):
        each.mkdir()
    for name in ("talk.mp3", "inbox/a.mp3", "inbox/b.mp3"):
        shutil.copy(JFK_MP3, folder / name)
    shutil.copy(Path(__file__).parent / "dags" / "pages.py", dags)
    with FakeAPI() as api, FakeAPI(polls_until_done=10**9) as slow:
        api.default_reply = transcript_reply(said)
        refused = json.loads(api.connection()) | {"password": "another-key"}
        common = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "PAGES_FOLDER": str(folder),
            "AIRFLOW_CONN_LAPLAS_DEFAULT": api.connection(),
            "AIRFLOW_CONN_LAPLAS_SLOW": slow.connection(),
            "AIRFLOW_CONN_LAPLAS_REFUSED": json.dumps(refused),
            **settings_of_users(),
        }
        with AirflowStack(dags, environment=common | dict(environment)) as stack:
            yield stack


def run_pages(stack: AirflowStack) -> dict[str, str]:
    """Run the DAGs, all but one to their end, that one until both of its tasks wait; return each run's id."""
    found = {name: stack.trigger(name) for name in (*FINISHED, WAITING)}
    for name in FINISHED:
        stack.wait(name, found[name], PATIENCE)
    await_condition(
        lambda: {task.state for task in stack.task_states(WAITING, found[WAITING])} == {"deferred"},
        what="two deferred tasks",
    )
    return found


def passwords_of(stack: AirflowStack) -> Any:
    """Return the password of each user, which Airflow has made up."""
    return json.loads((stack.home / "simple_auth_manager_passwords.json.generated").read_text())
