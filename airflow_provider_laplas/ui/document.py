"""A transcript as the page lays it out: paragraphs of words. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any

from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.parts import Paragraph, Word
from airflow_provider_laplas.transcript.text import needs_space
from airflow_provider_laplas.transcript.views import in_time, merge, paragraphs_of, word_sentences

_ROUNDING = 0.01
"""Seconds by which a paragraph's start may be after that of its first word."""


def lay_out(transcript: Transcript) -> dict[str, Any]:
    """
    Return a transcript as plain JSON: ``duration``, ``language``, ``text`` and ``paragraphs``.

    A paragraph has ``speaker``, ``channel`` (None if there is only one), ``start``, ``end`` and ``words``. Each word is a
    list: text, start, end, confidence, and 1 if a space is before it. Without words a paragraph's text is its one word.
    """
    several = transcript.channels > 1
    return {
        "duration": transcript.duration,
        "language": transcript.language,
        "text": transcript.text,
        "paragraphs": [
            {
                "speaker": transcript.voice(paragraph),
                "channel": paragraph.channel if several else None,
                "start": paragraph.start,
                "end": paragraph.end,
                "words": list(_rows(words)) or [[paragraph.text, None, None, None, 0]],
            }
            for paragraph, words in _with_words(transcript)
            if words or paragraph.text
        ],
    }


def _rows(words: Iterable[Word]) -> Iterator[list[Any]]:
    before = ""
    for word in words:
        if word.text:
            space = 1 if before and needs_space(before, word.text) else 0
            yield [word.text, word.start, word.end, word.confidence, space]
            before = word.text


def _with_words(transcript: Transcript) -> Iterator[tuple[Paragraph, Sequence[Word]]]:
    """Return each paragraph with the words in it."""
    if not transcript.words:
        return ((paragraph, ()) for paragraph in transcript.paragraphs)
    if transcript.given_paragraphs:
        return _of_given(transcript)
    return _of_words(transcript.words)


def _of_words(words: Sequence[Word]) -> Iterator[tuple[Paragraph, Sequence[Word]]]:
    """Make paragraphs of words, as :attr:`Transcript.paragraphs` does."""
    sentences = [(merge(group), group) for group in word_sentences(words)]
    spoken = {id(sentence): group for sentence, group in sentences}
    for paragraph in paragraphs_of(in_time([sentence for sentence, _ in sentences])):
        yield paragraph, [word for sentence in paragraph.sentences for word in spoken[id(sentence)]]


def _of_given(transcript: Transcript) -> Iterator[tuple[Paragraph, Sequence[Word]]]:
    """Put each word into the API's paragraph of its channel in which it begins."""
    paragraphs = transcript.paragraphs
    words: list[list[Word]] = [[] for _ in paragraphs]
    others: list[Word] = []
    for channel, group in groupby(transcript.words, key=lambda word: word.channel):
        places = [place for place, paragraph in enumerate(paragraphs) if paragraph.channel == channel]
        if not places:
            others.extend(group)
            continue
        starts = list(accumulate((paragraphs[place].start or 0.0 for place in places), max))
        at = 0
        for word in group:
            if word.start is not None:
                at = max(bisect_right(starts, word.start + _ROUNDING) - 1, 0)
            words[places[at]].append(word)
    yield from zip(paragraphs, words, strict=True)
    yield from _of_words(others)
