"""Writes what is sent of a recording to a file: its packets as they are, or encoded anew."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.media.decoding import GAP, LAYOUTS, samples, select
from airflow_provider_laplas.media.plan import Piece
from airflow_provider_laplas.media.probing import damaged, opened
from airflow_provider_laplas.media.temporary import reopened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = {
    "aac": ".m4a",
    "alac": ".m4a",
    "flac": ".flac",
    "mp3": ".mp3",
    "opus": ".ogg",
    "vorbis": ".ogg",
    **dict.fromkeys(
        ("pcm_alaw", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8"),
        ".wav",
    ),
}
"""The suffix of the file that a codec's packets are put into, without being touched."""

CONTENT_TYPES = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
}

MOST_CHANNELS = 8
"""The most channels that are encoded each for itself."""

BITS_PER_CHANNEL = 32_000
"""Opus's bits per second: speech at it is as good for a model as the original."""

HEADER_BYTES = 8_192
"""More than what a container needs beside the audio."""

_FORMATS = {".flac": "flac", ".m4a": "ipod", ".mp3": "mp3", ".ogg": "ogg", ".wav": "wav"}
# A packet of 20 ms takes one byte in a page of Ogg, which has a header of 27 for each second.
_OGG_OVERHEAD = 50 + 27 + 23
# Uncompressible noise takes more as FLAC than as samples.
_FLAC_OVERHEAD = 1.01
_STEREO = 2
_LOST_SECONDS = 0.5


def bytes_per_second(codec: str, sample_rate: int, channels: int) -> float:
    """Return the most that a second of encoded audio takes in a file."""
    if codec == "opus":
        return channels * BITS_PER_CHANNEL / 8 + _OGG_OVERHEAD * (1 + channels // _STEREO)
    return sample_rate * channels * 2 * _FLAC_OVERHEAD + 1_000


def copied_size(upload: Upload, track: int) -> tuple[int, float] | None:
    """
    Read a track's packets without decoding them, and return their bytes, and the second at which the last one ends.

    :return: None if they cannot be copied: their times are not in order, so that no container takes them, or something is
        missing before one of them, which a copy leaves out, so that the times of all after it would be wrong
    :raises LaplasArgumentError: naming ``audio``, if the file is damaged
    """
    size, latest, shortest = 0, -math.inf, math.inf
    with _read(upload) as container:
        stream = select(container, track)
        begin = end = heard = (container.start_time or 0) / 1_000_000
        for packet in container.demux(stream):
            size += packet.size
            if packet.dts is not None:
                if packet.dts <= latest:
                    return None
                latest = packet.dts
            if packet.pts is not None:
                moment, duration = (
                    float((ticks or 0) * packet.time_base) for ticks in (packet.pts, packet.duration)
                )
                if moment - heard > GAP:
                    return None
                shortest = min(shortest, duration)
                # In an MP4, what is missing is a part of the packet before it.
                heard = moment + (duration if duration <= shortest + GAP else shortest)
                end = max(end, moment + duration)
    return size, end - begin


def copy(upload: Upload, track: int, suffix: str, file: BinaryIO) -> None:
    """
    Write a track's packets as they are.

    :param suffix: of :data:`SUFFIXES`
    :raises LaplasArgumentError: naming ``audio``, if the file is damaged
    :raises OSError: if there is no space for it
    """
    with _read(upload) as container, _written(file, suffix) as out:
        stream = select(container, track)
        target = out.add_stream_from_template(stream)
        target.metadata.clear()
        for packet in container.demux(stream):
            # The last one is empty.
            if packet.dts is not None:
                packet.stream = target
                out.mux(packet)


def encode(
    upload: Upload,
    track: int,
    pieces: Sequence[Piece],
    file: BinaryIO,
    *,
    codec: str,
    rate: int,
    channels: int,
    suffix: str,
) -> None:
    """
    Decode pieces of a track and encode them, one after the other, without gaps between.

    The same input gives the same bytes.

    :param codec: opus or flac
    :param channels: 1 for a mix of all
    :raises LaplasArgumentError: naming ``audio``, if the file is damaged, or has become shorter
    :raises OSError: if there is no space for it
    """
    wanted = sum(round(piece.end * rate) - round(piece.start * rate) for piece in pieces)
    encoded = 0
    decoded = samples(upload, track, rate=rate, channels=channels, start=pieces[0].start)
    with closing(decoded) as blocks, _written(file, suffix) as out:
        add, end = _encoder(out, codec, rate, channels)
        for block in _within(blocks, pieces, rate):
            add(block, encoded)
            encoded += len(block)
        end()
    if wanted - encoded > _LOST_SECONDS * rate:
        raise damaged(upload, "has become shorter since it was planned, or cannot be decoded to its end")


def _within(
    blocks: "Iterator[NDArray[np.int16]]", pieces: Sequence[Piece], rate: int
) -> "Iterator[NDArray[np.int16]]":
    bounds = [(round(piece.start * rate), round(piece.end * rate)) for piece in pieces]
    at = bounds[0][0]
    for block in blocks:
        for start, end in bounds:
            if at < end and start < at + len(block):
                yield block[max(0, start - at) : end - at]
        at += len(block)
        while bounds and bounds[0][1] <= at:
            del bounds[0]
        if not bounds:
            return


def _encoder(
    out: Any, codec: str, rate: int, channels: int
) -> "tuple[Callable[[NDArray[np.int16], int], None], Callable[[], None]]":
    import av  # noqa: PLC0415 - heavy

    # By FFmpeg's default, no channel is taken for that of a cinema's low tones.
    constant = {"vbr": "off", "application": "voip"}
    name, options = ("libopus", constant) if codec == "opus" else ("flac", {})
    layout = LAYOUTS[channels]
    stream = out.add_stream(name, rate=rate, layout=layout, options={**options, "flags": "+bitexact"})
    if codec == "opus":
        stream.bit_rate = BITS_PER_CHANNEL * channels

    def add(block: "NDArray[np.int16]", at: int) -> None:
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, at
        for packet in stream.encode(frame):
            out.mux(packet)

    def end() -> None:
        for packet in stream.encode(None):
            out.mux(packet)

    return add, end


@contextmanager
def _read(upload: Upload) -> Iterator[Any]:
    import av  # noqa: PLC0415 - heavy

    try:
        with opened(upload) as container:
            yield container
    except av.FFmpegError:
        raise damaged(upload) from None


@contextmanager
def _written(file: BinaryIO, suffix: str) -> Iterator[Any]:
    import av  # noqa: PLC0415 - heavy

    # The same input gives the same bytes.
    options = {"fflags": "+bitexact", **({"movflags": "+faststart"} if suffix == ".m4a" else {})}
    with av.open(
        file,
        "w",
        format=_FORMATS[suffix],
        container_options=options,
        # To move its index to the beginning, what is written is read once more.
        io_open=lambda *_: reopened(file),
    ) as out:
        yield out
