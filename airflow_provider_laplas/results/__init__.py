"""
Storing a finished transcript and writing its other formats.

==============  ==========================================================================
``keeping``     stores a reply as a file in object storage or as an XCom, and loads it
``output``      the arguments for folder, formats, captions and quality, and their checks
``publishing``  checks a transcript's quality and writes its other formats
==============  ==========================================================================
"""

from typing import TYPE_CHECKING

from airflow_provider_laplas.lazy_names import lazy_names

if TYPE_CHECKING:
    from airflow_provider_laplas.results.keeping import (
        Place,
        Reference,
        TaskKey,
        akeep_reply,
        inline,
        keep_reply,
        load_reply,
        load_transcript,
        write_reply,
    )

__all__ = [
    "Place",
    "Reference",
    "TaskKey",
    "akeep_reply",
    "inline",
    "keep_reply",
    "load_reply",
    "load_transcript",
    "write_reply",
]

__getattr__ = lazy_names(__name__, keeping=__all__)
