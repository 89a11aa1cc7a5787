"""Where a phrase was said, in all transcripts that are loaded."""

from dataclasses import dataclass, field

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.sql.connection import SqlHook, connect
from airflow_provider_laplas.transcript.text import tokens

PHRASE_LIMIT = 1000
"""Characters of a phrase to search for."""


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
    with connect(hook) as connection:
        dialect = connection.dialect
        return tuple(
            SearchHit(*found)
            for found in connection.fetch(dialect.search, *dialect.search_parameters(wanted, limit))
        )
