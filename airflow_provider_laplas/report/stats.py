"""What a collection of transcripts amounts to, in numbers and names. No texts."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class LanguageStats:
    """
    The transcripts of one language.

    :ivar language: as the API detected it (BCP-47), None where it was not asked to
    :ivar hours: of audio
    """

    language: str | None
    files: int
    hours: float


@dataclass(frozen=True, slots=True)
class DayStats:
    """
    The transcripts that were completed on one day.

    :ivar day: in UTC
    :ivar hours: of audio
    """

    day: date
    files: int
    hours: float


@dataclass(frozen=True, slots=True)
class NewestFile:
    """
    A transcript that was completed lately.

    :ivar uri: where the stored reply lies
    :ivar source: where the audio is, as it may be shown
    :ivar completed_at: in UTC, None where that is not known
    :ivar duration: seconds of audio
    """

    uri: str
    source: str
    completed_at: datetime | None = None
    language: str | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class CollectionStats:
    """
    All transcripts of a collection.

    :ivar hours: of audio, in the files whose duration is known
    :ivar cost: the sum of the estimates, in the currency in which they were given; None where there is none
    :ivar files_with_cost: how many files the sum is of
    :ivar languages: those with the most hours first
    :ivar days: in order, days without a file left out; files whose time is not known are in none
    :ivar newest: the newest first
    """

    files: int = 0
    hours: float = 0.0
    words: int = 0
    cost: float | None = None
    files_with_cost: int = 0
    languages: tuple[LanguageStats, ...] = ()
    days: tuple[DayStats, ...] = ()
    newest: tuple[NewestFile, ...] = ()
