"""Decoding: formats, channels, damage."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

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
def test_common_formats_are_decoded_to_their_length(tmp_path: Path, container: str, codec: str):
    path = tmp_path / "recording"
    path.write_bytes(encoded(container, codec))

    recording = decode(path, split=True, max_seconds=60)

    assert recording.seconds == pytest.approx(3.0, abs=0.15)
    assert [len(channel) for channel in recording.channels] == [round(recording.seconds * RATE)] * 2
    assert recording.channels[0].dtype == np.float32
    assert recording.damaged_frames == 0


@pytest.mark.parametrize(
    "container_codec", [("flac", "flac"), ("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("aiff", "pcm_s16be")]
)
def test_a_format_that_states_its_length_is_seen_to_be_cut_short(tmp_path: Path, container_codec):
    content = encoded(*container_codec)
    path = tmp_path / "recording"
    path.write_bytes(content[: len(content) // 2])

    with pytest.raises(JobError, match="cut short"):
        decode(path, split=False, max_seconds=60)


def test_channels_are_kept_apart_or_mixed(tmp_path: Path):
    path = tmp_path / "recording"
    path.write_bytes(wav(1, channels=2))
    left, right = decode(path, split=True, max_seconds=60).channels
    [mixed] = decode(path, split=False, max_seconds=60).channels

    def pitch(samples) -> float:
        return float(np.abs(np.fft.rfft(samples)).argmax()) * RATE / len(samples)

    assert (pitch(left), pitch(right)) == (220, 440)
    assert {220, 440} == {int(index) for index in np.abs(np.fft.rfft(mixed)).argsort()[-2:]}


def test_damage_in_the_middle_is_counted_and_what_remains_is_kept(tmp_path: Path):
    content = bytearray(encoded("adts", "aac", 5.0))
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path = tmp_path / "recording"
    path.write_bytes(content)

    recording = decode(path, split=False, max_seconds=60)

    assert recording.damaged_frames >= 1
    assert recording.seconds > 4.5


def test_a_file_without_sound_is_refused(tmp_path: Path):
    path = tmp_path / "recording"
    path.write_bytes(wav(0))

    with pytest.raises(JobError, match="audio"):
        decode(path, split=False, max_seconds=60)


def test_a_missing_piece_is_measured(tmp_path: Path):
    content = bytearray(encoded("flac", "flac", 5.0))
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path = tmp_path / "recording"
    path.write_bytes(content)

    recording = decode(path, split=False, max_seconds=60)

    assert recording.missing_seconds == pytest.approx(5.0 - recording.seconds)
    assert 0 < recording.missing_seconds < 0.5


def test_a_hole_in_an_ogg_file_is_seen(tmp_path: Path):
    content = bytearray(encoded("ogg", "libopus", 5.0))
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path = tmp_path / "recording"
    path.write_bytes(content)

    with pytest.raises(JobError, match="damaged"):
        decode(path, split=False, max_seconds=60)
