"""Source audio and outputs as OpenLineage names them. No text of a transcript is in it."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

MOST_DATASETS = 200
"""Datasets that one task names at most; a batch of more names its folder."""


def lineage(inputs: Iterable[str], outputs: Iterable[str]) -> Any:
    """
    Return what OpenLineage takes from an operator. Call it only where its provider is installed.

    :param inputs: URIs of audio, as they may be shown
    :param outputs: URIs of what was written
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

    return OperatorLineage(
        inputs=[Dataset(*dataset_name(uri)) for uri in inputs],
        outputs=[Dataset(*dataset_name(uri)) for uri in outputs],
    )


def dataset_name(uri: str) -> tuple[str, str]:
    """Return namespace and name by OpenLineage's naming conventions; a storage's connection id is left out."""
    if "://" not in uri:
        return "file", uri
    parts = urlsplit(uri)
    path = parts.path or "/"
    if parts.scheme == "file":
        return "file", path
    host = parts.netloc.rpartition("@")[2]
    web = parts.scheme in {"http", "https"}
    return f"{parts.scheme}://{host}", path if web else (path.strip("/") or "/")
