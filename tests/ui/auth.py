"""Airflow's simple auth manager, with a DAG that not everybody may read."""

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

NEWCOMER = "newcomer"
"""Who may read no DAG."""

USERS = {"admin": "admin", "reader": "viewer", "stranger": "viewer", NEWCOMER: "viewer"}
"""Each user's role. A stranger may read all DAGs but those whose names say otherwise."""

PRIVATE = "private"
"""What is in the name of a DAG that a stranger may not read."""

NO_XCOM = "no_xcom"
"""What is in the name of a DAG of which a stranger may read all but the XComs."""


class PickyAuthManager(SimpleAuthManager):
    def is_authorized_dag(self, *, method, user, access_entity=None, details=None):
        dag_id = (details and details.id) or ""
        if user.username == NEWCOMER:
            return False
        if user.username == "stranger" and (
            PRIVATE in dag_id or (NO_XCOM in dag_id and str(access_entity).endswith("XCOM"))
        ):
            return False
        return super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
