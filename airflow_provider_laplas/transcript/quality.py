"""
Checks of a finished transcript: speech, confidence, repetition, language.

:func:`check` is pure. What it finds has an action; what a task does with that is the task's. No message holds a word
of the transcript.

Where the thresholds of the repetition check come from:

* A loop goes on until Whisper's 30 s are full: up to 224 tokens (half its context of 448), so tens of repetitions of
  a short phrase. People repeat a word or a phrase two to five times; a refrain goes to about twelve short words, and
  a round is sung four times. :data:`REPEATS` and :data:`REPEATED_WORDS` lie above those.
* Whisper itself decodes its 30 s again where they compress more than 2.4 times (``compression_ratio_threshold`` in
  openai/whisper and faster-whisper; zlib over UTF-8). Here nothing can be decoded again, so that a false alarm costs
  more: prose has about 2 by our measure, verses 3, counting songs ("ten green bottles") up to 5.4, loops in which
  only a word changes 5.6 and more, exact loops 15 and more. :data:`COMPRESSION_RATIO` lies between.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.text import tokens

Action: TypeAlias = Literal["warn", "fail", "skip"]
"""What a task does about a finding: log it, fail, or be skipped."""

Kind: TypeAlias = Literal["empty_speech", "low_confidence", "repetition", "language"]
"""The gates, named as their settings are."""

REPEATS = 6
"""Times in a row from which on a phrase is a loop, if it also covers :data:`REPEATED_WORDS`."""

LONG_REPEATS = 5
"""The same for a phrase of :data:`LONG_PHRASE` words or more: a round is sung four times, word for word."""

LONG_PHRASE = 10
"""Words in a phrase that is a sentence rather than an exclamation."""

REPEATED_WORDS = 24
"""Words, all repetitions together: 24 times one word, 12 times two, 6 times four."""

REPEATED_NUMBERS = 60
"""The same where all of them are numbers, which are read out in rows that repeat."""

LONGEST_PHRASE = 80
"""Words in the longest phrase that is looked for: as many as are said in Whisper's 30 s."""

COMPRESSION_RATIO = 5.5
"""Above this, a stretch of :data:`STRETCH` words says nothing new; a loop with small changes is found by it."""

STRETCH = 100
"""Words that are compressed together: a longer text compresses better, whatever it says."""

_NUMBER_WORDS = frozenset(
    {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
)
_ALIASES = {"cmn": "zh", "eng": "en", "iw": "he", "in": "id", "nb": "no", "nn": "no"}


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """
    Which checks are made, and what each finding asks for; None is no check.

    :ivar empty_speech: where nothing was said
    :ivar low_confidence: where the mean confidence is under ``min_confidence``
    :ivar min_confidence: 0 to 1; below 0.5 the model holds more of its words for wrong than for right
    :ivar repetition: where the model repeated itself, Whisper's known failure
    :ivar language: where the detected language is another than ``expected_language``, or the reply names none;
        ``fail`` and ``skip`` need ``expected_language``
    :ivar expected_language: BCP-47; only its first part is compared (``en`` for ``en-GB``). None is any
    :raises LaplasArgumentError: naming the setting that cannot be one
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
                f'`language` is "{self.language}", and `expected_language` does not say which one is right.',
                argument="expected_language",
            )


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something that a check found.

    :ivar kind: the gate
    :ivar action: what the settings ask for
    :ivar message: one sentence for the log, without a word of the transcript
    """

    kind: Kind
    action: Action
    message: str


class Loop(NamedTuple):
    """A phrase that is repeated: its words, how often in a row, and the index of the first word."""

    words: int
    times: int
    at: int


def check(transcript: Transcript, settings: QualitySettings | None = None) -> tuple[Finding, ...]:
    """
    Return what is wrong with a transcript; in order of the settings, at most one finding of a kind.

    A transcript without speech has no other findings. Where the reply gives no confidence, there is nothing to
    compare; where it names no language although one is expected, that is a finding of ``language`` as well.

    :param settings: None is the defaults
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
    Return the longest loop among words in one form (:func:`~airflow_provider_laplas.transcript.text.tokens`), or None.

    Linear in the words, times :data:`LONGEST_PHRASE`.
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
    """Return how many times shorter zlib makes a text, as Whisper counts it; 0 for none."""
    data = text.encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def _check_confidence(transcript: Transcript, settings: QualitySettings) -> Finding | None:
    known = [c for c in (word.confidence for word in transcript.words) if c is not None and 0 <= c <= 1]
    # The words' own mean: a channel with three words counts for three, not for half.
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
        f"The language is {transcript.language!r}, not the expected {settings.expected_language!r}.",
    )


def _channels(transcript: Transcript) -> Iterator[tuple[list[str], list[float | None]]]:
    """Give each channel's words in one form, with the second at which each begins."""
    if not transcript.words:
        spoken = tokens(transcript.text)
        yield spoken, [None] * len(spoken)
    for _, words in groupby(transcript.words, key=lambda word: word.channel):
        pairs = [(token, word.start) for word in words for token in tokens(word.text)]
        yield [token for token, _ in pairs], [start for _, start in pairs]


def _repeated(words: Sequence[str], size: int) -> Iterator[tuple[int, int]]:
    """Give the stretches in which every word is the one `size` words before it."""
    begin = 0
    for index in range(size, len(words)):
        if words[index] != words[index - size]:
            if index - begin >= LONG_REPEATS * size:
                yield begin, index
            begin = index - size + 1
    if len(words) - begin >= LONG_REPEATS * size:
        yield begin, len(words)


def _stretches(words: Sequence[str]) -> Iterator[str]:
    """Give overlapping stretches of a text; a shorter text is none, as its ratio says nothing."""
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
"""Every check warns."""
