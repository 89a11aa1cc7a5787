"""Creates the tables, and loads transcripts into them."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import FileState
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.results.keeping import load_transcript
from airflow_provider_laplas.sql.connection import SqlHook, connect
from airflow_provider_laplas.sql.statements import DELETE_SEGMENTS, DELETE_WORDS, GENERATIONS, UPSERT
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.parts import Segment, Word
from airflow_provider_laplas.transcript.text import tokens
from airflow_provider_laplas.transcript.usage import estimated_cost
from airflow_provider_laplas.transcript.values import valid_text

SEARCHABLE_LIMIT = 131_072
"""Searchable characters of a segment, about three hours of speech: PostgreSQL rejects a tsvector above 1 MiB."""


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """
    One transcript to load.

    :ivar uri: the location of the stored reply; the primary key
    :ivar source: the audio's location, redacted
    :ivar completed_at: epoch seconds
    :ivar estimated_cost: in the same currency for all transcripts of a database
    :raises LaplasArgumentError: naming a field that cannot be stored
    """

    uri: str
    source: str
    transcript: Transcript = field(repr=False)
    generation_id: str | None = None
    completed_at: float | None = None
    estimated_cost: float | None = None

    def __post_init__(self) -> None:
        for name in ("uri", "source"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise LaplasArgumentError(f"`{name}` must be a string that is not empty.", argument=name)
        if self.estimated_cost is not None and not math.isfinite(self.estimated_cost):
            raise LaplasArgumentError("`estimated_cost` must be a finite number.", argument="estimated_cost")
        _timestamp(self.completed_at)


def create_tables(hook: SqlHook) -> None:
    """
    Create the tables and the full-text index if they do not exist. Several tasks may call this at once.

    :raises LaplasArgumentError: naming the hook's connection argument, if it is another kind of database
    """
    with connect(hook) as connection:
        connection.execute(connection.dialect.begin)
        for statement in connection.dialect.tables:
            connection.execute(statement)
        connection.commit()


def load(hook: SqlHook, rows: Iterable[TranscriptRow]) -> dict[str, int]:
    """
    Load transcripts, replacing those with the same ``uri``.

    Each transcript has its own transaction, so a crash keeps those that are already loaded. Loading is idempotent.

    :param rows: consumed one by one, so a generator saves memory
    :returns: the number of ``transcripts``, ``segments`` and ``words`` written
    :raises LaplasArgumentError: naming the hook's connection argument, if it is another kind of database
    """
    counts = {"transcripts": 0, "segments": 0, "words": 0}
    with connect(hook) as connection:
        for row in rows:
            transcript = row.transcript
            segments = transcript.segments or transcript.sentences
            uri = _storable(row.uri)
            # The upsert comes first for its lock: another task with the same transcript waits here.
            connection.execute(UPSERT, *_transcript_row(row))
            connection.execute(DELETE_SEGMENTS, uri)
            connection.execute(DELETE_WORDS, uri)
            connection.insert(connection.dialect.insert_segments, _segment_rows(uri, segments))
            connection.insert(connection.dialect.insert_words, _word_rows(uri, transcript.words))
            connection.commit()
            counts["transcripts"] += 1
            counts["segments"] += len(segments)
            counts["words"] += len(transcript.words)
    return counts


def load_batch(hook: SqlHook, manifest: Manifest, *, price_per_minute: float | None = None) -> dict[str, int]:
    """
    Load the transcripts of a batch that are not loaded yet.

    One transcript is in memory at a time. If a file was transcribed again since, its new transcript replaces the old.

    :param price_per_minute: of audio, for ``estimated_cost``: the connection's extra of that name
    :returns: the number of ``transcripts``, ``segments`` and ``words`` written
    :raises LaplasArgumentError: naming the hook's connection argument, if it is another kind of database
    """
    known = generations(hook)
    done = manifest.having(FileState.COMPLETED, FileState.DUPLICATE)
    new = [e for e in done if (uri := manifest.uri_of(e)) not in known or known[uri] != e.generation_id]
    rows = (
        TranscriptRow(
            uri=manifest.uri_of(entry),
            source=entry.source,
            transcript=load_transcript(manifest.uri_of(entry)),
            generation_id=entry.generation_id,
            completed_at=entry.completed_at,
            estimated_cost=estimated_cost(entry.audio_seconds, price_per_minute),
        )
        for entry in new
    )
    return load(hook, rows)


def generations(hook: SqlHook) -> dict[str, str | None]:
    """Return the generation id of each loaded transcript, by its ``uri``."""
    with connect(hook) as connection:
        return {row[0]: row[1] for row in connection.fetch(GENERATIONS)}


def _transcript_row(row: TranscriptRow) -> tuple[Any, ...]:
    transcript = row.transcript
    return (
        _storable(row.uri),
        _storable(row.source),
        _storable(row.generation_id),
        _storable(transcript.model),
        _storable(transcript.language),
        transcript.duration,
        transcript.confidence,
        transcript.channels,
        len(transcript.words),
        _timestamp(row.completed_at),
        row.estimated_cost,
        _storable(transcript.text),
    )


def _segment_rows(uri: str | None, segments: Iterable[Segment]) -> Iterator[tuple[Any, ...]]:
    for position, segment in enumerate(segments):
        searchable = " ".join(tokens(segment.text))[:SEARCHABLE_LIMIT]
        text = _storable(segment.text)
        speaker = _storable(segment.speaker)
        yield uri, position, segment.start, segment.end, speaker, segment.channel, text, searchable


def _word_rows(uri: str | None, words: Iterable[Word]) -> Iterator[tuple[Any, ...]]:
    for position, word in enumerate(words):
        text = _storable(word.text)
        speaker = _storable(word.speaker)
        yield uri, position, word.start, word.end, word.confidence, speaker, word.channel, text


def _storable(text: str | None) -> str | None:
    # A transcript that was not made of a reply may hold any text, and so may a file's name.
    return None if text is None else valid_text(text)


def _timestamp(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError, TypeError):
        raise LaplasArgumentError(
            "`completed_at` must be seconds since 1970, in a year from 1 to 9999.", argument="completed_at"
        ) from None
