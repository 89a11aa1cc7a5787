"""What a task knows of its recordings, which it prepares one after another."""

import numpy as np

from airflow_provider_laplas.media import MediaSettings
from airflow_provider_laplas.media.preparation import Preparation
from tests.media_files import speech, upload, wav


def test_recordings_of_one_name_size_and_time_are_each_cut_in_their_own_silences():
    preparation = Preparation(MediaSettings(max_part_seconds=12))
    talk = np.tile(speech(), 2)
    one, other = (upload(wav(samples), "talk.wav") for samples in (talk, np.flip(talk)))
    assert one.size == other.size
    first, second = preparation.plan(one, "a/talk.wav"), preparation.plan(other, "b/talk.wav")
    assert first.parts[0].pieces[0].end != second.parts[0].pieces[0].end
    assert preparation.plan(one, "a/talk.wav") is first
