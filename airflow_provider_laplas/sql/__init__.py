"""
Loads transcripts into SQLite or PostgreSQL through their Airflow hooks, and searches and counts them.

======================  =======================================================================
table                   one row for
======================  =======================================================================
``laplas_transcripts``  each transcript; key: the ``uri`` of its stored reply
``laplas_segments``     each utterance (or sentence, if there are none); key: ``uri``, ``position``
``laplas_words``        each word; key: ``uri``, ``position``
======================  =======================================================================

Times within the audio are in seconds. ``completed_at`` is text in both databases, ISO 8601 in UTC with milliseconds: it
sorts by time, and both can parse it as a time. The tables are in the connection's default schema.

The hook's own ``run`` and ``insert_rows`` are not used, because they log the values.
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
