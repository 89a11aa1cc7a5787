"""SRT and WebVTT, read back with the library and by the specification."""

import html
import io

import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_laplas.captions import CaptionLimits, make_captions
from airflow_provider_laplas.transcript import Word
from tests.unit.captions.reading import plain, read_srt, read_vtt, seconds
from tests.unit.captions.speech import (
    ARABIC,
    HEBREW,
    WORDS,
    check_rules,
    made_of,
    spoken,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=25))
def test_both_formats_read_back_the_same_with_the_library_and_by_the_specification(words):
    timed = [
        Word(w.text, n * 0.5, n * 0.5 + 0.4, speaker=w.speaker, channel=w.channel)
        for n, w in enumerate(words)
    ]
    captions = make_captions(made_of(timed))
    expected = [(cue.start, cue.end, cue.voice, cue.text) for cue in captions.cues]
    vtt = captions.to_vtt()
    assert [(a, b, voice, plain(text)) for a, b, voice, text in read_vtt(vtt)] == [
        (a, b, voice, plain(text)) for a, b, voice, text in expected
    ]
    library = webvtt.from_string(vtt, strict=True)
    assert [
        (seconds(c.start), seconds(c.end), html.unescape(c.voice or "") or None, plain(html.unescape(c.text)))
        for c in library
    ] == [(a, b, voice, plain(text)) for a, b, voice, text in expected]
    srt = captions.to_srt()
    arrows = [(a, b, plain(text).replace("-->", "→")) for a, b, _, text in expected]
    assert [(a, b, plain(text)) for a, b, text in read_srt(srt)] == arrows
    # The library takes an empty file for no SRT at all.
    from_library = webvtt.from_buffer(io.StringIO(srt), format="srt") if srt else []
    assert [(seconds(c.start), seconds(c.end), plain(c.raw_text)) for c in from_library] == arrows


@pytest.mark.parametrize("text", [ARABIC, HEBREW], ids=["arabic", "hebrew"])
def test_right_to_left_text_stays_in_logical_order(text):
    captions = make_captions(made_of(spoken(text)))
    check_rules(captions, CaptionLimits(), 42)
    assert " ".join(cue.text.replace("\n", " ") for cue in captions.cues) == text
    assert "\u200f" not in captions.to_vtt()


def test_a_right_to_left_line_that_begins_with_latin_is_marked():
    captions = make_captions(made_of(spoken("Airflow הוא כלי מצוין לעבודה הזאת.")))
    assert "\u200fAirflow" in captions.to_vtt()
    assert "\u200fAirflow" in captions.to_srt()
    assert "\u200f" not in captions.cues[0].text


def test_times_past_a_day_and_past_a_hundred_hours_are_written_out():
    words = spoken("Still here.", start=90_000.0) + spoken("And here.", start=370_000.0)
    captions = make_captions(made_of(words))
    assert "25:00:00.000 --> " in captions.to_vtt()
    assert "102:46:40,000 --> " in captions.to_srt()
    assert [c.start for c in webvtt.from_string(captions.to_vtt(), strict=True)] == [
        "25:00:00.000",
        "102:46:40.000",
    ]


def test_what_webvtt_would_take_for_markup_is_escaped_and_srt_keeps_it():
    captions = make_captions(made_of(spoken("a < b && <i>c</i> --> d", speaker="R&D <lab>")))
    vtt = captions.to_vtt()
    assert "<v R&amp;D &lt;lab&gt;>a &lt; b &amp;&amp; &lt;i&gt;c&lt;/i&gt; --&gt; d</v>" in vtt
    assert "a < b && <i>c</i> → d" in captions.to_srt()
