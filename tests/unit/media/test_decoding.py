"""The samples of a recording from some moment on are those that are there when all before it is decoded, too."""

from functools import cache

import numpy as np
import pytest

from airflow_provider_laplas.media.decoding import GAP, Tally, samples
from tests.media_files import FORMATS, speech, upload

AT = 16_000


@cache
def recording(kind):
    return FORMATS[kind](np.tile(speech(), 3))


@cache
def whole(content):
    """All samples of a file, and how many frames that takes."""
    tally = Tally()
    return from_moment(content, 0.0, tally), tally.sound


def from_moment(content, start, tally=None):
    blocks = list(samples(upload(content), 0, rate=AT, channels=1, start=start, tally=tally))
    return np.concatenate(blocks)[:, 0]


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "wav"])
@pytest.mark.parametrize("start", [2.5, 17.3, 30.0])
def test_what_is_long_before_is_not_decoded(kind, start):
    later = Tally()
    expected, frames = whole(recording(kind))
    assert np.array_equal(from_moment(recording(kind), start, later), expected[round(start * AT) :])
    assert later.sound / frames < (33 - start + 3) / 33


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg"])
@pytest.mark.parametrize("start", [5.0, 38.0, 60.0])
def test_in_files_that_were_put_together_every_moment_is_where_it_is_heard(kind, start):
    content = recording(kind) + recording(kind)
    expected = whole(content)[0][round(start * AT) :]
    # The second MP3's header takes the place of sound.
    assert len(from_moment(content, start)) == pytest.approx(len(expected), abs=GAP * AT)
