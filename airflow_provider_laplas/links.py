"""The link of a task in Airflow's UI, and a file's URI as others are told it."""

from pathlib import Path
from typing import Any

from airflow_provider_laplas.airflow_compat import BaseOperatorLink

# Where a browser can look at an object.
_CONSOLES = {
    "s3": "https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={key}",
    "gs": "https://console.cloud.google.com/storage/browser/_details/{bucket}/{key}",
}


class TranscriptLink(BaseOperatorLink):
    """A task's link to what it wrote: the transcript, or a batch's manifest."""

    name = "Transcript"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address in the storage's own console where there is one, else the URI; empty where there is none."""
        # Not from the return value: Airflow asks for a link at a deferral, too, and logs an error where there is none.
        found = getattr(operator, "written", None)
        return browsable(found) if isinstance(found, str) else ""


def browsable(file: str) -> str:
    """Return where a browser can look at a file."""
    uri = asset_uri(file)
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return _CONSOLES[scheme].format(bucket=bucket, key=key) if scheme in _CONSOLES else uri


def asset_uri(uri: str) -> str:
    """Return a file's URI as an asset has it: with a scheme, without the id of its storage's connection."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri).absolute().as_uri()
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"
