"""The parts of a transcript: words, segments and paragraphs. Times are in seconds. No repr contains their text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeAlias, TypedDict

from airflow_provider_laplas.transcript.text import join_words


@dataclass(frozen=True, slots=True)
class Word:
    """
    One spoken word.

    :ivar text: as written in the transcript, with punctuation if the API provides it
    :ivar start: seconds from the beginning of the audio, None if the API gives no times
    :ivar end: the same, for the word's end
    :ivar confidence: 0 to 1
    :ivar speaker: the API's label, if it identified speakers
    :ivar channel: counted from 0
    """

    text: str = field(repr=False)
    start: float | None = None
    end: float | None = None
    confidence: float | None = None
    speaker: str | None = None
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """
    A stretch of speech: one of the API's utterances, or a sentence of its paragraphs.

    The fields are those of :class:`Word`, for the whole segment.
    """

    text: str = field(repr=False)
    start: float | None = None
    end: float | None = None
    confidence: float | None = None
    speaker: str | None = None
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Paragraph:
    """
    Consecutive sentences of one speaker on one channel.

    :ivar sentences: at least one
    :ivar speaker: the API's label, if it identified speakers
    :ivar channel: counted from 0
    """

    sentences: tuple[Segment, ...] = field(repr=False)
    speaker: str | None = None
    channel: int = 0

    @property
    def text(self) -> str:
        """The sentences on one line."""
        return join_words(sentence.text for sentence in self.sentences)

    @property
    def start(self) -> float | None:
        """Seconds from the beginning of the audio, None if the API gives no times."""
        return first_known(sentence.start for sentence in self.sentences)

    @property
    def end(self) -> float | None:
        """The same, for the paragraph's end."""
        return first_known(sentence.end for sentence in reversed(self.sentences))


Part: TypeAlias = Word | Segment | Paragraph
"""What has a text, times, a speaker and a channel."""


class Fields(TypedDict):
    """The fields of a :class:`~airflow_provider_laplas.transcript.Transcript`, which documents them."""

    text: str
    raw: Mapping[str, Any]
    language: str | None
    duration: float | None
    confidence: float | None
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]
    channels: int
    model: str | None
    usage: Mapping[str, Any] | None
    given_paragraphs: tuple[Paragraph, ...]
    billed_seconds: float | None


def first_known(values: Iterable[float | None]) -> float | None:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def mean_confidence(values: Iterable[float | None]) -> float | None:
    """Return the mean of the valid confidences (0 to 1), None if there are none."""
    known = [value for value in values if value is not None and 0 <= value <= 1]
    return fmean(known) if known else None
