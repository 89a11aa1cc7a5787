"""Media files as people have them, and as nobody wants them: made with FFmpeg, small, seconds long."""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from airflow_provider_laplas.api.calls import Upload
from tests.paths import JFK_MP3

RATE = 16_000
Samples = NDArray[np.int16]


def tone(seconds: float, *, rate: int = RATE, hertz: float = 440.0, level: float = 0.3) -> Samples:
    """Return a sine: never silent."""
    time = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * time) * level * 32_767).astype(np.int16)


def silence(seconds: float, *, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate), np.int16)


def speech(*, rate: int = RATE) -> Samples:
    """Return the shipped recording: eleven seconds of somebody speaking, with pauses."""
    return decoded(JFK_MP3.read_bytes(), rate=rate)


def decoded(content: bytes, *, rate: int = RATE, layout: str = "mono") -> Samples:
    """Return all samples of a file, interleaved, decoded by FFmpeg in the plainest way."""
    found = []
    with av.open(io.BytesIO(content)) as container:
        resampler = av.AudioResampler(format="s16", layout=layout, rate=rate)
        for frame in container.decode(audio=0):
            found += [one.to_ndarray().reshape(-1) for one in resampler.resample(frame)]
        found += [one.to_ndarray().reshape(-1) for one in resampler.resample(None)]
    return np.concatenate(found)


def media(
    tracks: Sequence[Samples],
    *,
    container: str,
    codec: str,
    rate: int = RATE,
    layout: str = "mono",
    languages: Sequence[str] = (),
    video: str | None = None,
    late: float = 0.0,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> bytes:
    """
    Return a media file.

    :param tracks: the samples of each audio track, interleaved
    :param video: the codec of a track of grey pictures, one a second, as long as the first audio track
    :param late: seconds at which the audio begins
    """
    out = io.BytesIO()
    channels = av.AudioLayout(layout).nb_channels
    with av.open(out, "w", format=container, options=options or {}) as file:
        pictures = file.add_stream(video, rate=10) if video else None
        if pictures:
            pictures.width, pictures.height, pictures.pix_fmt = (
                64,
                48,
                "yuvj420p" if video == "mjpeg" else "yuv420p",
            )
        streams = [file.add_stream(codec, rate=rate, layout=layout) for _ in tracks]
        for number, stream in enumerate(streams):
            stream.options = codec_options or {}
            if bit_rate:
                stream.bit_rate = bit_rate
            if languages:
                stream.metadata["language"] = languages[number]
        longest = max((len(one) for one in tracks), default=2 * rate * channels)
        seconds = longest / channels / rate
        encoders: list[Iterator[Any]] = [
            _audio(stream, samples, rate, layout, channels, late)
            for stream, samples in zip(streams, tracks, strict=True)
        ]
        if pictures:
            encoders.append(_pictures(pictures, seconds + late))
        # In turn, as a muxer wants them.
        while encoders:
            for encoder in list(encoders):
                packets = next(encoder, None)
                if packets is None:
                    encoders.remove(encoder)
                else:
                    file.mux(packets)
    return out.getvalue()


def _audio(
    stream: Any, samples: Samples, rate: int, layout: str, channels: int, late: float
) -> Iterator[Any]:
    step = rate * channels // 10
    for at in range(0, len(samples), step):
        block = np.ascontiguousarray(samples[at : at + step]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, "s16", layout)
        frame.sample_rate = rate
        frame.pts = at // channels + round(late * rate)
        yield stream.encode(frame)
    yield stream.encode(None)


def _pictures(stream: Any, seconds: float) -> Iterator[Any]:
    grey = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 127, np.uint8), format="rgb24")
    for number in range(round(seconds * 10)):
        grey.pts = number
        yield stream.encode(grey)
    yield stream.encode(None)


def mp4(samples: Samples | None = None, **options: Any) -> bytes:
    """Return an MP4 with pictures and AAC; its index is at its end."""
    given = {"container": "mp4", "codec": "aac", "video": "mpeg4", **options}
    return media([tone(3) if samples is None else samples], **given)


def front_mp4(samples: Samples | None = None) -> bytes:
    """Return an MP4 whose index is in front, so that it opens even if it is cut short."""
    # FFmpeg rewrites a file with a name only, and one of fragments has no length in front.
    whole = mp4(samples)
    boxes = dict(_boxes(whole))
    moov = _shifted(boxes[b"moov"], len(boxes[b"moov"]))
    return boxes[b"ftyp"] + moov + boxes.get(b"free", b"") + boxes[b"mdat"]


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8], content[at : at + size]
        at += size


def _shifted(moov: bytes, by: int) -> bytes:
    """Return an index whose chunks are that many bytes later."""
    changed = bytearray(moov)
    at = 0
    while (at := moov.find(b"stco", at)) >= 0:
        count = int.from_bytes(moov[at + 8 : at + 12], "big")
        for place in range(at + 12, at + 12 + 4 * count, 4):
            offset = int.from_bytes(moov[place : place + 4], "big") + by
            changed[place : place + 4] = offset.to_bytes(4, "big")
        at += 4
    return bytes(changed)


def encrypted_mp4() -> bytes:
    """Return an MP4 that says that its audio is encrypted."""
    return mp4().replace(b"mp4a", b"enca")


def live_webm(samples: Samples, *, late: float = 0.0) -> bytes:
    """Return a WebM as a browser records it, which does not say how long it is, and has no index."""
    return mp4(samples, container="webm", codec="libopus", video="libvpx", late=late, options={"live": "1"})


def paced(content: bytes, pace: float, container: str) -> bytes:
    """Return the same audio with times that go slower or faster than its samples, as those of some recorders do."""
    out = io.BytesIO()
    with av.open(io.BytesIO(content)) as source, av.open(out, "w", format=container) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.pts is not None:
                packet.pts = packet.dts = int(packet.pts * pace)
                packet.stream = stream
                target.mux(packet)
    return out.getvalue()


def endless_mkv() -> bytes:
    """Return a Matroska file whose header says that it has eleven days."""
    whole = mp4(container="matroska").replace(b"DURATION", b"DURATIOX")
    at = whole.find(b"\x44\x89\x88") + 3
    return whole[:at] + struct.pack(">d", 1e9) + whole[at + 8 :]


def wav(samples: Samples | None = None, **options: Any) -> bytes:
    given = {"container": "wav", "codec": "pcm_s16le", **options}
    return media([tone(3) if samples is None else samples], **given)


def lying_wav() -> bytes:
    """Return a WAV of three seconds that says it has thirty."""
    whole = bytearray(wav(tone(3)))
    size = 30 * RATE * 2
    whole[4:8] = (size + 36).to_bytes(4, "little")
    at = whole.find(b"data") + 4
    whole[at : at + 4] = size.to_bytes(4, "little")
    return bytes(whole)


def mp3(samples: Samples | None = None, **options: Any) -> bytes:
    given = {"container": "mp3", "codec": "libmp3lame", **options}
    return media([tone(3) if samples is None else samples], **given)


def vbr_mp3(samples: Samples) -> bytes:
    """Return an MP3 of variable bit rate without a Xing header, whose length FFmpeg guesses wrong."""
    return mp3(
        samples,
        options={"write_xing": "0", "id3v2_version": "0"},
        codec_options={"flags": "+qscale", "global_quality": str(9 * 118)},
    )


FORMATS: dict[str, Callable[[Samples], bytes]] = {
    "mp4": mp4,
    "mov": lambda samples: mp4(samples, container="mov"),
    "mkv": lambda samples: mp4(samples, container="matroska"),
    "webm": lambda samples: mp4(samples, container="webm", codec="libopus", video="libvpx"),
    "avi": lambda samples: mp4(samples, container="avi", codec="libmp3lame"),
    "ts": lambda samples: mp4(samples, container="mpegts"),
    "m4a": lambda samples: mp4(samples, container="ipod", video=None),
    "mp3": mp3,
    "ogg": lambda samples: media([samples], container="ogg", codec="libopus"),
    "flac": lambda samples: media([samples], container="flac", codec="flac"),
    "wav": wav,
    "mulaw": lambda samples: wav(samples[::2], codec="pcm_mulaw", rate=8000),
}
"""A file of each format that people have, by its suffix, of samples at 16 kHz."""

VIDEO = ("mp4", "mov", "mkv", "webm", "avi", "ts")


class Read(io.BytesIO):
    """A file in memory that knows how much was read of it at once, and in all."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.largest = self.total = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.largest = max(self.largest, len(found))
        self.total += len(found)
        return found


def upload(content: bytes, name: str = "talk.mp4") -> Upload:
    return Upload(name, len(content), "application/octet-stream", lambda: io.BytesIO(content), version="1")


def watched(content: bytes, name: str = "talk.mp4") -> tuple[Upload, list[Read]]:
    """Return an upload, and the files that were opened of it."""
    files: list[Read] = []

    def opened() -> BinaryIO:
        files.append(Read(content))
        return files[-1]

    return Upload(name, len(content), "application/octet-stream", opened), files


def content_of(source: Upload) -> bytes:
    with source.open() as file:
        return file.read()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
