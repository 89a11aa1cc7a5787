"""The example DAGs are ``dags/`` in the repository, and ``airflow_provider_laplas/example_dags/`` in the wheel."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExampleDags(BuildHookInterface):  # type: ignore[type-arg]  # hatchling is there while it builds, and not for mypy.
    """Put the example DAGs where Airflow looks for those of a provider."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Leave an editable installation as it is: a copy would grow old beside the files that are edited."""
        if version == "standard":
            build_data["force_include"]["dags"] = "airflow_provider_laplas/example_dags"
