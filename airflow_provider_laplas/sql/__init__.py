"""
Transcripts in a SQL database: loaded, searched, counted. SQLite and PostgreSQL, through their Airflow hooks.

======================  =======================================================================
table                   one row for
======================  =======================================================================
``laplas_transcripts``  each transcript, by the ``uri`` of its stored reply
``laplas_segments``     each utterance (or sentence, where there are none), by ``uri``, ``position``
``laplas_words``        each word, by ``uri`` and ``position``
======================  =======================================================================

Times within the audio are seconds. ``completed_at`` is a text in both databases, ISO 8601 in UTC with milliseconds: it
sorts by time, and both read it as a time. The tables lie in the connection's default schema.

Nothing here goes through the hook's own ``run`` or ``insert_rows``: those log what they are given.
"""

from airflow_provider_laplas.sql.connection import ROWS_AT_ONCE, SqlHook
from airflow_provider_laplas.sql.counting import NEWEST, figures
from airflow_provider_laplas.sql.loading import (
    SEARCHABLE_LIMIT,
    TranscriptRow,
    create_tables,
    generations,
    load,
    load_batch,
)
from airflow_provider_laplas.sql.searching import PHRASE_LIMIT, SearchHit, search

__all__ = [
    "NEWEST",
    "PHRASE_LIMIT",
    "ROWS_AT_ONCE",
    "SEARCHABLE_LIMIT",
    "SearchHit",
    "SqlHook",
    "TranscriptRow",
    "create_tables",
    "figures",
    "generations",
    "load",
    "load_batch",
    "search",
]
