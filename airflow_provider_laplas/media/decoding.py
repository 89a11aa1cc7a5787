"""The samples of an audio track, streamed: at every moment as the recording's clock says, gaps filled with silence."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.media.probing import damaged, opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GAP = 0.1
"""Seconds by which a frame is late from which silence is put before it; shorter ones come from rounded times."""

LAYOUTS = ("", "mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
"""FFmpeg's layouts by the number of channels."""

_Frames: TypeAlias = Iterator[tuple[float | None, Any]]

# Containers whose index leads to the right place.
_SEEKABLE = frozenset({"mov", "matroska", "wav"})
# Containers of which the length is only the last time in them, and which are put together by writing one behind the other.
_BROADCAST = frozenset({"mpeg", "mpegts"})
# Seconds that a decoder needs until what it gives is right.
_PREROLL = 2.0
# Seconds that are believed to be missing where the container does not say how long the recording is.
_LONGEST_GAP = 60.0
# Seconds by which a frame is believed to be early; by more, it is the beginning of what was put behind a recording.
_LONGEST_OVERLAP = 1.0
_TOLERANCE_SECONDS = 0.5
_TOLERANCE_SHARE = 0.01


@dataclass(slots=True)
class Tally:
    """
    How the decoding went.

    :ivar sound: frames that were decoded
    :ivar damaged: packets that could not be, and frames of which nothing can be made
    """

    sound: int = 0
    damaged: int = 0


def is_short(declared: float | None, seconds: float) -> bool:
    """Return whether so much of what the header says is missing that the file must be cut short."""
    return declared is not None and declared - seconds > max(_TOLERANCE_SECONDS, _TOLERANCE_SHARE * declared)


def samples(
    upload: Upload, track: int, *, rate: int, channels: int, start: float = 0.0, tally: Tally | None = None
) -> "Generator[NDArray[np.int16]]":
    """
    Yield arrays of shape (samples, channels), which follow each other without a gap.

    :param track: the index of the stream in the container
    :param rate: samples per second
    :param channels: that are given, 1 for a mix of all
    :param start: seconds of the recording at which the first sample is
    :raises LaplasArgumentError: naming ``audio``, if most of it cannot be decoded
    """
    tally = Tally() if tally is None else tally
    if start > _PREROLL:
        with opened(upload) as container:
            later = _later(container, select(container, track), start, tally)
            if later:
                yield from _from(start, rate, _blocks(container, *later, rate, channels, tally))
                return
    with opened(upload) as container:
        frames = _frames(container, container.demux(select(container, track)), tally)
        yield from _from(start, rate, _blocks(container, 0.0, frames, rate, channels, tally))
    if tally.damaged > tally.sound or not tally.sound:
        raise damaged(upload)


def select(container: Any, track: int) -> Any:
    """Return a stream of a container, and have the others skipped: of a video, they are most of the file."""
    import av.stream  # noqa: PLC0415 - heavy

    for stream in container.streams:
        # Earlier versions of PyAV cannot: they read them, too.
        if stream.index != track and hasattr(stream, "discard"):
            stream.discard = av.stream.Discard.all
    return container.streams[track]


def _frames(container: Any, packets: Iterator[Any], tally: Tally) -> _Frames:
    """Yield each frame with the second of the recording at which it is, if it says so."""
    import av  # noqa: PLC0415 - heavy

    begin = _begin(container)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = packet.decode()
        except av.FFmpegError:
            # An error of the upload's own file is none of FFmpeg's, and ends it.
            tally.damaged += 1
            continue
        for frame in decoded:
            yield None if frame.time is None else frame.time - begin, frame


def _kind(container: Any) -> str:
    return str(container.format.name.split(",")[0])


def _begin(container: Any) -> float:
    return float((container.start_time or 0) / 1_000_000)


def _later(container: Any, stream: Any, start: float, tally: Tally) -> tuple[float, _Frames] | None:
    """
    Return the frames from some seconds before a moment on, and where they begin.

    :return: None if they are not found, or would not be where they are when all before them is decoded, too
    """
    import av  # noqa: PLC0415 - heavy

    moment = start - _PREROLL
    try:
        if _kind(container) in _SEEKABLE:
            container.seek(int((moment + _begin(container)) / stream.time_base), stream=stream)
            packets: Iterator[Any] = container.demux(stream)
        else:
            packets = _without_decoding(container, stream, moment)
        frames = _frames(container, packets, tally)
        first = next(frames, None)
    except av.FFmpegError:
        return None
    if first is None or first[0] is None or not 0 <= first[0] <= start:
        return None
    return first[0], chain([first], frames)


def _without_decoding(container: Any, stream: Any, moment: float) -> Iterator[Any]:
    """
    Return the packets from a moment on: reading what is before takes a tenth of the time of decoding it.

    :return: none if their times do not follow from their lengths, as in files that were put together
    """
    tick = float(stream.time_base)
    expected, gap, wanted = _begin(container) / tick, GAP / tick, (moment + _begin(container)) / tick
    packets: Iterator[Any] = container.demux(stream)
    for packet in packets:
        at = packet.pts
        if at is None or abs(at - expected) > gap:
            break
        if at >= wanted:
            return chain([packet], packets)
        expected += packet.duration or 0
    return iter(())


def _blocks(
    container: Any, begin: float, frames: _Frames, rate: int, channels: int, tally: Tally
) -> "Iterator[tuple[int, NDArray[np.int16]]]":
    """
    Yield arrays of samples, each with the number of its first sample in the recording: never beyond the last one's end.

    :param begin: seconds of the recording at which the frames begin
    """
    import av  # noqa: PLC0415 - heavy
    import numpy as np  # noqa: PLC0415 - heavy

    length, broadcast = (container.duration or 0) / 1_000_000, _kind(container) in _BROADCAST
    # Where nobody seeks, it does not matter that the times go slower than the samples.
    earliest = -_LONGEST_OVERLAP if _kind(container) in _SEEKABLE else 0.0
    clock, written, resampler, kind = begin, round(begin * rate), None, None
    for moment, frame in frames:
        drift = 0.0 if moment is None else moment - clock
        # A moment beyond the end is no gap, but a jump in a file that was put together.
        stated = length and not (kind and broadcast)
        late = drift > (GAP if kind else 0.0) and clock + drift <= (
            length if stated else clock + _LONGEST_GAP
        )
        early = kind is not None and earliest <= drift < -GAP
        # The format may change mid-stream, as it does in concatenated files.
        this = (frame.format.name, frame.layout.name, frame.sample_rate)
        if late or early or kind != this:
            for block in _resampled(resampler, None, channels):
                yield written, block
                written += len(block)
            clock += drift if late or early else 0.0
            while (missing := round(clock * rate) - written) > 0:
                block = np.zeros((min(missing, rate), channels), np.int16)
                yield written, block
                written += len(block)
            written = round(clock * rate)
            resampler, kind = _resampler(frame, rate, channels), this
        try:
            blocks = list(_resampled(resampler, frame, channels))
        except av.FFmpegError:
            # Of noise, a decoder makes what nothing can be made of.
            tally.damaged += 1
            resampler = kind = None
            continue
        tally.sound += 1
        clock += frame.samples / frame.sample_rate
        for block in blocks:
            yield written, block
            written += len(block)
    for block in _resampled(resampler, None, channels):
        yield written, block
        written += len(block)


def _resampler(frame: Any, rate: int, channels: int) -> Any:
    import av  # noqa: PLC0415 - heavy

    same = frame.layout.nb_channels == channels
    # Packed, because PyAV crashes the process on planar frames with more than eight channels.
    return av.AudioResampler(format="s16", layout=frame.layout.name if same else LAYOUTS[channels], rate=rate)


def _resampled(resampler: Any, frame: Any, channels: int) -> "Iterator[NDArray[np.int16]]":
    if resampler is None:
        return
    if frame is not None:
        # The clock is kept here.
        frame.pts = None
    for resampled in resampler.resample(frame):
        yield resampled.to_ndarray().reshape(-1, channels)


def _from(
    start: float, rate: int, blocks: "Iterator[tuple[int, NDArray[np.int16]]]"
) -> "Iterator[NDArray[np.int16]]":
    at = round(start * rate)
    for number, block in blocks:
        if number + len(block) > at:
            yield block[max(0, at - number) :]
            at = number + len(block)
