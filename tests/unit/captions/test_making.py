"""Captions of a whole transcript: what holds for any words."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_laplas.captions import make_captions
from airflow_provider_laplas.captions.formats import CAPTIONS
from airflow_provider_laplas.captions.making import write_formats
from airflow_provider_laplas.captions.measure import script_limits
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript import Transcript, Word
from tests.fake_api import transcript_reply
from tests.unit.captions.reading import read_vtt
from tests.unit.captions.speech import LIMITS, SPEECH, WORDS, check_rules, made_of, spoken, squeeze


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=40), LIMITS)
def test_any_words_with_any_times_keep_the_rules_and_are_all_there(words, limits):
    transcript = made_of(words)
    try:
        captions = make_captions(transcript, limits)
    except LaplasArgumentError as error:
        assert error.argument == "transcript"
        by_channel = [[w for w in words if w.channel == c and squeeze(w.text)] for c in (0, 1)]
        assert any(c and not any(w.start is not None and 0 <= w.start <= 1e9 for w in c) for c in by_channel)
        return
    line_length, _, wide = script_limits(transcript)
    check_rules(captions, limits, limits.line_length or line_length, wide=wide)
    said = "".join(squeeze(cue.text) for cue in captions.cues)
    assert sorted(said) == sorted(squeeze("".join(word.text for word in words)))
    if len({word.channel for word in words}) == 1:
        assert said == squeeze("".join(word.text for word in words))


def test_silence_gives_no_cues():
    captions = make_captions(Transcript.from_reply({"result": {"metadata": {}, "results": None}}))
    assert (captions.cues, captions.exceptions) == ((), {})
    assert (captions.to_vtt(), captions.to_srt(), captions.to_txt()) == ("WEBVTT\n", "", "")


@pytest.mark.parametrize("name", CAPTIONS)
def test_each_format_is_written_by_its_own_method(name):
    transcript = made_of(spoken(SPEECH))
    texts, _ = write_formats(transcript, [name])
    assert texts == {name: getattr(make_captions(transcript), f"to_{name}")()}


def test_the_same_transcript_gives_the_same_captions():
    transcript = made_of(spoken(SPEECH * 5))
    assert make_captions(transcript).to_vtt() == make_captions(transcript).to_vtt()


def test_three_hours_of_words_take_a_few_seconds():
    words = [
        Word(word, n * 0.36, n * 0.36 + 0.3, speaker=str(n // 300 % 2))
        for n, word in enumerate((SPEECH.split() * 900)[:30_000])
    ]
    transcript = made_of(words)
    begin = time.process_time()
    captions = make_captions(transcript)
    content = captions.to_vtt()
    # It takes about one; a machine that is busy with other tests may take longer.
    assert time.process_time() - begin < 10
    assert sum(len(cue.text.split()) for cue in captions.cues) == 30_000
    assert len(read_vtt(content)) == len(captions.cues)


def test_no_repr_shows_what_was_said():
    captions = make_captions(Transcript.from_reply(transcript_reply("QXZQXZ said")))
    assert "QXZ" not in repr(captions) + repr(captions.cues)
