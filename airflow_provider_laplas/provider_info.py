"""The provider's registration with Airflow. Imported by every Airflow process, so keep it light."""

from typing import Any

_INTEGRATION = "Laplas"
_GUIDES = (
    "transcribe-one",
    "transcribe-thousands",
    "video-and-long-recordings",
    "pipeline",
    "captions",
    "database",
)
_OF_A_SCHEMA = ("default", "minimum", "maximum", "format")


def get_provider_info() -> dict[str, Any]:
    """Return the provider's registration, valid against Airflow's ``provider_info.schema.json``."""
    from airflow_provider_laplas.client.settings import CONNECTION_TYPE, EXTRA_FIELDS, USUAL_FIELDS  # noqa: PLC0415

    return {
        "package-name": "airflow-provider-laplas",
        "name": _INTEGRATION,
        "description": "Asynchronous speech-to-text with the Laplas API.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://apilaplas.com/",
                # Paths in the sdist, as Airflow's own providers give them.
                "how-to-guide": [f"/docs/{name}.md" for name in _GUIDES],
                "logo": "/docs/integration-logos/laplas.svg",
                "tags": ["service"],
            }
        ],
        "hooks": [_modules("hooks")],
        "operators": [_modules("operators")],
        "sensors": [_modules("sensors")],
        "triggers": [_modules("triggers")],
        "task-decorators": [
            {"name": "transcribe", "class-name": "airflow_provider_laplas.decorators.transcribe_task"}
        ],
        "extra-links": ["airflow_provider_laplas.links.TranscriptLink"],
        "config": {
            "laplas": {
                "description": "Speech-to-text with the Laplas API.",
                "options": {
                    "results_path": {
                        "description": (
                            "Folder in object storage for finished replies, if neither the task nor the connection "
                            "sets one. Without a folder, replies become XComs, which Airflow deletes when the task "
                            "is retried or cleared."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@bucket/transcripts",
                        "default": "",
                    },
                    "record_store": {
                        "description": (
                            "Where a task notes what it has submitted, for its retries. Empty: in Airflow's state store, "
                            "or in the results folder before Airflow 3.3, which has none. ``variable``: in Airflow's "
                            "Variables, which never expire."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "variable",
                        "default": "",
                    },
                    "transcripts_conn_id": {
                        "description": (
                            "The connection of the database that transcripts are loaded into, which the page "
                            "Transcripts searches. Empty: there is nothing to search."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "transcripts_db",
                        "default": "",
                    },
                },
            },
        },
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": "airflow_provider_laplas.hooks.LaplasHook",
                "hook-name": "Laplas",
                "ui-field-behaviour": dict(USUAL_FIELDS),
                "conn-fields": {
                    name: {
                        "label": form["label"],
                        "description": form["description"],
                        "schema": {
                            "type": [form["type"], "null"],
                            **{name: form[name] for name in _OF_A_SCHEMA if name in form},
                        },
                    }
                    for name, form in EXTRA_FIELDS.items()
                },
            }
        ],
    }


def _modules(name: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": [f"airflow_provider_laplas.{name}"]}
