"""
What ``audio`` may be, which audio is the same, and how long it is.

===============  =========================================================================
``sources``      paths, URIs, URLs and folders, and how they become what is submitted
``fingerprint``  which audio, and which request, is the same work
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
