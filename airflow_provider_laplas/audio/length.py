"""The length of a recording, read from its header before anything is submitted."""

import logging

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.errors import LaplasArgumentError

log = logging.getLogger(__name__)


def audio_seconds(upload: Upload) -> float | None:
    """
    Return the seconds of audio according to the file's header; None if it does not say.

    :raises LaplasArgumentError: naming ``max_audio_seconds``, if the extra ``probe`` is not installed
    """
    try:
        import mutagen  # noqa: PLC0415
    except ImportError:
        raise LaplasArgumentError(
            "`max_audio_seconds` needs the extra `probe`: pip install 'airflow-provider-laplas[probe]'.",
            argument="max_audio_seconds",
        ) from None
    with upload.open() as file:
        try:
            found = mutagen.File(fileobj=file, filename=upload.name)
        except mutagen.MutagenError:
            found = None
    length = getattr(getattr(found, "info", None), "length", None)
    if not length:
        log.warning("The length of %s cannot be read from its header.", upload.name)
    return float(length) if length else None
