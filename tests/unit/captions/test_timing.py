"""When cues are on screen: gaps, minima, and times that are missing or wrong."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.captions import CaptionLimits, make_captions
from airflow_provider_laplas.captions.timing import longest_in_order
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript import Segment, Transcript, Word
from tests.unit.captions.speech import SPEECH, check_rules, made_of, spoken


@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), min_size=1, max_size=12))
def test_the_longest_run_of_times_in_order_is_believed(values):
    if all(value is None for value in values):
        values.append(1)
    chosen = longest_in_order(values)
    assert chosen == sorted(set(chosen))
    assert all(values[a] <= values[b] for a, b in pairwise(chosen))
    best = [0] * len(values)
    for i, value in enumerate(values):
        if value is not None:
            before = (best[j] for j in range(i) if values[j] is not None and values[j] <= value)
            best[i] = 1 + max(before, default=0)
    assert len(chosen) == max(best)


def test_a_cue_stays_long_enough_to_be_read_where_there_is_time():
    words = [Word("Extraordinarily", 0.0, 0.2), Word("Later.", 20.0, 20.2)]
    first, second = make_captions(made_of(words)).cues
    assert first.end - first.start == pytest.approx(5 / 6, abs=0.001)
    assert second.end - second.start == pytest.approx(5 / 6, abs=0.001)


def test_two_frames_lie_between_cues_at_the_rate_that_is_set():
    words = [word for n in range(6) for word in spoken(SPEECH, start=n * 12.3)]
    for rate in (24.0, 25.0, 29.97, 60.0):
        cues = make_captions(made_of(words), CaptionLimits(frame_rate=rate)).cues
        gaps = [after.start - before.end for before, after in pairwise(cues)]
        assert min(gaps) == pytest.approx(2 / rate, abs=0.0011)
        assert all(gap >= 2 / rate - 1e-9 for gap in gaps)


def test_a_cue_that_is_too_short_delays_the_next_speaker_by_no_more_than_the_minimum():
    words = [Word("No.", 5.0, 5.2, speaker="0"), *spoken("But of course you do.", start=5.3, speaker="1")]
    first, second = make_captions(made_of(words)).cues
    assert first.end - first.start >= 5 / 6
    assert 5.3 < second.start <= 5.3 + 5 / 6 + 0.1
    assert second.exceptions == ("late",)


def test_speakers_who_overlap_on_two_channels_both_get_time_on_screen():
    words = [
        *spoken("I was going to say that it works", pace=0.5, channel=0),
        *spoken("no wait let me finish that first", pace=0.5, start=0.1, channel=1),
    ]
    captions = make_captions(made_of(words))
    check_rules(captions, CaptionLimits(), 42)
    assert [cue.voice for cue in captions.cues] == ["Channel 0", "Channel 1"]
    assert all(cue.end - cue.start > 1.4 for cue in captions.cues)
    assert captions.exceptions["late"] == 1


def test_missing_times_are_filled_in_from_those_around_them_and_counted():
    words = [Word("one", 1.0, 2.0), Word("two"), Word("three"), Word("four.", 4.0, 5.0)]
    captions = make_captions(made_of(words))
    assert [(cue.text, cue.start) for cue in captions.cues] == [("one two three four.", 1.0)]
    assert captions.exceptions == {"estimated_times": 2}


def test_one_wrong_time_does_not_move_the_others():
    words = spoken("one two three four five six.", pace=1.0)
    words[2] = Word("three", 5000.0, 5001.0)
    cues = make_captions(made_of(words)).cues
    assert cues[-1].end < 8


def test_equal_times_give_cues_one_after_the_other():
    words = [Word(word, 5.0, 5.0) for word in SPEECH.split()]
    captions = make_captions(made_of(words))
    check_rules(captions, CaptionLimits(), 42)
    assert captions.cues[0].start == 5.0


def test_words_without_times_give_way_to_segments_of_their_channel():
    transcript = Transcript(
        text="x", raw={}, words=(Word("Hello"), Word("there.")), segments=(Segment("Hello there.", 1.0, 2.0),)
    )
    assert [(cue.start, cue.text) for cue in make_captions(transcript).cues] == [(1.0, "Hello there.")]


def test_a_text_without_any_times_is_an_error_and_still_a_txt():
    transcript = Transcript.from_reply({"status": "completed", "result": {"text": "Hello there."}})
    with pytest.raises(LaplasArgumentError, match="need times") as caught:
        make_captions(transcript)
    assert caught.value.argument == "transcript"
    assert transcript.to_txt() == "Hello there.\n"
