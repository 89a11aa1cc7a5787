"""What a finished task reports: asset events, lineage and the price; never text from a transcript."""

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
"""The most datasets that one task reports; a larger batch reports its folder instead."""


def emit_asset(context: Mapping[str, Any], outlets: Iterable[Any], file: str, **extra: Any) -> None:
    """
    Add an asset event for a file to each asset alias among the task's outlets. Airflow emits it if the task succeeds.

    :param file: its URI. The asset's URI omits the connection id, so put what is needed to load the file in ``extra``
    :param extra: the event's extra; values that are None are left out
    """
    known = {name: value for name, value in extra.items() if value is not None}
    uri = asset_uri(file)
    for alias in outlets:
        if isinstance(alias, AssetAlias):
            context["outlet_events"][alias].add(Asset(name=uri, uri=uri), extra=known)


def lineage(inputs: Iterable[str], outputs: Iterable[str]) -> Any:
    """
    Return an ``OperatorLineage``. Needs the OpenLineage provider.

    :param inputs: URIs of audio, redacted
    :param outputs: URIs of the files that were written
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

    return OperatorLineage(
        inputs=[Dataset(*dataset_name(uri)) for uri in inputs],
        outputs=[Dataset(*dataset_name(uri)) for uri in outputs],
    )


def dataset_name(uri: str) -> tuple[str, str]:
    """Return namespace and name by OpenLineage's naming conventions, without the storage's connection id."""
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
    """Return a connection's price per minute; None if it has none, or the connection cannot be read."""
    try:
        return hook.client.settings.price_per_minute if hook else None
    except LaplasError as error:
        log.warning("The cost cannot be estimated: %s", error)
        return None
