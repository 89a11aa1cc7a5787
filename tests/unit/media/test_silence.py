import os

import numpy as np
import pytest

from airflow_provider_laplas.media.plan import WINDOW
from airflow_provider_laplas.media.silence import measure
from tests.media_files import RATE, silence, speech, tone, upload, wav

EVERYWHERE = [(0.0, float("inf"))]


def measured(samples, spans=EVERYWHERE):
    return measure(upload(wav(samples)), 0, spans)


def test_silence_is_where_nobody_speaks():
    found = measured(np.concatenate([silence(3), speech(), silence(5)]))
    assert found.seconds == 19
    first, *between, last = found.silences
    assert first == (0.0, pytest.approx(3.3, abs=0.3))
    assert last == (pytest.approx(13.8, abs=0.5), 19.0)
    # As it can be heard: "my fellow Americans … ask not … what your country".
    assert len(between) >= 2
    for start, end in between:
        assert end - start >= 0.3
        heard = speech()[round((start - 3) * RATE) : round((end - 3) * RATE)].astype(float)
        assert np.abs(heard).mean() < np.abs(speech().astype(float)).mean() / 2


def test_what_is_loud_but_no_speech_counts_as_silence():
    [(start, end)] = measured(tone(10)).silences
    assert end - start > 8


def test_loudness_is_in_decibels_for_each_window():
    found = measured(np.concatenate([silence(2), tone(2, level=1.0)]))
    assert len(found.loudness) == round(4 / WINDOW)
    assert found.loudness[10] == pytest.approx(-120)
    # A sine's mean power is half of its peak's.
    assert found.loudness[-10] == pytest.approx(-3, abs=0.1)
    assert not found.is_silent


@pytest.mark.parametrize("noise", [0, 1])
def test_a_recording_of_nothing_is_silent_even_if_it_is_dithered(noise):
    dither = np.random.default_rng(0).integers(-noise, noise + 1, 3 * RATE).astype(np.int16)
    assert measured(dither).is_silent


def test_silence_is_found_only_where_it_is_looked_for():
    samples = np.concatenate([silence(10), speech(), silence(10), speech(), silence(10)])
    spans = [(2.0, 4.0), (23.0, 29.0)]
    found = measured(samples, spans)
    assert found.silences
    for start, end in found.silences:
        assert any(low - WINDOW <= start < end <= high + WINDOW for low, high in spans)
    # As loud as ever, and as long.
    assert found.loudness == measured(samples, []).loudness
    assert found.seconds == 52


def test_what_is_found_does_not_depend_on_where_else_it_is_looked_for():
    samples = np.tile(np.concatenate([speech(), silence(1)]), 3)
    whole = [one for one in measured(samples).silences if one[0] >= 22 and one[1] <= 26]
    part = [
        one for one in measured(samples, [(0.0, 2.0), (20.0, 28.0)]).silences if one[0] >= 22 and one[1] <= 26
    ]
    assert whole
    assert np.array(part) == pytest.approx(np.array(whole), abs=0.1)


def test_the_environment_is_left_as_it_is():
    before = dict(os.environ)
    measured(speech())
    assert dict(os.environ) == before
