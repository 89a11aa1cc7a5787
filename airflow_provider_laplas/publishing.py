"""What a worker makes of a finished transcript that is kept: its quality, its files, and what other tasks are told."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import Asset, AssetAlias, BaseOperatorLink

from airflow_provider_laplas.arguments import check_settings, read_settings
from airflow_provider_laplas.captions import LATEST, CaptionLimits
from airflow_provider_laplas.captions.formats import write_formats
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasQualityError
from airflow_provider_laplas.results import Reference
from airflow_provider_laplas.storage import write_text
from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.transcript.quality import QualitySettings, check

log = logging.getLogger(__name__)

# Where a browser can look at an object.
_CONSOLES = {
    "s3": "https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={key}",
    "gs": "https://console.cloud.google.com/storage/browser/_details/{bucket}/{key}",
}


class QualitySkip(Exception):  # noqa: N818
    """A quality check that says ``skip``."""


def check_quality(quality: Any) -> Any:
    """
    Return an operator's ``quality`` as plain values; a template, of all or in one of them, is for later.

    :raises LaplasArgumentError: naming ``quality`` or the setting in it
    """
    return check_settings("quality", QualitySettings, quality, stand_ins={"expected_language": "und"})


def read_quality(quality: Mapping[str, Any] | None) -> QualitySettings | None:
    """
    Return the settings of an operator's ``quality``, None where nothing is to be checked.

    :raises LaplasArgumentError: naming ``quality`` or the setting in it
    """
    return read_settings("quality", QualitySettings, quality)


def check_captions(captions: Any) -> Any:
    """
    Return an operator's ``captions`` as plain values; a template, of all or in one of them, is for later.

    :raises LaplasArgumentError: naming ``captions`` or the limit in it
    """
    limits = {"min_duration": 0, "max_duration": LATEST}
    return check_settings("captions", CaptionLimits, captions, stand_ins=limits)


def read_captions(captions: Mapping[str, Any] | None) -> CaptionLimits | None:
    """
    Return the limits of an operator's ``captions``, None where they are the defaults.

    :raises LaplasArgumentError: naming ``captions`` or the limit in it
    """
    return read_settings("captions", CaptionLimits, captions)


def judge(transcript: Transcript, settings: QualitySettings | None, generation_id: str) -> None:
    """
    Check a transcript, and log what is found.

    :raises LaplasQualityError: where a finding says ``fail``
    :raises QualitySkip: where one says ``skip`` and none ``fail``
    """
    findings = check(transcript, settings) if settings else ()
    for finding in findings:
        log.warning("Generation %s: %s", generation_id, finding.message)
    decisive = {
        action: " ".join(f.message for f in findings if f.action == action) for action in ("fail", "skip")
    }
    if decisive["fail"]:
        raise LaplasQualityError(
            f"Generation {generation_id} is finished, billed and kept, but not good enough: {decisive['fail']} A "
            "Clear judges it again, without paying; what is checked is the task's `quality`.",
            generation_id=generation_id,
            findings=decisive["fail"],
        )
    if decisive["skip"]:
        raise QualitySkip(f"Generation {generation_id} is skipped, as `quality` says: {decisive['skip']}")


def publish(
    uri: str, transcript: Transcript, formats: Iterable[str], captions: CaptionLimits | None
) -> dict[str, str]:
    """
    Write a transcript's other formats beside its reply. Blocking; it may be repeated.

    :param uri: the reply's; a final ``.json`` is replaced
    :param captions: what captions keep to; None is the defaults
    :return: the URI of each format, the reply's own included
    :raises LaplasArgumentError: naming ``formats``, where captions are asked for and the transcript has no times
    """
    try:
        texts, report = write_formats(transcript, formats, captions)
    except LaplasArgumentError as error:
        raise LaplasArgumentError(
            f"`formats` cannot be written: {error} The reply is kept.", argument="formats"
        ) from None
    if report:
        log.info("%s: %s", uri.rpartition("/")[2], report)
    files = {"json": uri}
    for name, text in texts.items():
        files[name] = f"{uri.removesuffix('.json')}.{name}"
        write_text(files[name], text)
    return files


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


def asset_uri(uri: str) -> str:
    """Return a file's URI as an asset has it: with a scheme, without the id of its storage's connection."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri).absolute().as_uri()
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


class TranscriptLink(BaseOperatorLink):
    """A task's link to what it wrote: the transcript, or a batch's manifest."""

    name = "Transcript"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address in the storage's own console where there is one, else the URI; empty where there is none."""
        # Not from the return value: Airflow asks for a link at a deferral, too, and logs an error where there is none.
        found = getattr(operator, "written", None)
        return browsable(found) if isinstance(found, str) else ""


def browsable(reference: Reference) -> str:
    """Return where a browser can look at a file."""
    uri = asset_uri(str(reference))
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return _CONSOLES[scheme].format(bucket=bucket, key=key) if scheme in _CONSOLES else uri
