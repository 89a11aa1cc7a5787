"""
Where a finished transcript is kept, and what is written beside it.

==============  ==========================================================================
``keeping``     a reply as a file in object storage, or as an XCom; and how it is loaded
``output``      what a task makes of a transcript: its arguments and their checks
``publishing``  the judgement of its quality, and its other formats
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
