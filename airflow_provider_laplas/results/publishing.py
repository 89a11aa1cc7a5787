"""Check the quality of a stored transcript, and write its other formats."""

import logging
from collections.abc import Callable, Iterable

from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.captions.making import write_formats
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasQualityError
from airflow_provider_laplas.storage import Storage
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.quality import QualitySettings, check

log = logging.getLogger(__name__)


def check_quality(
    transcript: Transcript,
    settings: QualitySettings | None,
    generation_id: str | None,
    *,
    name: str = "",
    report: Callable[[list[str]], None] | None = None,
) -> str | None:
    """
    Check a transcript and log the findings.

    :param name: of the transcript, where it is not of one generation: of a recording in parts, or one that was found
    :param report: called with the findings' messages, if there are any, whatever their actions
    :return: the reason to skip it, if a finding's action is ``skip``
    :raises LaplasQualityError: if a finding's action is ``fail``
    """
    findings = check(transcript, settings) if settings else ()
    what = f"Generation {generation_id}" if generation_id else f"The transcript {name}"
    for finding in findings:
        log.warning("%s: %s", what, finding.message)
    if findings and report is not None:
        report([finding.message for finding in findings])
    decisive = {
        action: " ".join(f.message for f in findings if f.action == action) for action in ("fail", "skip")
    }
    if decisive["fail"]:
        raise LaplasQualityError(
            f"{what} is finished, billed and kept, but not good enough: {decisive['fail']} Clear "
            "the task to check it again without paying; the task's `quality` sets the checks.",
            generation_id=generation_id or name,
            findings=decisive["fail"],
        )
    if decisive["skip"]:
        return f"{what} is skipped, as set by `quality`: {decisive['skip']}"
    return None


def publish(
    uri: str,
    transcript: Transcript,
    formats: Iterable[str],
    captions: CaptionLimits | None,
    storage: Storage,
) -> dict[str, str]:
    """
    Write a transcript's other formats beside its reply. Blocking; may be repeated.

    :param uri: the reply's URI, whose ``.json`` is replaced
    :param captions: limits of the captions; None uses the defaults
    :return: the URI of each format, including the reply's
    :raises LaplasArgumentError: naming ``formats``, if captions are requested and the transcript has no times
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
