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

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any, NamedTuple, Protocol

from airflow_provider_laplas import sql_statements as statements
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest import FileState, Manifest
from airflow_provider_laplas.report.stats import CollectionStats, DayStats, LanguageStats, NewestFile
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.transcript import Segment, Transcript, Word, tokens
from airflow_provider_laplas.usage import estimated_cost

ROWS_AT_ONCE = 5000
"""Rows that are sent at once."""

SEARCHABLE_LIMIT = 131_072
"""Characters of a segment that can be found, some three hours of speech: PostgreSQL refuses an entry above 1 MiB."""

PHRASE_LIMIT = 1000
"""Characters of a phrase to search for."""

NEWEST = 10
"""How many of the newest transcripts are among the figures."""

_SECONDS_PER_HOUR = 3600.0


class SqlHook(Protocol):
    """What is asked of a hook. Every ``DbApiHook`` of the common SQL provider has it."""

    conn_name_attr: str
    supports_autocommit: bool

    @property
    def placeholder(self) -> str:
        """What stands for a value in a statement."""

    @property
    def dialect_name(self) -> str:
        """The database, as SQLAlchemy names it."""

    def get_conn(self) -> Any:
        """Return a new connection."""

    def set_autocommit(self, conn: Any, autocommit: bool, /) -> Any:
        """Let a connection commit by itself, or not."""


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """
    One transcript to load.

    :ivar uri: where the stored reply lies; the primary key
    :ivar source: where the audio is, as it may be shown
    :ivar completed_at: epoch seconds
    :ivar estimated_cost: in one currency for all transcripts of a database
    :raises LaplasArgumentError: naming the field, where it cannot be stored
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
                raise LaplasArgumentError(f"`{name}` must be a text that is not empty.", argument=name)
        if self.estimated_cost is not None and not math.isfinite(self.estimated_cost):
            raise LaplasArgumentError("`estimated_cost` must be a finite number.", argument="estimated_cost")
        _timestamp(self.completed_at)


@dataclass(frozen=True, slots=True)
class SearchHit:
    """
    A segment in which a phrase was said.

    :ivar uri: where the stored reply of its transcript lies
    :ivar source: where the audio is
    :ivar start: seconds from the beginning of the audio, None where the API gives no times
    :ivar end: the same, for the segment's end
    :ivar speaker: the API's label, where it told speakers apart
    """

    uri: str
    source: str
    start: float | None
    end: float | None
    speaker: str | None
    text: str = field(repr=False)


def create_tables(hook: SqlHook) -> None:
    """
    Make the tables and the full-text index that are not there yet. Several tasks may do it at once.

    :raises LaplasArgumentError: naming the hook's connection argument, where that is another database
    """
    with _connect(hook) as connection:
        connection.execute(connection.dialect.begin)
        for statement in connection.dialect.tables:
            connection.execute(statement)
        connection.commit()


def load(hook: SqlHook, rows: Iterable[TranscriptRow]) -> dict[str, int]:
    """
    Put transcripts into the tables, in place of what is there of the same ``uri``.

    One transaction a transcript: a crash leaves it as it was, and those before it loaded. Loading again changes
    nothing.

    :param rows: taken one by one, so that a generator need not hold them all
    :returns: how many ``transcripts``, ``segments`` and ``words`` were written
    :raises LaplasArgumentError: naming the hook's connection argument, where that is another database
    """
    counts = {"transcripts": 0, "segments": 0, "words": 0}
    with _connect(hook) as connection:
        for row in rows:
            transcript = row.transcript
            segments = transcript.segments or transcript.sentences
            uri = _storable(row.uri)
            # First of all, for its lock: another task with the same transcript waits here.
            connection.execute(statements.UPSERT, *_transcript_row(row))
            connection.execute(statements.DELETE_SEGMENTS, uri)
            connection.execute(statements.DELETE_WORDS, uri)
            connection.insert(connection.dialect.insert_segments, _segment_rows(uri, segments))
            connection.insert(connection.dialect.insert_words, _word_rows(uri, transcript.words))
            connection.commit()
            counts["transcripts"] += 1
            counts["segments"] += len(segments)
            counts["words"] += len(transcript.words)
    return counts


def load_batch(hook: SqlHook, manifest: Manifest, *, price_per_minute: float | None = None) -> dict[str, int]:
    """
    Put the transcripts of a batch into the tables, but those that are there already.

    One transcript is in memory at a time. A file that was transcribed anew since replaces what is there.

    :param price_per_minute: of audio, for the ``estimated_cost``: the connection's extra of that name
    :returns: how many ``transcripts``, ``segments`` and ``words`` were written
    :raises LaplasArgumentError: naming the hook's connection argument, where that is another database
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
    """Return the generation id of each transcript that is loaded, by its ``uri``: what need not be loaded again."""
    with _connect(hook) as connection:
        return {row[0]: row[1] for row in connection.fetch(statements.GENERATIONS)}


def search(hook: SqlHook, phrase: str, limit: int = 20) -> tuple[SearchHit, ...]:
    """
    Return the segments in which a phrase was said: those of the newest transcripts first, each in order of position.

    Case, punctuation and forms of characters do not matter; whole words do, in their order, except in Chinese and
    Japanese, which have no spaces. No character of the phrase has a special meaning.

    :param limit: how many segments at most
    :raises LaplasArgumentError: naming ``phrase``, where it holds neither a letter nor a digit, or is longer than
        :data:`PHRASE_LIMIT`; naming ``limit`` below 1; naming the hook's connection argument
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise LaplasArgumentError("`limit` must be a whole number of at least 1.", argument="limit")
    if not isinstance(phrase, str) or len(phrase) > PHRASE_LIMIT:
        raise LaplasArgumentError(
            f"`phrase` must be a text of at most {PHRASE_LIMIT} characters.", argument="phrase"
        )
    wanted = " ".join(tokens(phrase))
    if not wanted:
        raise LaplasArgumentError("`phrase` must hold a letter or a digit.", argument="phrase")
    with _connect(hook) as connection:
        dialect = connection.dialect
        return tuple(
            SearchHit(*found)
            for found in connection.fetch(dialect.search, *dialect.search_parameters(wanted, limit))
        )


def figures(hook: SqlHook) -> CollectionStats:
    """
    Count what the tables hold, for :func:`airflow_provider_laplas.report.render`. Reads no text.

    :raises LaplasArgumentError: naming the hook's connection argument, where that is another database
    """
    with _connect(hook) as connection:
        # From one statement, so that the sums agree with each other while others load.
        totals = [_Total(*total) for total in connection.fetch(statements.TOTALS)]
        newest = connection.fetch(statements.NEWEST, NEWEST)
    days: dict[str, list[_Total]] = {}
    languages: dict[str | None, list[_Total]] = {}
    for total in totals:
        languages.setdefault(total.language, []).append(total)
        if total.day is not None:
            days.setdefault(total.day, []).append(total)
    costs = [total.cost for total in totals if total.cost is not None]
    return CollectionStats(
        files=_files(totals),
        hours=_hours(totals),
        words=sum(total.words or 0 for total in totals),
        cost=math.fsum(costs) if costs else None,
        files_with_cost=sum(total.files_with_cost for total in totals),
        languages=tuple(
            sorted(
                (LanguageStats(name, _files(of), _hours(of)) for name, of in languages.items()),
                key=lambda language: (-language.hours, -language.files, language.language or ""),
            )
        ),
        days=tuple(
            DayStats(date.fromisoformat(day), _files(of), _hours(of)) for day, of in sorted(days.items())
        ),
        newest=tuple(
            NewestFile(uri, source, completed_at and datetime.fromisoformat(completed_at), language, duration)
            for uri, source, completed_at, language, duration in newest
        ),
    )


class _Connection:
    """An open connection, spoken to in statements with ``?``."""

    def __init__(self, dialect: statements.Dialect, placeholder: str, connection: Any, cursor: Any) -> None:
        self.dialect = dialect
        self.commit = connection.commit
        self._placeholder = placeholder
        self._cursor = cursor

    def execute(self, statement: str, *parameters: Any) -> None:
        self._cursor.execute(self._text(statement), parameters)

    def fetch(self, statement: str, *parameters: Any) -> list[Sequence[Any]]:
        self.execute(statement, *parameters)
        # A connection's extra may ask for rows as dicts.
        return [tuple(row.values()) if isinstance(row, Mapping) else row for row in self._cursor.fetchall()]

    def insert(self, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            if self.dialect.arrays:
                self.execute(statement, *map(list, zip(*batch, strict=True)))
            else:
                self._cursor.executemany(self._text(statement), batch)

    def _text(self, statement: str) -> str:
        return statement.replace("?", self._placeholder)


@contextmanager
def _connect(hook: SqlHook) -> Iterator[_Connection]:
    """Open a connection. What was not committed when it closes has not happened."""
    dialect = statements.DIALECTS.get(hook.dialect_name)
    if dialect is None:
        raise LaplasArgumentError(
            f"`{hook.conn_name_attr}` must lead to SQLite or PostgreSQL, not to {hook.dialect_name}.",
            argument=hook.conn_name_attr,
        )
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)
        opened = _Connection(dialect, hook.placeholder, connection, cursor)
        for statement in dialect.open:
            opened.execute(statement)
        yield opened


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
    """Return a text without what JSON can hold and a database cannot: NUL, and halves of surrogate pairs."""
    return None if text is None else text.replace("\0", "").encode("utf-8", "replace").decode()


def _timestamp(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError, TypeError):
        raise LaplasArgumentError(
            "`completed_at` must be seconds since 1970, in a year from 1 to 9999.", argument="completed_at"
        ) from None


class _Total(NamedTuple):
    """The sums of one day and language."""

    day: str | None
    language: str | None
    files: int
    seconds: float | None
    words: int | None
    cost: float | None
    files_with_cost: int


def _files(totals: Iterable[_Total]) -> int:
    return sum(total.files for total in totals)


def _hours(totals: Iterable[_Total]) -> float:
    return math.fsum(total.seconds or 0.0 for total in totals) / _SECONDS_PER_HOUR
