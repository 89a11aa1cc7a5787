"""What is made of a finished transcript that is kept: a judgement of its quality, and its other formats."""

import logging
from collections.abc import Iterable

from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.captions.making import write_formats
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasQualityError
from airflow_provider_laplas.storage import Storage
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.quality import QualitySettings, check

log = logging.getLogger(__name__)


def check_quality(transcript: Transcript, settings: QualitySettings | None, generation_id: str) -> str | None:
    """
    Check a transcript, log what is found, and return why it is to be skipped, if a finding says ``skip``.

    :raises LaplasQualityError: where a finding says ``fail``
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
        return f"Generation {generation_id} is skipped, as `quality` says: {decisive['skip']}"
    return None


def publish(
    uri: str,
    transcript: Transcript,
    formats: Iterable[str],
    captions: CaptionLimits | None,
    storage: Storage,
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
        storage.write_text(files[name], text)
    return files
