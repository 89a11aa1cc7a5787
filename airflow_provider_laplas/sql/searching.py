"""Phrase search in all loaded transcripts."""

from dataclasses import dataclass, field

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.sql.connection import SqlHook, connect
from airflow_provider_laplas.transcript.text import tokens

PHRASE_LIMIT = 1000
"""The most characters in a phrase to search for."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """
    A segment that contains a phrase.

    :ivar uri: the location of the transcript's stored reply
    :ivar source: the location of the audio
    :ivar start: seconds from the beginning of the audio, None if the API gives no times
    :ivar end: the same, for the segment's end
    :ivar speaker: the API's label, if it identified speakers
    """

    uri: str
    source: str
    start: float | None
    end: float | None
    speaker: str | None
    text: str = field(repr=False)


def search(hook: SqlHook, phrase: str, limit: int = 20) -> tuple[SearchHit, ...]:
    """
    Return the segments that contain a phrase: the newest transcripts first, and in order within a transcript.

    Case, punctuation and Unicode variants of characters are ignored. Whole words match, in their order, except in
    Chinese and Japanese, which have no spaces. No character of the phrase has a special meaning.

    :param limit: the most segments to return
    :raises LaplasArgumentError: naming ``phrase``, if it contains neither a letter nor a digit or is longer than
        :data:`PHRASE_LIMIT`; ``limit``, if it is below 1; or the hook's connection argument
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise LaplasArgumentError("`limit` must be a whole number of at least 1.", argument="limit")
    if not isinstance(phrase, str) or len(phrase) > PHRASE_LIMIT:
        raise LaplasArgumentError(
            f"`phrase` must be a string of at most {PHRASE_LIMIT} characters.", argument="phrase"
        )
    wanted = " ".join(tokens(phrase))
    if not wanted:
        raise LaplasArgumentError("`phrase` must contain a letter or a digit.", argument="phrase")
    with connect(hook) as connection:
        dialect = connection.dialect
        return tuple(
            SearchHit(*found)
            for found in connection.fetch(dialect.search, *dialect.search_parameters(wanted, limit))
        )
