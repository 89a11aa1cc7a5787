"""
The audio to transcribe: where it comes from, how it is identified, and how long it is.

===============  =========================================================================
``sources``      paths, URIs, URLs and folders, and how they are submitted
``fingerprint``  identifies the same audio and the same request
``length``       seconds, read from a file's header
===============  =========================================================================
"""

from airflow_provider_laplas.audio.sources import (
    AUDIO_SUFFIXES,
    check_audio,
    check_place,
    is_web_url,
    list_audio,
    open_source,
    open_upload,
)

__all__ = [
    "AUDIO_SUFFIXES",
    "check_audio",
    "check_place",
    "is_web_url",
    "list_audio",
    "open_source",
    "open_upload",
]
