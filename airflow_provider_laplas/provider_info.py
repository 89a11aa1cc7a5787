"""What Airflow asks of a provider: its name and what it brings."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's registration, valid against Airflow's ``provider_info.schema.json``."""
    return {"package-name": "airflow-provider-laplas", "name": "Laplas", "description": "Speech-to-text."}
