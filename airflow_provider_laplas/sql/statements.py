"""
The SQL statements of :mod:`~airflow_provider_laplas.sql`: those shared by both databases, and those that differ.

Every statement is a constant. The placeholder ``?`` is replaced by the hook's own, so statements must not contain a
question mark or a percent sign for any other purpose.

``searchable`` contains a segment's words from :func:`~airflow_provider_laplas.transcript.tokens`, separated by spaces.
Both databases split it at the spaces, so they agree on what a word is; their own tokenizers would not.
"""

from collections.abc import Callable
from dataclasses import dataclass

UPSERT = """
    INSERT INTO laplas_transcripts (
        uri, source, generation_id, model, language, duration_seconds, confidence, channels, words, completed_at,
        estimated_cost, text
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (uri) DO UPDATE SET
        source = excluded.source,
        generation_id = excluded.generation_id,
        model = excluded.model,
        language = excluded.language,
        duration_seconds = excluded.duration_seconds,
        confidence = excluded.confidence,
        channels = excluded.channels,
        words = excluded.words,
        completed_at = excluded.completed_at,
        estimated_cost = excluded.estimated_cost,
        text = excluded.text
"""
DELETE_SEGMENTS = "DELETE FROM laplas_segments WHERE uri = ?"
DELETE_WORDS = "DELETE FROM laplas_words WHERE uri = ?"
GENERATIONS = "SELECT uri, generation_id FROM laplas_transcripts"
TOTALS = """
    SELECT
        substr(completed_at, 1, 10) AS completed_on,
        language,
        COUNT(*) AS files,
        SUM(duration_seconds) AS seconds,
        SUM(words) AS spoken,
        SUM(estimated_cost) AS cost,
        COUNT(estimated_cost) AS files_with_cost
    FROM laplas_transcripts
    GROUP BY substr(completed_at, 1, 10), language
"""
NEWEST_FILES = """
    SELECT uri, source, completed_at, language, duration_seconds
    FROM laplas_transcripts
    ORDER BY completed_at IS NULL, completed_at DESC, uri
    LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Dialect:
    """
    The statements that are specific to one database.

    :ivar open: statements for a new connection
    :ivar begin: begins the transaction that creates the tables, and locks out other tasks
    :ivar tables: create what does not exist yet
    :ivar search_parameters: returns the parameters of ``search``, given words separated by spaces and a limit
    :ivar arrays: whether to insert many rows in one statement, with an array per column, instead of ``executemany``
    """

    open: tuple[str, ...]
    begin: str
    tables: tuple[str, ...]
    insert_segments: str
    insert_words: str
    arrays: bool
    search: str
    search_parameters: Callable[[str, int], tuple[str | int, ...]]


SQLITE = Dialect(
    # Another task may be loading; the default of sqlite3 is 5 seconds.
    open=("PRAGMA busy_timeout = 60000",),
    begin="BEGIN IMMEDIATE",
    tables=(
        """
        CREATE TABLE IF NOT EXISTS laplas_transcripts (
            uri TEXT NOT NULL PRIMARY KEY,
            source TEXT,
            generation_id TEXT,
            model TEXT,
            language TEXT,
            duration_seconds DOUBLE PRECISION,
            confidence DOUBLE PRECISION,
            channels INTEGER,
            words INTEGER,
            completed_at TEXT,
            estimated_cost DOUBLE PRECISION,
            text TEXT
        )
        """,
        # The full-text index refers to row ids, which VACUUM changes unless a column stores them.
        """
        CREATE TABLE IF NOT EXISTS laplas_segments (
            id INTEGER PRIMARY KEY,
            uri TEXT NOT NULL REFERENCES laplas_transcripts ON DELETE CASCADE,
            position INTEGER NOT NULL,
            start_seconds DOUBLE PRECISION,
            end_seconds DOUBLE PRECISION,
            speaker TEXT,
            channel INTEGER,
            text TEXT,
            searchable TEXT,
            UNIQUE (uri, position)
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS laplas_words (
            uri TEXT NOT NULL REFERENCES laplas_transcripts ON DELETE CASCADE,
            position INTEGER NOT NULL,
            start_seconds DOUBLE PRECISION,
            end_seconds DOUBLE PRECISION,
            confidence DOUBLE PRECISION,
            speaker TEXT,
            channel INTEGER,
            text TEXT,
            PRIMARY KEY (uri, position)
        ) WITHOUT ROWID
        """,
        # This tokenizer splits at ASCII separators only, and keeps all other characters together.
        """
        CREATE VIRTUAL TABLE IF NOT EXISTS laplas_segments_search USING fts5(
            searchable, content = 'laplas_segments', content_rowid = 'id', tokenize = 'ascii'
        )
        """,
        """
        CREATE TRIGGER IF NOT EXISTS laplas_segments_inserted AFTER INSERT ON laplas_segments BEGIN
            INSERT INTO laplas_segments_search (rowid, searchable) VALUES (new.id, new.searchable);
        END
        """,
        """
        CREATE TRIGGER IF NOT EXISTS laplas_segments_deleted AFTER DELETE ON laplas_segments BEGIN
            INSERT INTO laplas_segments_search (laplas_segments_search, rowid, searchable)
            VALUES ('delete', old.id, old.searchable);
        END
        """,
        """
        CREATE TRIGGER IF NOT EXISTS laplas_segments_updated AFTER UPDATE ON laplas_segments BEGIN
            INSERT INTO laplas_segments_search (laplas_segments_search, rowid, searchable)
            VALUES ('delete', old.id, old.searchable);
            INSERT INTO laplas_segments_search (rowid, searchable) VALUES (new.id, new.searchable);
        END
        """,
    ),
    insert_segments="""
        INSERT INTO laplas_segments
            (uri, position, start_seconds, end_seconds, speaker, channel, text, searchable)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    """,
    insert_words="""
        INSERT INTO laplas_words
            (uri, position, start_seconds, end_seconds, confidence, speaker, channel, text)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    """,
    arrays=False,
    search="""
        SELECT s.uri, t.source, s.start_seconds, s.end_seconds, s.speaker, s.text
        FROM laplas_segments_search
        JOIN laplas_segments s ON s.id = laplas_segments_search.rowid
        JOIN laplas_transcripts t ON t.uri = s.uri
        WHERE laplas_segments_search MATCH ?
        ORDER BY t.completed_at IS NULL, t.completed_at DESC, s.uri, s.position
        LIMIT ?
    """,
    # An FTS5 string. It needs no escaping, because the words are letters and digits.
    search_parameters=lambda wanted, limit: (f'"{wanted}"', limit),
)

POSTGRESQL = Dialect(
    open=(),
    # Concurrent CREATE ... IF NOT EXISTS can fail, hence the lock. The number is "laplas" in ASCII.
    begin="SELECT pg_advisory_xact_lock(119165753778547)",
    # COLLATE "C" sorts by code point, as SQLite does.
    tables=(
        """
        CREATE TABLE IF NOT EXISTS laplas_transcripts (
            uri TEXT COLLATE "C" PRIMARY KEY,
            source TEXT,
            generation_id TEXT,
            model TEXT,
            language TEXT,
            duration_seconds DOUBLE PRECISION,
            confidence DOUBLE PRECISION,
            channels INTEGER,
            words INTEGER,
            completed_at TEXT COLLATE "C",
            estimated_cost DOUBLE PRECISION,
            text TEXT
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS laplas_segments (
            uri TEXT COLLATE "C" NOT NULL REFERENCES laplas_transcripts ON DELETE CASCADE,
            position INTEGER NOT NULL,
            start_seconds DOUBLE PRECISION,
            end_seconds DOUBLE PRECISION,
            speaker TEXT,
            channel INTEGER,
            text TEXT,
            searchable TEXT,
            search_vector TSVECTOR GENERATED ALWAYS AS (to_tsvector('simple', searchable)) STORED,
            PRIMARY KEY (uri, position)
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS laplas_words (
            uri TEXT COLLATE "C" NOT NULL REFERENCES laplas_transcripts ON DELETE CASCADE,
            position INTEGER NOT NULL,
            start_seconds DOUBLE PRECISION,
            end_seconds DOUBLE PRECISION,
            confidence DOUBLE PRECISION,
            speaker TEXT,
            channel INTEGER,
            text TEXT,
            PRIMARY KEY (uri, position)
        )
        """,
        """
        CREATE INDEX IF NOT EXISTS laplas_segments_search ON laplas_segments USING gin (search_vector)
        """,
    ),
    insert_segments="""
        INSERT INTO laplas_segments
            (uri, position, start_seconds, end_seconds, speaker, channel, text, searchable)
        SELECT * FROM unnest(
            ?::text[], ?::integer[], ?::double precision[], ?::double precision[],
            ?::text[], ?::integer[], ?::text[], ?::text[]
        )
    """,
    insert_words="""
        INSERT INTO laplas_words
            (uri, position, start_seconds, end_seconds, confidence, speaker, channel, text)
        SELECT * FROM unnest(
            ?::text[], ?::integer[], ?::double precision[], ?::double precision[], ?::double precision[],
            ?::text[], ?::integer[], ?::text[]
        )
    """,
    # With executemany, psycopg2 takes five times as long.
    arrays=True,
    # The index narrows the search down, and strpos decides: a tsvector stores no positions above 16,383 and at most 256
    # positions of a word. What PostgreSQL does not recognise as a word (such as "½") is not in the index.
    search="""
        SELECT s.uri, t.source, s.start_seconds, s.end_seconds, s.speaker, s.text
        FROM laplas_segments s
        JOIN laplas_transcripts t ON t.uri = s.uri
        WHERE (numnode(plainto_tsquery('simple', ?)) = 0 OR s.search_vector @@ plainto_tsquery('simple', ?))
            AND strpos(' ' || s.searchable || ' ', ?) > 0
        ORDER BY t.completed_at IS NULL, t.completed_at DESC, s.uri, s.position
        LIMIT ?
    """,
    search_parameters=lambda wanted, limit: (wanted, wanted, f" {wanted} ", limit),
)

DIALECTS = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
"""The dialects by ``dialect_name`` of the hook."""
