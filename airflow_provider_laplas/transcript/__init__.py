"""
What was said, as the API's replies tell it: one :class:`Transcript` over all their shapes, its views, its checks.

======================  =========================================================================
module                  what is in it
======================  =========================================================================
``model``               :class:`Transcript`, and its views in order of time
``parts``               what it is made of: words, segments, paragraphs
``replies``             the shapes of the API's replies, and how each is read
``stored``              a transcript as plain JSON values, and back
``views``               sentences and paragraphs of words, and the places of a phrase
``text``                rules of written text: spaces, ends of sentences, words in one form
``quality``             checks of a finished transcript; not imported from here
======================  =========================================================================

Pure: nothing in here reads a clock, a file or a network.
"""

from airflow_provider_laplas.transcript.json_objects import read_object
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.parts import Paragraph, Part, Segment, Word
from airflow_provider_laplas.transcript.replies import find_result
from airflow_provider_laplas.transcript.stored import FORMAT, VERSION
from airflow_provider_laplas.transcript.text import ends_sentence, join_words, needs_space, tokens
from airflow_provider_laplas.transcript.views import PARAGRAPH_PAUSE, PARAGRAPH_SENTENCES, SENTENCE_PAUSE

__all__ = [
    "FORMAT",
    "PARAGRAPH_PAUSE",
    "PARAGRAPH_SENTENCES",
    "SENTENCE_PAUSE",
    "VERSION",
    "Paragraph",
    "Part",
    "Segment",
    "Transcript",
    "Word",
    "ends_sentence",
    "find_result",
    "join_words",
    "needs_space",
    "read_object",
    "tokens",
]
