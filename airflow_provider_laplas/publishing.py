"""What a worker makes of a finished transcript that is kept: its quality, its files, and what other tasks are told."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import Asset, AssetAlias, BaseOperatorLink, XCom

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasQualityError
from airflow_provider_laplas.formats import write_formats
from airflow_provider_laplas.options import is_template, nearest
from airflow_provider_laplas.quality import QualitySettings, check
from airflow_provider_laplas.results import Reference
from airflow_provider_laplas.storage import write_text
from airflow_provider_laplas.transcript import Transcript

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
    if quality is None or is_template(quality):
        return quality
    if isinstance(quality, QualitySettings):
        return asdict(quality)
    if not isinstance(quality, Mapping):
        raise LaplasArgumentError(
            f"`quality` must be a dict of settings or None, not {type(quality).__name__}.", argument="quality"
        )
    known = {name: value for name, value in quality.items() if not is_template(value)}
    if is_template(quality.get("expected_language")):
        # Any language stands for the one that the template will name.
        known["expected_language"] = "und"
    read_quality(known)
    return dict(quality)


def read_quality(quality: Mapping[str, Any] | None) -> QualitySettings | None:
    """
    Return the settings of an operator's ``quality``, None where nothing is to be checked.

    :raises LaplasArgumentError: naming ``quality`` or the setting in it
    """
    if quality is None:
        return None
    known = [setting.name for setting in fields(QualitySettings)]
    if unknown := [name for name in quality if name not in known]:
        raise LaplasArgumentError(
            f"`quality` has no setting `{unknown[0]}`.{nearest(str(unknown[0]), known)}", argument="quality"
        )
    return QualitySettings(**quality)


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


def publish(uri: str, transcript: Transcript, formats: Iterable[str]) -> dict[str, str]:
    """
    Write a transcript's other formats beside its reply. Blocking; it may be repeated.

    :param uri: the reply's; a final ``.json`` is replaced
    :return: the URI of each format, the reply's own included
    :raises LaplasArgumentError: naming ``formats``, where captions are asked for and the transcript has no times
    """
    try:
        texts, report = write_formats(transcript, formats)
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
        result = XCom.get_value(ti_key=ti_key, key="return_value")
        found = result.get("result", result.get("manifest")) if isinstance(result, Mapping) else None
        return browsable(found) if isinstance(found, str) else ""


def browsable(reference: Reference) -> str:
    """Return where a browser can look at a file."""
    uri = asset_uri(str(reference))
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return _CONSOLES[scheme].format(bucket=bucket, key=key) if scheme in _CONSOLES else uri
