"""What two transcripts of the same recording have in common: their words, and when they were said."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import jiwer

Word = tuple[str, float, float]
"""Its text, start and end."""

NEAR = 0.05
"""Seconds by which a time may differ."""


@dataclass(frozen=True)
class Compared:
    """
    A transcript beside the one that it is compared with.

    :ivar words: of the other one
    :ivar shifts: of the words that both have, in order: the other's start, and seconds by which start and end are later here
    :ivar word_error_rate: against the other one
    """

    words: int
    shifts: Sequence[tuple[float, float, float]] = field(repr=False)
    word_error_rate: float

    @property
    def near(self) -> float:
        """The share of the other's words that are here, too, and begin and end within 50 ms."""
        return sum(max(abs(start), abs(end)) <= NEAR for _, start, end in self.shifts) / self.words

    @property
    def near_of_shared(self) -> float:
        """The same, of the words that both have."""
        return self.near * self.words / len(self.shifts)

    @property
    def shift(self) -> float:
        """The median of the shifts of starts and ends, in seconds: what is late throughout, whatever single words are."""
        return statistics.median(each for _, *both in self.shifts for each in both)


def compare(other: Sequence[Word], words: Sequence[Word]) -> Compared:
    """Align a transcript's words with another one's."""
    reference, given = ([one for one in each if normal(one[0])] for each in (other, words))
    found = jiwer.process_words(*(" ".join(normal(one[0]) for one in each) for each in (reference, given)))
    shifts = []
    for chunk in found.alignments[0]:
        if chunk.type == "equal":
            pairs = zip(
                reference[chunk.ref_start_idx : chunk.ref_end_idx],
                given[chunk.hyp_start_idx : chunk.hyp_end_idx],
                strict=True,
            )
            shifts += [(one[1], here[1] - one[1], here[2] - one[2]) for one, here in pairs]
    return Compared(len(reference), shifts, found.wer)


def word_error_rate(text: str, words: Sequence[Word]) -> float:
    """Return the share of words that differ from what was said, case and punctuation aside."""
    said = text.replace("--", " ").split()
    return jiwer.wer(
        *(" ".join(filter(None, map(normal, each))) for each in (said, [one[0] for one in words]))
    )


def normal(word: str) -> str:
    """Return a word without case and punctuation, and as one."""
    return "".join(filter(str.isalnum, word.lower()))
