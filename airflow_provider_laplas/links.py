"""The task's link in Airflow's UI, and URIs of files for assets."""

from pathlib import Path
from typing import Any

from airflow_provider_laplas.airflow_compat import BaseOperatorLink

# URLs of objects in the providers' web consoles.
_CONSOLES = {
    "s3": "https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={key}",
    "gs": "https://console.cloud.google.com/storage/browser/_details/{bucket}/{key}",
}


class TranscriptLink(BaseOperatorLink):
    """A task's link to its output: the transcript, or a batch's manifest."""

    name = "Transcript"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL in the storage's web console, or the URI if it has none; empty if nothing was written."""
        # Not from the XCom: Airflow also calls this when the task defers, and logs an error if the XCom is missing.
        found = getattr(operator, "written", None)
        return browsable(found) if isinstance(found, str) else ""


def browsable(file: str) -> str:
    """Return a URL to view a file in a browser, or its URI if there is none."""
    uri = asset_uri(file)
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return _CONSOLES[scheme].format(bucket=bucket, key=key) if scheme in _CONSOLES else uri


def asset_uri(uri: str) -> str:
    """Return a file's URI for an asset: with a scheme, without the storage's connection id."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri).absolute().as_uri()
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"
