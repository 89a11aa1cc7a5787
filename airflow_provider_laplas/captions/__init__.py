"""
Captions from a transcript: cues that follow subtitling guidelines, written as SRT or WebVTT.

The limits are those of Netflix's Timed Text Style Guides (general requirements, and English (USA)). If they conflict,
this is the order of precedence:

1. cues are in order of time and do not overlap;
2. a cue has one speaker;
3. line length and number of lines are within the limits;
4. a cue is on screen for 5/6 s to 7 s;
5. the reading speed is at most 20 characters a second.

Words are never split or lost. Exceptions to the limits are counted: see :data:`KINDS`. Nothing in here uses a clock or
the network, and the output is deterministic.

============  =======================================================================
module        contents
============  =======================================================================
``cues``      the limits, and a single cue
``measure``   the space and reading time of a text, by its script
``layout``    splits words into cues and lines
``timing``    start and end times of words and cues
``writers``   SRT and WebVTT
``making``    makes captions from a transcript
``formats``   the output formats of a task
============  =======================================================================
"""

from typing import TYPE_CHECKING

from airflow_provider_laplas.captions.cues import KINDS, CaptionLimits, Cue
from airflow_provider_laplas.lazy_names import lazy_names
from airflow_provider_laplas.transcript.values import LATEST

if TYPE_CHECKING:
    from airflow_provider_laplas.captions.making import Captions, make_captions
    from airflow_provider_laplas.captions.measure import width

__all__ = ["KINDS", "LATEST", "CaptionLimits", "Captions", "Cue", "make_captions", "width"]

__getattr__ = lazy_names(__name__, making=["Captions", "make_captions"], measure=["width"])
