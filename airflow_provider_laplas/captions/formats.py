"""The formats in which a transcript is written beside the API's reply. Pure."""

from collections.abc import Iterable
from typing import Any

from airflow_provider_laplas.arguments import is_template
from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.captions.making import make_captions
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript.model import Transcript

CAPTIONS = ("srt", "vtt")
"""Formats that need times."""

FORMATS = ("json", *CAPTIONS, "txt")
"""``json`` is the API's whole reply, which is always kept; the others are made of it."""


def check_formats(formats: Any) -> Any:
    """
    Return ``formats``, if it is a list of formats, or a template of one.

    :raises LaplasArgumentError: naming ``formats``
    """
    if is_template(formats):
        return formats
    if not isinstance(formats, list | tuple) or (wrong := [one for one in formats if one not in FORMATS]):
        shown = repr(wrong[0]) if isinstance(formats, list | tuple) else repr(formats)
        raise LaplasArgumentError(
            f"`formats` must be a list of {', '.join(FORMATS)}; {shown} is not.", argument="formats"
        )
    return list(formats)


def write_formats(
    transcript: Transcript, formats: Iterable[str], limits: CaptionLimits | None = None
) -> tuple[dict[str, str], str]:
    """
    Write a transcript in some formats, of which ``json`` is left out.

    :param limits: what captions keep to; None is the defaults
    :return: the text of each format, and one sentence on the limits that the captions could not keep, if any
    :raises LaplasArgumentError: naming ``transcript``, where captions are asked for and it has no times
    """
    wanted = [name for name in FORMATS if name in set(formats) - {"json"}]
    captions = make_captions(transcript, limits) if set(CAPTIONS) & set(wanted) else None
    texts = {}
    for name in wanted:
        if name == "txt" or captions is None:
            texts[name] = transcript.to_txt()
        else:
            texts[name] = captions.to_srt() if name == "srt" else captions.to_vtt()
    return texts, captions.report if captions else ""
