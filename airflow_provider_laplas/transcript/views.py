"""Groups words into sentences and paragraphs, and finds phrases."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import TypeVar

from airflow_provider_laplas.transcript.parts import Paragraph, Segment, Word, first_known, mean_confidence
from airflow_provider_laplas.transcript.text import ends_sentence, join_words, searchable

SENTENCE_PAUSE = 0.8
"""Seconds of silence that end a sentence without punctuation: the API's default for ``utt_split``."""

PARAGRAPH_PAUSE = 2.0
"""Seconds of silence between two sentences that start a new paragraph."""

PARAGRAPH_SENTENCES = 5
"""The most sentences in a paragraph."""

T = TypeVar("T", Segment, Paragraph)


def in_time(parts: Sequence[T]) -> tuple[T, ...]:
    """Sort the parts of several channels by start; a part without a start stays after its predecessor."""
    if len({part.channel for part in parts}) <= 1:
        return tuple(parts)
    latest = 0.0
    starts: list[float] = []
    for part in parts:
        latest = latest if part.start is None else part.start
        starts.append(latest)
    # The sort is stable: parts with the same start stay in channel order.
    return tuple(parts[index] for index in sorted(range(len(parts)), key=starts.__getitem__))


def sentences_of_words(words: Sequence[Word]) -> Iterator[Segment]:
    """Merge the words of each of :func:`word_sentences`."""
    return map(merge, word_sentences(words))


def word_sentences(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """Split each channel's words at full stops (at pauses if there is no punctuation) and changes of speaker."""
    for _, group in groupby(words, key=lambda word: word.channel):
        channel = list(group)
        punctuated = any(ends_sentence(word.text) for word in channel)
        cuts = [
            index
            for index, (word, following) in enumerate(pairwise(channel), 1)
            if word.speaker != following.speaker
            or (ends_sentence(word.text) if punctuated else _pause(word, following) >= SENTENCE_PAUSE)
        ]
        for begin, end in pairwise([0, *cuts, len(channel)]):
            yield channel[begin:end]


def paragraphs_of(sentences: Sequence[Segment]) -> Iterator[Paragraph]:
    """Group consecutive sentences of one speaker, up to a pause or the most sentences of a paragraph."""
    group: list[Segment] = []
    for sentence in sentences:
        if group and (
            (sentence.channel, sentence.speaker) != (group[-1].channel, group[-1].speaker)
            or len(group) == PARAGRAPH_SENTENCES
            or _pause(group[-1], sentence) >= PARAGRAPH_PAUSE
        ):
            yield Paragraph(tuple(group), speaker=group[0].speaker, channel=group[0].channel)
            group = []
        group.append(sentence)
    if group:
        yield Paragraph(tuple(group), speaker=group[0].speaker, channel=group[0].channel)


def merge(parts: Sequence[Word | Segment]) -> Segment:
    """Merge one or more parts into one segment."""
    return Segment(
        text=join_words(part.text for part in parts),
        start=first_known(part.start for part in parts),
        end=first_known(part.end for part in reversed(parts)),
        confidence=mean_confidence(part.confidence for part in parts),
        speaker=parts[0].speaker,
        channel=parts[0].channel,
    )


def find_phrase(wanted: str, words: Sequence[Word]) -> Iterator[Segment]:
    """Find a phrase in one channel's words; a match may begin or end inside a word of a script without spaces."""
    said = [f"{searchable(word.text)} ".lstrip(" ") for word in words]
    begins = list(accumulate((len(text) for text in said), initial=1))
    stream = " " + "".join(said)
    at = stream.find(f" {wanted} ")
    while at >= 0:
        # The space before the phrase is at `at`. Words of punctuation only have no length: of several words that begin
        # here, the last is the spoken one.
        first = bisect_right(begins, at + 1, hi=len(words)) - 1
        last = bisect_right(begins, at + len(wanted), hi=len(words)) - 1
        yield merge(words[first : last + 1])
        at = stream.find(f" {wanted} ", at + 1)


def _pause(part: Word | Segment, following: Word | Segment) -> float:
    return 0.0 if part.end is None or following.start is None else following.start - part.end
