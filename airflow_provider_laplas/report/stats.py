"""Statistics of a collection of transcripts. They contain no transcript text."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class LanguageStats:
    """
    The transcripts of one language.

    :ivar language: as the API detected it (BCP-47), None if detection was not requested
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
    A recently completed transcript.

    :ivar uri: the location of the stored reply
    :ivar source: the audio's location, redacted
    :ivar completed_at: in UTC, None if unknown
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
    Totals over all transcripts of a collection.

    :ivar hours: of audio, in the files whose duration is known
    :ivar cost: the sum of the estimated costs, in their own currency; None if there are none
    :ivar files_with_cost: how many files have an estimated cost
    :ivar languages: by hours, the most first
    :ivar days: in order, without empty days; files whose completion time is unknown are not included
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
