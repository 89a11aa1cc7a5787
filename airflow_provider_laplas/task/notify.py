"""What a finished task tells others: assets, lineage, the price. No text of a transcript is in it."""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_laplas.airflow_compat import Asset, AssetAlias
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.links import asset_uri

if TYPE_CHECKING:
    from airflow_provider_laplas.hooks import LaplasHook

log = logging.getLogger(__name__)

MOST_DATASETS = 200
"""Datasets that one task names at most; a batch of more names its folder."""


def emit_asset(context: Mapping[str, Any], outlets: Iterable[Any], file: str, **extra: Any) -> None:
    """
    Have each asset alias among a task's outlets say that a file was written, once the task succeeds.

    :param file: its URI; the asset's is without the id of the storage's connection, so put what loads it into ``extra``
    :param extra: what the event tells; what is None is left out
    """
    known = {name: value for name, value in extra.items() if value is not None}
    uri = asset_uri(file)
    for alias in outlets:
        if isinstance(alias, AssetAlias):
            context["outlet_events"][alias].add(Asset(name=uri, uri=uri), extra=known)


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


def price_of(hook: "LaplasHook | None") -> float | None:
    """Return a connection's price of a minute, None where it has none, or is gone by now."""
    try:
        return hook.client.settings.price_per_minute if hook else None
    except LaplasError as error:
        log.warning("The cost cannot be estimated: %s", error)
        return None
