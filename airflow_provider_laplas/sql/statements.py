"""
The statements of :mod:`~airflow_provider_laplas.sql`: those of both databases, and those that differ.

Every statement is a constant. A value's place is a ``?``, for which the hook's own placeholder is put, so that no
statement may hold a question mark, or a percent sign, of another meaning.

``searchable`` holds a segment's words as :func:`~airflow_provider_laplas.transcript.tokens` gives them, with spaces
between. Both databases split that at its spaces, and so agree on what a word is; left to themselves they would not.
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
    What one database says in its own way.

    :ivar open: statements for a new connection
    :ivar begin: begins the transaction in which the tables are made; one at a time gets past it
    :ivar tables: make what is not there yet
    :ivar search_parameters: gives those of ``search``, for words with spaces between and a limit
    :ivar arrays: whether many rows are one statement with an array for each column, and not an ``executemany``
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
    # Another task may be loading; the module's own default is 5 seconds.
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
        # The full-text index goes by row ids, which VACUUM changes unless a column holds them.
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
        # This tokenizer splits at ASCII characters only, and leaves every other alphabet alone.
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
    # A string of FTS5. Nothing can end it too soon: the words are letters and digits.
    search_parameters=lambda wanted, limit: (f'"{wanted}"', limit),
)

POSTGRESQL = Dialect(
    open=(),
    # CREATE ... IF NOT EXISTS fails where two do it at once. The number is "laplas" in ASCII.
    begin="SELECT pg_advisory_xact_lock(119165753778547)",
    # COLLATE "C" sorts as SQLite does: by code point.
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
    # As an executemany, psycopg2 takes five times as long.
    arrays=True,
    # The index narrows down, and the text itself decides: a tsvector does not know a word's place behind its 16,383rd,
    # nor more than 256 places of one word. Words in which PostgreSQL sees none (such as "½") are not in the index.
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
"""By the name that a hook's ``dialect_name`` gives."""
