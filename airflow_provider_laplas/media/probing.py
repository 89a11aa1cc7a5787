"""What a file's header says of a recording: its container, its tracks, its length, whether it is protected."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import shown

READ_SIZE = 1 << 18
"""Bytes that FFmpeg reads at a time."""

# Without playlists and other formats that make FFmpeg open further files or URLs, and without images and texts.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,m4v,matroska,mov,mp3,mpeg,mpegts,mpegtsraw,mxf,ogg,"
    "rm,tta,w64,wav,wv"
)
# Formats that state their length or (Ogg) the position of each part; in others, missing audio goes unnoticed.
_DECLARING = frozenset({"aiff", "avi", "caf", "flac", "flv", "matroska", "mov", "mp3", "ogg", "w64", "wav"})
# Formats without any times, of which FFmpeg works the length out from the bit rate at the beginning.
_GUESSED = frozenset({"aac", "ac3", "amr", "dts", "eac3", "mp3"})
# A placeholder that streaming encoders write when they do not know the size yet.
_RIFF_UNKNOWN = 0x7FFF0000
_PROTECTED = frozenset({b"enca", b"drms"})
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_BOX_HEADER = 8
_LARGE_BOX_HEADER = 16
_MOST_BOXES = 100_000
_NO_LANGUAGE = frozenset({None, "", "und"})
# A tag that the writers of Matroska put to each track: hours, minutes and seconds.
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
# Decoders that are called otherwise than their codec.
_CANONICAL = {"mp3float": "mp3", "libopus": "opus", "libvorbis": "vorbis"}


@dataclass(frozen=True, slots=True)
class Track:
    """
    An audio track.

    :ivar index: of the stream in the container
    :ivar number: among the audio tracks, from 0
    :ivar language: as the container has it; None if it does not say
    :ivar codec: in FFmpeg's words; None if it is not known
    :ivar rate: samples per second; 0 if it is not known
    :ivar bit_rate: bits per second; None if the container does not say
    :ivar declared: seconds, as the header says; None if it does not, or only guesses
    :ivar offset: seconds after the beginning of the recording at which it begins
    :ivar copyable: whether its packets alone are enough, without knowing what the container says beside them
    """

    index: int
    number: int
    language: str | None
    codec: str | None
    channels: int
    rate: int
    bit_rate: int | None
    declared: float | None
    offset: float
    copyable: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """
    A media file, as its header says.

    :ivar container: FFmpeg's name
    :ivar video: whether it has moving pictures; a cover is none
    :ivar tracks: those with audio, in the container's order
    :ivar default: the number of the track that is played if nobody chooses
    :ivar seconds: the best guess at its length, 0 if there is none
    :ivar guessed: whether that may be wrong by far
    """

    container: str
    video: bool
    tracks: tuple[Track, ...]
    default: int
    seconds: float
    guessed: bool


def refused(upload: Upload, what: str) -> LaplasArgumentError:
    """Return the error for a file that cannot be sent: its name, what is wrong with it, what to do."""
    return LaplasArgumentError(f"`audio` cannot be sent: {shown(upload.name)} {what}", argument="audio")


def damaged(upload: Upload, what: str = "is damaged: its audio cannot be decoded") -> LaplasArgumentError:
    """Return the error for a file that is damaged or cut short."""
    return refused(upload, f"{what}. Copy it again from where it comes from, or repair it.")


@contextmanager
def opened(upload: Upload) -> Iterator[Any]:
    """
    Open a file as a container of FFmpeg's.

    :raises av.FFmpegError: if it is not a media file, or damaged where what it contains is said
    """
    import av  # noqa: PLC0415 - heavy

    with (
        upload.open() as file,
        # Tags are not used, so undecodable ones do not matter.
        av.open(
            _Opened(file),
            container_options={"format_whitelist": FORMATS},
            metadata_errors="replace",
            buffer_size=READ_SIZE,
        ) as container,
    ):
        yield container


class _Opened:
    """An open file without its name, which FFmpeg would take for a hint, and a relative one for a protocol."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def probe(upload: Upload) -> Recording | None:
    """
    Read a file's header. Nothing is decoded.

    :return: None if the file cannot be opened as media
    :raises LaplasArgumentError: naming ``audio``, if it is protected, cut short so that its contents cannot be found, or
        without audio
    """
    import av  # noqa: PLC0415 - heavy

    with upload.open() as file:
        head = file.read(_LARGE_BOX_HEADER)
        is_mp4 = head[4:8] == b"ftyp"
        entries = set(_sample_entries(file, upload.size)) if is_mp4 else set()
    if entries & _PROTECTED:
        raise refused(
            upload,
            "is protected (DRM), so nobody but its player can decode it. Get a copy without protection from its owner.",
        )
    try:
        with opened(upload) as container:
            found = _recording(upload, container)
    except av.FFmpegError:
        if is_mp4:
            raise damaged(upload, "is cut short or damaged: the index of its contents is missing") from None
        return None
    if not found.tracks:
        raise refused(upload, "has no audio track. Check that it is the right file.")
    return found


def choose_track(recording: Recording, wanted: int | str | None) -> Track:
    """
    Return a track by its number or language; by default the one that is played if nobody chooses.

    :raises LaplasArgumentError: naming ``media.track``, with the tracks that there are
    """
    if wanted is None:
        return recording.tracks[recording.default]
    # A template renders a number as a string.
    text = str(wanted).strip().lower()
    for track in recording.tracks:
        if text in {str(track.number), (track.language or "").lower()}:
            return track
    there = ", ".join(f"{track.number} ({track.language or 'no language'})" for track in recording.tracks)
    raise LaplasArgumentError(
        f"`media.track` is {shown(wanted)}, but the audio tracks of the file are: {shown(there)}.",
        argument="media.track",
    )


def _recording(upload: Upload, container: Any) -> Recording:
    kind = container.format.name.split(",")[0]
    streams = list(container.streams.audio)
    begin = (container.start_time or 0) / 1_000_000
    seconds = (container.duration or 0) / 1_000_000
    tracks = tuple(_track(upload, container, kind, number, begin) for number in range(len(streams)))
    best = container.streams.best("audio")
    default = next((number for number, stream in enumerate(streams) if stream is best), 0)
    guessed = seconds <= 0 or (kind in _GUESSED and not any(track.declared for track in tracks))
    video = any(map(_is_moving, container.streams.video))
    return Recording(kind, video, tracks, default, max(0.0, seconds), guessed)


def _is_moving(stream: Any) -> bool:
    import av.stream  # noqa: PLC0415 - heavy

    return not stream.disposition & av.stream.Disposition.attached_pic


def _track(upload: Upload, container: Any, kind: str, number: int, begin: float) -> Track:
    stream = container.streams.audio[number]
    codec = stream.codec_context
    offset = float(stream.start_time * stream.time_base) - begin if stream.start_time is not None else 0.0
    return Track(
        index=stream.index,
        number=number,
        language=None if stream.language in _NO_LANGUAGE else stream.language,
        codec=_CANONICAL.get(codec.name, codec.name) if codec else None,
        channels=codec.layout.nb_channels if codec else 0,
        rate=codec.sample_rate if codec else 0,
        bit_rate=codec.bit_rate or None if codec else None,
        declared=_declared(upload, container, stream, kind),
        offset=offset,
        copyable=bool(codec and (codec.name not in {"aac", "alac"} or codec.extradata)),
    )


def _declared(upload: Upload, container: Any, stream: Any, kind: str) -> float | None:
    if kind not in _DECLARING or (kind == "mp3" and not _has_xing(upload)):
        return None
    if stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        seconds = container.duration / 1_000_000
    elif tagged := _DURATION.match(stream.metadata.get("DURATION", "")):
        hours, minutes, rest = map(float, tagged.groups())
        # It says when the track ends, not how long it is.
        seconds = hours * 3600 + minutes * 60 + rest - float((stream.start_time or 0) * stream.time_base)
    else:
        return None
    # FFmpeg derives a WAV's length from the file's size, not from its header.
    return seconds * _riff_share(upload) if kind == "wav" else seconds


def _riff_share(upload: Upload) -> float:
    with upload.open() as file:
        head = file.read(_BOX_HEADER)
    stated = int.from_bytes(head[4:], "big" if head.startswith(b"RIFX") else "little") + _BOX_HEADER
    return 1.0 if stated >= _RIFF_UNKNOWN else max(1.0, stated / upload.size)


def _has_xing(upload: Upload) -> bool:
    """Return whether an MP3 states its number of frames; if not, FFmpeg guesses the length from the bit rate."""
    with upload.open() as file:
        head = file.read(10)
        if head.startswith(b"ID3") and len(head) == 10:  # noqa: PLR2004 - the header's length
            size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
            file.seek(10 + size)
        else:
            file.seek(0)
        first_frame = file.read(2048)
    return any(tag in first_frame for tag in (b"Xing", b"Info", b"VBRI"))


def _sample_entries(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield what an MP4 says that its tracks are made of. FFmpeg does not tell what is encrypted."""
    ends, at = [size], 0
    for _ in range(_MOST_BOXES):
        while ends and at >= ends[-1]:
            ends.pop()
        if not ends:
            return
        file.seek(at)
        header = file.read(_LARGE_BOX_HEADER)
        if len(header) < _BOX_HEADER:
            return
        length, kind, start = int.from_bytes(header[:4], "big"), header[4:8], at + _BOX_HEADER
        if length == 1:
            length, start = int.from_bytes(header[8:], "big"), at + _LARGE_BOX_HEADER
        end = min(ends[-1], at + length) if length else ends[-1]
        if end <= at:
            return
        if kind == b"stsd":
            # Version and number of entries, then the first entry's length and kind.
            file.seek(start)
            yield file.read(_LARGE_BOX_HEADER)[12:16]
        if kind in _CONTAINERS:
            ends.append(end)
            at = start
        else:
            at = end
