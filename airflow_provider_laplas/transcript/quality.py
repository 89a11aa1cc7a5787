"""
Checks of a finished transcript: speech, confidence, repetition, language.

:func:`check` is pure. Each finding has an action, which the task carries out. No message contains transcript text.

The thresholds of the repetition check:

* A loop fills Whisper's window of 30 s: up to 224 tokens (half its context of 448), so tens of repetitions of a short
  phrase. People repeat a word or a phrase two to five times; a refrain goes up to about twelve short words, and a
  round is sung four times. :data:`REPEATS` and :data:`REPEATED_WORDS` are above those.
* Whisper itself decodes a window again if its compression ratio is above 2.4 (``compression_ratio_threshold`` in
  openai/whisper and faster-whisper; zlib over UTF-8). Nothing can be decoded again here, so a false alarm costs more.
  By our measure, prose has a ratio of about 2, verses 3, counting songs ("ten green bottles") up to 5.4, loops in
  which only a word changes 5.6 and more, and exact loops 15 and more. :data:`COMPRESSION_RATIO` is in between.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import shown
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.text import tokens

Action: TypeAlias = Literal["warn", "fail", "skip"]
"""What a task does about a finding: log it, fail, or be skipped."""

Kind: TypeAlias = Literal["empty_speech", "low_confidence", "repetition", "language"]
"""The checks, named like their settings."""

REPEATS = 6
"""The repetitions in a row from which a phrase counts as a loop, if they also cover :data:`REPEATED_WORDS`."""

LONG_REPEATS = 5
"""The same for a phrase of at least :data:`LONG_PHRASE` words: a round is sung four times."""

LONG_PHRASE = 10
"""Words from which a phrase counts as a sentence rather than an exclamation."""

REPEATED_WORDS = 24
"""The words in all repetitions together: one word 24 times, two words 12 times, four words 6 times."""

REPEATED_NUMBERS = 60
"""The same if all of them are numbers, because people do read out repeated numbers."""

LONGEST_PHRASE = 80
"""The longest phrase to search for, in words: about as many as are spoken in Whisper's window of 30 s."""

COMPRESSION_RATIO = 5.5
"""The ratio above which :data:`STRETCH` words count as repetition; it detects loops with small changes."""

STRETCH = 100
"""Words to compress together. The length is fixed because longer texts always compress better."""

_NUMBER_WORDS = frozenset(
    {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
)
_ALIASES = {"cmn": "zh", "eng": "en", "iw": "he", "in": "id", "nb": "no", "nn": "no"}


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """
    The action for each check; None disables it.

    :ivar empty_speech: if there is no speech
    :ivar low_confidence: if the mean confidence is below ``min_confidence``
    :ivar min_confidence: 0 to 1; below 0.5 the model considers most of its words wrong
    :ivar repetition: if the model repeated itself, a known failure of Whisper
    :ivar language: if the detected language is not ``expected_language``, or the reply names none; ``fail`` and
        ``skip`` need ``expected_language``
    :ivar expected_language: BCP-47; only the first part is compared (``en`` of ``en-GB``). None means any
    :raises LaplasArgumentError: naming the invalid setting
    """

    empty_speech: Action | None = "warn"
    low_confidence: Action | None = "warn"
    min_confidence: float = 0.5
    repetition: Action | None = "warn"
    language: Action | None = "warn"
    expected_language: str | None = None

    def __post_init__(self) -> None:
        for name in get_args(Kind):
            _require(getattr(self, name) in {None, *get_args(Action)}, name, '"warn", "fail", "skip" or None')
        confidence: Any = self.min_confidence
        known = isinstance(confidence, int | float) and not isinstance(confidence, bool)
        _require(known and 0 <= confidence <= 1, "min_confidence", "a number from 0 to 1")
        language: Any = self.expected_language
        _require(
            language is None or (isinstance(language, str) and bool(language.strip())),
            "expected_language",
            'a language such as "en", or None',
        )
        if self.language in {"fail", "skip"} and language is None:
            raise LaplasArgumentError(
                f'`language` is "{self.language}", but `expected_language` is not set.',
                argument="expected_language",
            )


@dataclass(frozen=True, slots=True)
class Finding:
    """
    A problem that a check found.

    :ivar kind: the check
    :ivar action: from the settings
    :ivar message: one sentence for the log, without transcript text
    """

    kind: Kind
    action: Action
    message: str


class Loop(NamedTuple):
    """A repeated phrase: its number of words, its repetitions in a row, and the index of the first word."""

    words: int
    times: int
    at: int


def check(transcript: Transcript, settings: QualitySettings | None = None) -> tuple[Finding, ...]:
    """
    Return the problems of a transcript, in the order of the settings, at most one of each kind.

    A transcript without speech has no other findings. A reply without confidence is not a finding. A reply without a
    language is one, if a language is expected.

    :param settings: None for the defaults
    """
    settings = settings or QualitySettings()
    if not tokens(transcript.text) and not any(tokens(word.text) for word in transcript.words):
        if settings.empty_speech is None:
            return ()
        return (Finding("empty_speech", settings.empty_speech, "No speech was found in the audio."),)
    found = (
        _check_confidence(transcript, settings),
        _check_repetition(transcript, settings),
        _check_language(transcript, settings),
    )
    return tuple(finding for finding in found if finding is not None)


def find_loop(words: Sequence[str]) -> Loop | None:
    """
    Return the longest loop in normalized words (:func:`~airflow_provider_laplas.transcript.text.tokens`), or None.

    The run time is linear in the number of words, times :data:`LONGEST_PHRASE`.
    """
    longest: Loop | None = None
    for size in range(1, min(LONGEST_PHRASE, len(words) // LONG_REPEATS) + 1):
        for begin, end in _repeated(words, size):
            times = (end - begin) // size
            if times < (LONG_REPEATS if size >= LONG_PHRASE else REPEATS):
                continue
            phrase = words[begin : begin + size]
            least = REPEATED_NUMBERS if all(map(_is_number, phrase)) else REPEATED_WORDS
            if end - begin >= least and (
                longest is None or end - begin > longest.words * longest.times + size
            ):
                longest = Loop(size, times, begin)
    return longest


def compression_ratio(text: str) -> float:
    """Return a text's compression ratio with zlib, calculated as Whisper does; 0 for an empty text."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def _check_confidence(transcript: Transcript, settings: QualitySettings) -> Finding | None:
    known = [c for c in (word.confidence for word in transcript.words) if c is not None and 0 <= c <= 1]
    # The mean over words, not channels, so that a channel with few words does not count for half.
    mean = fmean(known) if known else transcript.confidence
    if settings.low_confidence is None or mean is None or mean >= settings.min_confidence:
        return None
    return Finding(
        "low_confidence",
        settings.low_confidence,
        f"The mean confidence is {mean:.2f}, under the {settings.min_confidence:g} that is asked for.",
    )


def _check_repetition(transcript: Transcript, settings: QualitySettings) -> Finding | None:
    if settings.repetition is None:
        return None
    for spoken, starts in _channels(transcript):
        loop = find_loop(spoken)
        if loop:
            start = starts[loop.at]
            where = "" if start is None else f", from {start:.1f} s on"
            return Finding(
                "repetition",
                settings.repetition,
                f"The same {loop.words} word(s) come {loop.times} times in a row{where}: the model has looped.",
            )
        ratio = max(map(compression_ratio, _stretches(spoken)), default=0.0)
        if ratio > COMPRESSION_RATIO:
            return Finding(
                "repetition",
                settings.repetition,
                f"A stretch of {STRETCH} words compresses {ratio:.1f} times, over {COMPRESSION_RATIO:g}: the model "
                "has looped.",
            )
    return None


def _check_language(transcript: Transcript, settings: QualitySettings) -> Finding | None:
    if settings.language is None or settings.expected_language is None:
        return None
    if transcript.language is None:
        return Finding(
            "language",
            settings.language,
            f"The reply names no language to compare with {settings.expected_language!r}; the option `detect_language` "
            "asks for it.",
        )
    if _primary(transcript.language) == _primary(settings.expected_language):
        return None
    return Finding(
        "language",
        settings.language,
        f"The language is {shown(transcript.language, limit=40)}, not the expected {settings.expected_language!r}.",
    )


def _channels(transcript: Transcript) -> Iterator[tuple[list[str], list[float | None]]]:
    """Yield each channel's normalized words, with their start times in seconds."""
    if not transcript.words:
        spoken = tokens(transcript.text)
        yield spoken, [None] * len(spoken)
    for _, words in groupby(transcript.words, key=lambda word: word.channel):
        pairs = [(token, word.start) for word in words for token in tokens(word.text)]
        yield [token for token, _ in pairs], [start for _, start in pairs]


def _repeated(words: Sequence[str], size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges in which every word equals the one `size` words before it."""
    begin = 0
    for index in range(size, len(words)):
        if words[index] != words[index - size]:
            if index - begin >= LONG_REPEATS * size:
                yield begin, index
            begin = index - size + 1
    if len(words) - begin >= LONG_REPEATS * size:
        yield begin, len(words)


def _stretches(words: Sequence[str]) -> Iterator[str]:
    """Yield overlapping stretches of :data:`STRETCH` words; nothing for a shorter text, whose ratio is meaningless."""
    for begin in range(0, len(words) - STRETCH + 1, STRETCH // 2):
        stretch = words[begin : begin + STRETCH]
        if not all(map(_is_number, stretch)):
            yield " ".join(stretch)


def _is_number(token: str) -> bool:
    return token in _NUMBER_WORDS or any(map(str.isdigit, token))


def _primary(language: str) -> str:
    first = re.split(r"[-_]", language.strip().casefold())[0]
    return _ALIASES.get(first, first)


def _require(right: bool, name: str, expected: str) -> None:
    if not right:
        raise LaplasArgumentError(f"`{name}` must be {expected}.", argument=name)


DEFAULT_QUALITY = QualitySettings()
"""All checks enabled, as warnings."""
