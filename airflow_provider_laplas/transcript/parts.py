"""What a transcript is made of: words, stretches of speech, paragraphs. Times are seconds. No repr shows what was said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeAlias, TypedDict

from airflow_provider_laplas.transcript.text import join_words


@dataclass(frozen=True, slots=True)
class Word:
    """
    One spoken word.

    :ivar text: as it is written in the transcript, with its punctuation where the API gives it
    :ivar start: seconds from the beginning of the audio, None where the API gives no times
    :ivar end: the same, for the word's end
    :ivar confidence: 0 to 1
    :ivar speaker: the API's label, where it told speakers apart
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

    The fields are those of :class:`Word`, for the whole stretch.
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
    Sentences that belong together, of one speaker on one channel.

    :ivar sentences: at least one
    :ivar speaker: the API's label, where it told speakers apart
    :ivar channel: counted from 0
    """

    sentences: tuple[Segment, ...] = field(repr=False)
    speaker: str | None = None
    channel: int = 0

    @property
    def text(self) -> str:
        """The sentences in one line."""
        return join_words(sentence.text for sentence in self.sentences)

    @property
    def start(self) -> float | None:
        """Seconds from the beginning of the audio, None where the API gives no times."""
        return first_known(sentence.start for sentence in self.sentences)

    @property
    def end(self) -> float | None:
        """The same, for the paragraph's end."""
        return first_known(sentence.end for sentence in reversed(self.sentences))


Part: TypeAlias = Word | Segment | Paragraph


class Fields(TypedDict):
    """The fields of a :class:`~airflow_provider_laplas.transcript.Transcript`, which says what each is."""

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


def first_known(values: Iterable[float | None]) -> float | None:
    """Return the first that is known."""
    return next((value for value in values if value is not None), None)


def mean_confidence(values: Iterable[float | None]) -> float | None:
    """Return the mean of confidences, None where none is known."""
    # A confidence is 0 to 1: what is not says nothing.
    known = [value for value in values if value is not None and 0 <= value <= 1]
    return fmean(known) if known else None
