"""Makes captions from a transcript, and writes them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_laplas.captions.cues import KINDS, CaptionLimits, Cue
from airflow_provider_laplas.captions.formats import CAPTIONS, FORMATS
from airflow_provider_laplas.captions.layout import Block, channel_blocks
from airflow_provider_laplas.captions.measure import measure_of
from airflow_provider_laplas.captions.timing import place_cues, timed_channels, timeline
from airflow_provider_laplas.captions.writers import write_srt, write_vtt
from airflow_provider_laplas.transcript.model import Transcript


@dataclass(frozen=True, slots=True)
class Captions:
    """
    The cues of one transcript.

    :ivar cues: in order of time, not overlapping
    :ivar exceptions: the number of exceptions of each kind in :data:`KINDS`, without zeros
    :ivar transcript: the transcript they were made from
    """

    cues: tuple[Cue, ...] = field(repr=False)
    exceptions: Mapping[str, int]
    transcript: Transcript = field(repr=False)

    @property
    def report(self) -> str:
        """The exceptions to the limits, on one line for the log; empty if there are none."""
        counted = "; ".join(f"{KINDS[name]} ({count})" for name, count in self.exceptions.items())
        return f"Cues: {len(self.cues)}. Exceptions: {counted}." if counted else ""

    def to_srt(self) -> str:
        """Return SRT, which cannot name speakers and has no escapes: an arrow ``-->`` becomes ``→``."""
        return write_srt(self.cues)

    def to_vtt(self) -> str:
        """Return WebVTT, with a voice tag on every cue whose speaker is known."""
        return write_vtt(self.cues)

    def to_txt(self) -> str:
        """Return readable text: see :meth:`~airflow_provider_laplas.transcript.Transcript.to_txt`."""
        return self.transcript.to_txt()


def make_captions(transcript: Transcript, limits: CaptionLimits | None = None) -> Captions:
    """
    Make captions from a transcript's words, or from the segments of channels whose words have no times.

    Without speech there are no cues.

    :param limits: None for the defaults
    :raises LaplasArgumentError: naming ``transcript``, if neither words nor segments have times
    """
    measure = measure_of(transcript, limits or CaptionLimits())
    blocks: list[Block] = []
    estimated = 0
    for parts in timed_channels(transcript):
        times, guessed = timeline(parts, measure)
        estimated += guessed
        blocks += channel_blocks(transcript, parts, times, measure)
    # The sort is stable: blocks with the same start stay in channel order.
    blocks.sort(key=lambda block: block.start)
    cues = tuple(place_cues(blocks, measure))
    counts = Counter(kind for cue in cues for kind in cue.exceptions)
    counts["line_length"] = sum(block.long_lines for block in blocks)
    counts["estimated_times"] = estimated
    return Captions(cues, {kind: counts[kind] for kind in KINDS if counts[kind]}, transcript)


def write_formats(
    transcript: Transcript, formats: Iterable[str], limits: CaptionLimits | None = None
) -> tuple[dict[str, str], str]:
    """
    Write a transcript in the given formats; ``json`` is ignored.

    :param limits: for captions; None for the defaults
    :return: the text of each format, and the captions' exceptions to the limits on one line, if any
    :raises LaplasArgumentError: naming ``transcript``, if it has no times and captions are requested
    """
    wanted = [name for name in FORMATS if name in set(formats) - {"json"}]
    captions = make_captions(transcript, limits) if set(CAPTIONS) & set(wanted) else None
    texts = {name: _WRITERS[name](captions) for name in wanted if captions and name in CAPTIONS}
    if "txt" in wanted:
        texts["txt"] = transcript.to_txt()
    return texts, captions.report if captions else ""


_WRITERS: dict[str, Callable[[Captions], str]] = {"srt": Captions.to_srt, "vtt": Captions.to_vtt}
