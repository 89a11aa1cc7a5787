"""
Captions from a transcript: cues by the guidelines that subtitlers work to, written as SRT or WebVTT.

The limits are those of Netflix's Timed Text Style Guides (general requirements, and English (USA)). Where they
conflict, the first of these wins:

1. no two cues overlap, and they are in order of time;
2. a cue holds the words of one speaker;
3. no line is longer than the limit, and there are no more lines than allowed;
4. a cue is on screen for 5/6 s to 7 s;
5. a cue asks for no more than 20 characters a second.

A word is never cut and never lost. What a limit had to yield to is counted: see :data:`KINDS`. Nothing in here reads
a clock or a network, and the same transcript gives the same captions.

============  =======================================================================
module        what is in it
============  =======================================================================
``cues``      what a caption is: its limits, one cue on screen
``measure``   how much time and room a text takes, by its script
``layout``    how words become cues and lines
``timing``    when each word was said, and when each cue is on screen
``writers``   SRT and WebVTT
``making``    all of these, from a transcript to its captions
``formats``   the formats in which a task writes
============  =======================================================================
"""

from typing import TYPE_CHECKING

from airflow_provider_laplas.captions.cues import KINDS, LATEST, CaptionLimits, Cue
from airflow_provider_laplas.lazy_names import lazy_names

if TYPE_CHECKING:
    from airflow_provider_laplas.captions.making import Captions, make_captions
    from airflow_provider_laplas.captions.measure import width

__all__ = ["KINDS", "LATEST", "CaptionLimits", "Captions", "Cue", "make_captions", "width"]

__getattr__ = lazy_names(__name__, making=["Captions", "make_captions"], measure=["width"])
