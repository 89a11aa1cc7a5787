"""The output formats of a transcript. Pure."""

from typing import Any

from airflow_provider_laplas.arguments import is_template
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import shown

CAPTIONS = ("srt", "vtt")
"""Formats that need times."""

FORMATS = ("json", *CAPTIONS, "txt")
"""``json`` is the API's whole reply, which is always kept; the others are made from it."""


def check_formats(formats: Any) -> Any:
    """
    Return ``formats`` if it is a list of formats or a template.

    :raises LaplasArgumentError: naming ``formats``
    """
    if is_template(formats):
        return formats
    if not isinstance(formats, list | tuple) or (wrong := [one for one in formats if one not in FORMATS]):
        other = wrong[0] if isinstance(formats, list | tuple) else formats
        raise LaplasArgumentError(
            f"`formats` must be a list of {', '.join(FORMATS)}; {shown(other)} is not.", argument="formats"
        )
    return list(formats)
