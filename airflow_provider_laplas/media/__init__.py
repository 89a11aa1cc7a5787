"""
Before an upload: takes the audio out of a video, cuts what is too large into parts, leaves out silence.

Independent of Airflow. The extra ``media`` brings what decodes and encodes; without it, only settings and plans work.

=============  ============================================================================
``settings``   what is to be done
``plan``       what is sent of a recording, and where it is cut; pure
``prepare``    makes the plan of a file, and the uploads that the plan says
``probing``    what a file's header says: container, tracks, length, protection
``decoding``   the samples of a track, streamed
``silence``    how long a recording is, how loud, and where nobody speaks
``rendering``  writes a part to a file
=============  ============================================================================
"""

from typing import TYPE_CHECKING

from airflow_provider_laplas.lazy_names import lazy_names
from airflow_provider_laplas.media.plan import MediaPart, MediaPlan, Piece
from airflow_provider_laplas.media.settings import MediaSettings

if TYPE_CHECKING:
    from airflow_provider_laplas.media.prepare import plan_media, prepared

__all__ = ["MediaPart", "MediaPlan", "MediaSettings", "Piece", "plan_media", "prepared"]

__getattr__ = lazy_names(__name__, prepare=["plan_media", "prepared"])
