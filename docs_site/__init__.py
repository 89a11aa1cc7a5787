"""The documentation as a site, with an API reference made from the docstrings: ``make docs``."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "airflow_provider_laplas"
