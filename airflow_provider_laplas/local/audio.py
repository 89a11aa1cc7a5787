"""Decodes audio files of any origin into Whisper's input: 32-bit float samples at 16 kHz."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_laplas.local.errors import JobError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16_000
# Without playlists and other formats that make FFmpeg open further files or URLs.
FORMATS = "aac,ac3,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,mpegts,ogg,w64,wav"
# Formats that state their length or (Ogg) the position of each part; in others, missing audio goes unnoticed.
DECLARING = frozenset({"aiff", "flac", "matroska", "mov", "mp3", "ogg", "wav"})
TOLERANCE_SECONDS = 0.5
TOLERANCE_SHARE = 0.01
# A placeholder that streaming encoders write when they do not know the size yet.
RIFF_UNKNOWN = 0x7FFF0000

NOT_AUDIO = "The file is not audio, or its format is not supported by this server"


class Recording(NamedTuple):
    """A decoded recording: an array of samples per channel, its length in seconds, and what could not be decoded."""

    channels: "list[NDArray[np.float32]]"
    seconds: float
    damaged_frames: int
    missing_seconds: float


def decode(path: Path, *, split: bool, max_seconds: float) -> Recording:
    """Decode the first audio stream of `path`: each channel separately with `split`, else mixed down to one.

    Raises JobError named AudioError for a file that is not audio, is longer than `max_seconds` (counted once per
    returned channel), or is truncated. A file counts as truncated if it states its length (WAV, FLAC, AIFF, MP4,
    Matroska, Ogg, and MP3 with a Xing header) and more than half a second and more than 1 % of it cannot be
    decoded. Smaller losses are only counted. A truncated MP3 without that header, AAC stream or Ogg file cannot
    be told from a shorter recording.
    """
    import av  # noqa: PLC0415 - heavy

    try:
        # Opened here, because FFmpeg would interpret some file names as protocols.
        with (
            path.open("rb") as file,
            # Tags are not used, so undecodable ones do not matter.
            av.open(
                file, container_options={"format_whitelist": FORMATS}, metadata_errors="replace"
            ) as container,
        ):
            if not container.streams.audio:
                raise _unusable("The file contains no audio")
            return _decode(container, path, split=split, max_seconds=max_seconds)
    except (av.FFmpegError, ValueError):
        raise _unusable(NOT_AUDIO) from None


def _decode(container: Any, path: Path, *, split: bool, max_seconds: float) -> Recording:
    import numpy as np  # noqa: PLC0415 - heavy

    stream = container.streams.audio[0]
    layout = stream.layout.name if split else "mono"
    channels = [bytearray() for _ in range(stream.layout.nb_channels if split else 1)]
    most = max_seconds / len(channels)
    declared = _declared_seconds(container, stream, path)
    if declared > most:
        raise _too_long(max_seconds)
    samples = 0
    tally: Counter[str] = Counter()
    for frame in _resampled(_frames(container, stream, tally), layout):
        samples += frame.samples
        if samples > most * RATE:
            raise _too_long(max_seconds)
        for channel, heard in zip(channels, frame.to_ndarray().reshape(-1, len(channels)).T, strict=True):
            channel.extend(heard.tobytes())
    if tally["damaged"] > tally["sound"]:
        raise _unusable(NOT_AUDIO)
    if not samples:
        raise _unusable("The file contains no audio that can be decoded")
    seconds = samples / RATE
    if declared - seconds > max(TOLERANCE_SECONDS, TOLERANCE_SHARE * declared):
        raise _unusable(
            f"The file is cut short or damaged: {seconds:.1f} s of {declared:.1f} s can be decoded"
        )
    heard_by_channel = [np.frombuffer(channel, np.float32) for channel in channels]
    return Recording(heard_by_channel, seconds, tally["damaged"], max(0.0, declared - seconds))


def _frames(container: Any, stream: Any, tally: Counter[str]) -> Iterator[Any]:
    """Yield the frames that can be decoded, and count `sound` and `damaged` ones in `tally`."""
    import av  # noqa: PLC0415 - heavy

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.error.InvalidDataError:
            tally["damaged"] += 1
            continue
        for frame in frames:
            tally["sound"] += 1
            yield frame


def _resampled(frames: Iterator[Any], layout: str) -> Iterator[Any]:
    """Yield packed float frames at `RATE`. The format may change mid-stream, as it does in concatenated files."""
    import av  # noqa: PLC0415 - heavy

    def kind(frame: Any) -> tuple[str, str, int]:
        return frame.format.name, frame.layout.name, frame.sample_rate

    for _, alike in groupby(frames, kind):
        # Packed, because PyAV crashes the process on planar frames with more than eight channels.
        resampler = av.AudioResampler(format="flt", layout=layout, rate=RATE)
        for frame in chain(alike, (None,)):
            yield from resampler.resample(frame)


def _declared_seconds(container: Any, stream: Any, path: Path) -> float:
    """Return the length in seconds from the file's header, or 0 if it states none."""
    kind = container.format.name.split(",")[0]
    if kind not in DECLARING or (kind == "mp3" and not _has_xing(path)):
        return 0.0
    seconds = 0.0
    if stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        seconds = container.duration / 1_000_000
    # FFmpeg derives a WAV's length from the file's size, not from its header.
    return seconds * _riff_share(path) if kind == "wav" else seconds


def _riff_share(path: Path) -> float:
    with path.open("rb") as file:
        head = file.read(8)
    stated = int.from_bytes(head[4:], "big" if head.startswith(b"RIFX") else "little") + 8
    return 1.0 if stated >= RIFF_UNKNOWN else max(1.0, stated / path.stat().st_size)


def _has_xing(path: Path) -> bool:
    """Return whether an MP3 states its number of frames; if not, FFmpeg guesses the length from the bit rate."""
    with path.open("rb") as file:
        head = file.read(10)
        if head.startswith(b"ID3"):
            size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
            file.seek(10 + size)
        else:
            file.seek(0)
        first_frame = file.read(2048)
    return any(tag in first_frame for tag in (b"Xing", b"Info", b"VBRI"))


def _too_long(max_seconds: float) -> JobError:
    return _unusable(f"The recording is longer than {max_seconds:g} s, counting every channel")


def _unusable(reason: str) -> JobError:
    return JobError("AudioError", reason)
