"""Decoding: formats, channels, damage."""

import io
import struct
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from airflow_provider_laplas.local import audio
from airflow_provider_laplas.local.audio import RATE, decode
from airflow_provider_laplas.local.errors import JobError
from tests.local.conftest import wav


def encoded(container: str, codec: str, seconds: float = 3.0) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=48_000, layout="stereo")
        with av.open(io.BytesIO(wav(seconds, channels=2, rate=48_000))) as source:
            for frame in source.decode(audio=0):
                frame.pts = None
                for converted in av.AudioResampler(stream.format, "stereo", 48_000).resample(frame):
                    output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def damaged(container: str, codec: str, count: int) -> bytes:
    """Five seconds, with so many bytes of nothing in the middle."""
    content = bytearray(encoded(container, codec, 5.0))
    middle = len(content) // 2
    content[middle : middle + count] = bytes(count)
    return bytes(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


FORMATS = [
    ("flac", "flac"),
    ("ipod", "aac"),
    ("adts", "aac"),
    ("matroska", "pcm_s16le"),
    ("webm", "libopus"),
    ("ogg", "libopus"),
    ("mp3", "libmp3lame"),
    ("aiff", "pcm_s16be"),
    ("wav", "pcm_s16le"),
]


@pytest.mark.parametrize(("container", "codec"), FORMATS)
def test_common_formats_are_decoded_to_their_length(path: Path, container: str, codec: str):
    path.write_bytes(encoded(container, codec))

    recording = decode(path, split=True, max_seconds=60)

    assert recording.seconds == pytest.approx(3.0, abs=0.15)
    assert [len(channel) for channel in recording.channels] == [round(recording.seconds * RATE)] * 2
    assert recording.channels[0].dtype == np.float32
    assert recording.damaged_frames == 0


@pytest.mark.parametrize(
    "container_codec", [("flac", "flac"), ("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("aiff", "pcm_s16be")]
)
def test_a_format_that_states_its_length_is_seen_to_be_cut_short(path: Path, container_codec):
    content = encoded(*container_codec)
    path.write_bytes(content[: len(content) // 2])

    with pytest.raises(JobError, match="cut short"):
        decode(path, split=False, max_seconds=60)


def test_channels_are_kept_apart_or_mixed(path: Path):
    path.write_bytes(wav(1, channels=2))
    left, right = decode(path, split=True, max_seconds=60).channels
    [mixed] = decode(path, split=False, max_seconds=60).channels

    def pitch(samples) -> float:
        return float(np.abs(np.fft.rfft(samples)).argmax()) * RATE / len(samples)

    assert (pitch(left), pitch(right)) == (220, 440)
    assert {220, 440} == {int(index) for index in np.abs(np.fft.rfft(mixed)).argsort()[-2:]}


def test_damage_in_the_middle_is_counted_and_what_remains_is_kept(path: Path):
    path.write_bytes(damaged("adts", "aac", 40))

    recording = decode(path, split=False, max_seconds=60)

    assert recording.damaged_frames >= 1
    assert recording.seconds > 4.5


def test_a_file_without_sound_is_refused(path: Path):
    path.write_bytes(wav(0))

    with pytest.raises(JobError, match="audio"):
        decode(path, split=False, max_seconds=60)


def test_a_missing_piece_is_measured(path: Path):
    path.write_bytes(damaged("flac", "flac", 40))

    recording = decode(path, split=False, max_seconds=60)

    assert recording.missing_seconds == pytest.approx(5.0 - recording.seconds)
    assert 0 < recording.missing_seconds < 0.5


def test_a_hole_in_an_ogg_file_is_seen(path: Path):
    path.write_bytes(damaged("ogg", "libopus", 400))

    with pytest.raises(JobError, match="damaged"):
        decode(path, split=False, max_seconds=60)


@pytest.mark.parametrize("count", [8, 16])
def test_many_channels_are_kept_apart(path: Path, count: int):
    path.write_bytes(wav(1, channels=count, rate=48_000))
    channels = decode(path, split=True, max_seconds=60).channels

    assert len(channels) == count
    pitches = [int(np.abs(np.fft.rfft(channel)).argmax()) for channel in channels]
    assert pitches == [220 * (number + 1) for number in range(count)]


def tagged(content: bytes, artist: bytes) -> bytes:
    """A WAV file with an artist's name before its samples."""
    info = b"INFOIART" + struct.pack("<I", len(artist)) + artist
    body = content[8:36] + b"LIST" + struct.pack("<I", len(info)) + info + content[36:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_tags_may_be_in_an_old_encoding(path: Path):
    path.write_bytes(tagged(wav(1), "Björk\0".encode("latin-1")))

    assert decode(path, split=False, max_seconds=60).seconds == 1.0


def bare_mp3(rate: int, layout: str) -> bytes:
    """Two seconds of MP3 frames and nothing else: such files are joined by putting one behind the other."""
    buffer = io.BytesIO()
    options = {"write_xing": "0", "id3v2_version": "0"}
    with av.open(buffer, "w", format="mp3", options=options) as output:
        stream = output.add_stream("libmp3lame", rate=rate, layout=layout)
        with av.open(io.BytesIO(wav(2, channels=2, rate=48_000))) as source:
            resampler = av.AudioResampler(stream.format, layout, rate)
            for frame in source.decode(audio=0):
                frame.pts = None
                for converted in resampler.resample(frame):
                    output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("second", [(44_100, "mono"), (22_050, "stereo"), (48_000, "stereo")])
def test_a_stream_may_change_in_its_middle(path: Path, second: tuple[int, str], split: bool):
    path.write_bytes(bare_mp3(44_100, "stereo") + bare_mp3(*second) + bare_mp3(44_100, "stereo"))
    recording = decode(path, split=split, max_seconds=60)

    assert recording.seconds == pytest.approx(6.0, abs=0.3)
    assert [len(channel) for channel in recording.channels] == [round(recording.seconds * RATE)] * (1 + split)


def test_a_recording_too_long_by_its_own_account_is_not_decoded(path: Path, monkeypatch):
    path.write_bytes(encoded("flac", "flac", 3.0))
    monkeypatch.setattr(audio, "_frames", lambda *args: pytest.fail("it is decoded"))

    for split, most in ((False, 2.9), (True, 5.9)):
        with pytest.raises(JobError, match="longer than"):
            decode(path, split=split, max_seconds=most)


def test_a_long_recording_takes_no_more_memory_than_its_samples(path: Path):
    path.write_bytes(wav(600))
    tracemalloc.start()
    recording = decode(path, split=False, max_seconds=3600)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1.5 * recording.channels[0].nbytes


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_big_endian_wav_states_its_length_too(path: Path, share: float):
    samples = bytes(2 * RATE * 4)
    form = b"WAVEfmt " + struct.pack(">IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    body = form + b"data" + struct.pack(">I", len(samples)) + samples
    content = b"RIFX" + struct.pack(">I", len(body)) + body
    path.write_bytes(content[: int(len(content) * share)])

    if share == 1.0:
        assert decode(path, split=False, max_seconds=60).seconds == 4.0
    else:
        with pytest.raises(JobError, match="cut short"):
            decode(path, split=False, max_seconds=60)
