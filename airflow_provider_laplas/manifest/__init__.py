"""A batch's persistent state: its files, the writers' journals, and the lease that allows one writer at a time."""

from airflow_provider_laplas.manifest.files import (
    FAILED_STATES,
    TRANSCRIBED,
    UNFINISHED,
    FileRecord,
    FileState,
)
from airflow_provider_laplas.manifest.manifest import NAME, Manifest
from airflow_provider_laplas.manifest.names import output_name
from airflow_provider_laplas.manifest.summary import ABANDONED_AFTER, read_summary

__all__ = [
    "ABANDONED_AFTER",
    "FAILED_STATES",
    "NAME",
    "TRANSCRIBED",
    "UNFINISHED",
    "FileRecord",
    "FileState",
    "Manifest",
    "output_name",
    "read_summary",
]
