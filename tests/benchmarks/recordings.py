"""Long recordings of real speech: those that are shipped, again and again, with pauses between them."""

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.media_files import decoded, media, upload
from tests.paths import RECORDINGS
from tests.speech import JFK, TWO_CITIES

Samples = NDArray[np.int16]

SPOKEN = (("two_cities.ogg", TWO_CITIES), ("jfk.mp3", JFK))

PAUSES = (0.4, 1.5)
"""Seconds between two recordings, at least and at most; after every fourth it is a long one."""

LONG_PAUSES = (3.0, 8.0)
BREATH = 0.1
"""Seconds that are left of each pause where there is to be none."""

ROUNDS = 4

# Of a quiet room: nobody records nothing.
_FLOOR = 10 ** (-62 / 20) * 32_768


def spoken(seconds: float, *, rate: int, pauses: bool = True) -> Iterator[tuple[Samples, str]]:
    """
    Yield each recording with the pause after it, and its words, until there are so many seconds.

    :param pauses: whether there is a silence anywhere, also within the recordings
    """
    chosen = random.Random(1)
    clips = [(decoded((RECORDINGS / name).read_bytes(), rate=rate), text) for name, text in SPOKEN]
    if not pauses:
        samples = np.concatenate([samples for samples, _ in clips])
        clips = [(_breathless(samples, rate), " ".join(text for _, text in clips))]
    length, number = 0, 0
    while length < seconds * rate:
        samples, text = clips[number % len(clips)]
        number += 1
        bounds = PAUSES if number % 4 else LONG_PAUSES
        block = np.concatenate([samples, room(chosen.uniform(*bounds), rate=rate)]) if pauses else samples
        length += len(block)
        yield block, text


def room(seconds: float, *, rate: int) -> Samples:
    """Return what is heard where nobody speaks."""
    noise = np.random.default_rng(1).normal(0, _FLOOR, round(seconds * rate))
    return noise.astype(np.int16)


def _breathless(samples: Samples, rate: int) -> Samples:
    """Shorten every silence, and those that are found then, as the detector hears what is before and after."""
    from airflow_provider_laplas.media.silence import measure  # noqa: PLC0415

    for _ in range(ROUNDS):
        content = media([samples], container="wav", codec="pcm_s16le", rate=rate)
        kept, at = [], 0
        for start, end in measure(upload(content), 0, [(0.0, float("inf"))]).silences:
            kept.append(samples[at : round((start + BREATH / 2) * rate) if start else 0])
            at = round((end - BREATH / 2) * rate)
        samples = np.concatenate([*kept, samples[at:]])
    return samples


def write_flac(file: Path, seconds: float, *, rate: int, pauses: bool = True, skipped: float = 0.0) -> str:
    """
    Write a recording of one channel, and return what is said in it.

    :param skipped: seconds of its beginning that are left out
    """
    import av  # noqa: PLC0415

    texts, written, left = [], 0, round(skipped * rate)
    with av.open(str(file), "w", format="flac") as out:
        stream = out.add_stream("flac", rate=rate, layout="mono")
        for block, text in spoken(seconds, rate=rate, pauses=pauses):
            texts.append(text)
            kept, left = block[left:], max(0, left - len(block))
            for at in range(0, len(kept), rate):
                frame = _frame(kept[at : at + rate], rate, written)
                written += frame.samples
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return " ".join(texts)


def _frame(samples: Samples, rate: int, at: int, layout: str = "mono") -> Any:
    import av  # noqa: PLC0415

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), "s16", layout)
    frame.sample_rate, frame.pts = rate, at
    return frame


def write_video(file: Path, seconds: float, *, bytes_per_second: int, audio_bit_rate: int) -> None:
    """
    Write an MP4 with one picture, shown all the time, and speech in stereo.

    The pictures are repeated packets, filled up to a realistic size: they are never decoded. The audio is some minutes,
    encoded once, and their packets again and again.
    """
    import av  # noqa: PLC0415

    rate, frame_size, pictures_per_second = 48_000, 1024, 25
    said = np.concatenate([block for block, _ in spoken(200, rate=rate)])
    said = np.concatenate([said, room(frame_size / rate, rate=rate)])
    said = said[: len(said) // frame_size * frame_size]
    with av.open(str(file), "w", format="mp4") as out:
        pictures = out.add_stream("libx264", rate=pictures_per_second)
        pictures.width, pictures.height, pictures.pix_fmt = 1920, 1080, "yuv420p"
        audio = out.add_stream("aac", rate=rate, layout="stereo")
        audio.bit_rate = audio_bit_rate
        grey = av.VideoFrame.from_ndarray(np.full((1080, 1920, 3), 127, np.uint8), format="rgb24")
        grey.pts = 0
        [first, *_] = [*pictures.encode(grey), *pictures.encode(None)]
        picture = bytes(first) + bytes(bytes_per_second // pictures_per_second - first.size)
        packets = _encoded(audio, said, rate, frame_size)
        number = shown = 0
        while number * frame_size < seconds * rate:
            packet = av.Packet(packets[number % len(packets)])
            packet.stream, packet.time_base, packet.duration = audio, Fraction(1, rate), frame_size
            packet.pts = packet.dts = number * frame_size
            out.mux(packet)
            number += 1
            while shown * rate < number * frame_size * pictures_per_second:
                packet = av.Packet(picture)
                packet.stream, packet.time_base = pictures, Fraction(1, pictures_per_second)
                packet.pts = packet.dts = shown
                packet.is_keyframe = True
                out.mux(packet)
                shown += 1


def _encoded(stream: Any, samples: Samples, rate: int, frame_size: int) -> Sequence[bytes]:
    packets: list[Any] = []
    for at in range(0, len(samples), frame_size):
        both = np.repeat(samples[at : at + frame_size], 2)
        packets += stream.encode(_frame(both, rate, at, "stereo"))
    return [bytes(packet) for packet in packets]
