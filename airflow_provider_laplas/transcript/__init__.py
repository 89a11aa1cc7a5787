"""
Transcripts: one :class:`Transcript` model for all reply formats, with its views and quality checks.

======================  =========================================================================
module                  contents
======================  =========================================================================
``model``               :class:`Transcript`, and its views in order of time
``parts``               words, segments and paragraphs
``replies``             reading the API's reply formats
``values``              single values of a reply, made fit for every output
``joining``             one reply of those of a recording that was sent in parts; not re-exported here
``seams``               what two of these parts both have
``stored``              a transcript to JSON values and back
``views``               grouping words into sentences and paragraphs, and finding phrases
``text``                rules for spaces, ends of sentences and normalized words
``quality``             checks of a finished transcript; not re-exported here
======================  =========================================================================

Pure: nothing in here uses a clock, a file or the network.
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
