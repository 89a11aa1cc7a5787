"""Captions: what holds for any words, what the guidelines ask for, and the two formats read back."""

import html
import io
import re
import time
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_laplas.captions import (
    KINDS,
    CaptionLimits,
    Captions,
    _longest_in_order,
    _script_limits,
    make_captions,
    width,
)
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript import Segment, Transcript, Word
from tests.fake_api import transcript_reply

SPEECH = (
    "Ask not what your country can do for you, ask what you can do for your country. And so, my fellow Americans, "
    "we shall pay any price, bear any burden, meet any hardship; support any friend, and oppose any foe."
)
CHINESE = "今天天气很好，我们一起去公园散步吧。他说明天可能会下雨，所以我们应该早点出门，带上雨伞和水。"  # noqa: RUF001 - as it is written.
JAPANESE = "今日はとても天気がいいので、一緒に公園へ散歩に行きましょう。明日は雨が降るかもしれません。"
ARABIC = "اليوم الطقس جميل جدا، فلنذهب معا إلى الحديقة. قال إن السماء قد تمطر غدا، لذلك يجب أن نخرج مبكرا."
HEBREW = "היום מזג האוויר יפה מאוד, בואו נלך יחד לפארק. הוא אמר שאולי מחר ירד גשם, אז כדאי לצאת מוקדם."

TIMES = st.one_of(st.none(), st.floats(-5, 40), st.sampled_from([0.0, 1.0, 1.0, 86_400.0, 400_000.0, 1e300]))
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Zl", "Zp"]), max_size=50)
WORDS = st.builds(
    Word,
    text=st.one_of(st.sampled_from(SPEECH.split()), st.sampled_from(CHINESE), TEXTS),
    start=TIMES,
    end=TIMES,
    speaker=st.sampled_from([None, "0", "1", "A&B <x>"]),
    channel=st.integers(0, 1),
)
LIMITS = st.builds(
    CaptionLimits,
    line_length=st.one_of(st.none(), st.integers(1, 60)),
    lines=st.integers(1, 4),
    min_duration=st.floats(0, 3),
    max_duration=st.floats(3, 9),
    reading_speed=st.one_of(st.none(), st.floats(1, 40)),
    frame_rate=st.floats(1, 120),
    gap_frames=st.integers(0, 5),
)


def spoken(text: str, *, pace: float = 0.3, start: float = 0.0, **more: object) -> list[Word]:
    """A text's words, one after the other, `pace` seconds each."""
    return [
        Word(word, round(start + n * pace, 3), round(start + n * pace + pace * 0.9, 3), **more)
        for n, word in enumerate(text.split())
    ]


def made_of(words: Iterable[Word], **more: object) -> Transcript:
    words = tuple(sorted(words, key=lambda word: word.channel))
    channels = max((word.channel for word in words), default=0) + 1
    return Transcript(
        text=" ".join(word.text for word in words), raw={}, words=words, channels=channels, **more
    )


def squeeze(text: str) -> str:
    """What is left of a text that must not be lost: no spaces, no control characters."""
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cc")


def seconds(stamp: str) -> float:
    hours, minutes, rest = re.fullmatch(r"(\d{2,}):([0-5]\d):([0-5]\d[.,]\d{3})", stamp).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


def read_vtt(content: str) -> list[tuple[float, float, str | None, str]]:
    """Read WebVTT by its specification alone: start, end, voice, text."""
    assert content.endswith("\n")
    header, *blocks = content[:-1].split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        times, *lines = block.split("\n")
        assert lines
        assert all(line and "-->" not in line for line in lines)
        start, end = times.split(" --> ")
        voice, text = re.fullmatch(r"(?:<v ([^<>\n]+)>)?([^<>]*)(?:</v>)?", "\n".join(lines)).groups()
        cues.append((seconds(start), seconds(end), voice and html.unescape(voice), html.unescape(text)))
    return cues


def read_srt(content: str) -> list[tuple[float, float, str]]:
    cues = []
    for number, block in enumerate(filter(None, content[:-1].split("\n\n")), 1):
        count, times, *lines = block.split("\n")
        assert int(count) == number
        start, end = times.split(" --> ")
        cues.append((seconds(start), seconds(end), "\n".join(lines)))
    return cues


def plain(text: str) -> str:
    return text.replace("\u200f", "")


def check_rules(captions: Captions, limits: CaptionLimits, line_length: int, *, wide: bool = False) -> None:
    """What holds for every transcript and every limit."""
    gap = limits.gap_frames / limits.frame_rate
    for before, after in pairwise(captions.cues):
        assert before.end + gap <= after.start + 1e-6
    longest = 0
    for cue in captions.cues:
        assert 0 <= cue.start < cue.end
        assert cue.end - cue.start <= limits.max_duration + 0.0011
        assert 1 <= len(cue.lines) <= limits.lines
        for line in cue.lines:
            assert line == " ".join(line.split())
            if width(line, wide=wide) > line_length:
                assert " " not in line
                longest += 1
                assert "line_length" in cue.exceptions
        assert ("short" in cue.exceptions) == (round(cue.end - cue.start, 3) < limits.min_duration)
    assert longest == captions.exceptions.get("line_length", 0)
    assert set(captions.exceptions) <= set(KINDS)


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
    line_length, _, wide = _script_limits(transcript)
    check_rules(captions, limits, limits.line_length or line_length, wide=wide)
    said = "".join(squeeze(cue.text) for cue in captions.cues)
    assert sorted(said) == sorted(squeeze("".join(word.text for word in words)))
    if len({word.channel for word in words}) == 1:
        assert said == squeeze("".join(word.text for word in words))


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


@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), min_size=1, max_size=12))
def test_the_longest_run_of_times_in_order_is_believed(values):
    if all(value is None for value in values):
        values.append(1)
    chosen = _longest_in_order(values)
    assert chosen == sorted(set(chosen))
    assert all(values[a] <= values[b] for a, b in pairwise(chosen))
    best = [0] * len(values)
    for i, value in enumerate(values):
        if value is not None:
            before = (best[j] for j in range(i) if values[j] is not None and values[j] <= value)
            best[i] = 1 + max(before, default=0)
    assert len(chosen) == max(best)


def test_ordinary_speech_keeps_every_limit_and_breaks_at_punctuation():
    captions = make_captions(made_of(spoken(SPEECH, pace=0.38)))
    check_rules(captions, CaptionLimits(), 42)
    assert captions.exceptions == {}
    assert captions.cues[0].lines == (
        "Ask not what your country can do for you,",
        "ask what you can do for your country.",
    )
    assert all(cue.text[-1] in ".,;" for cue in captions.cues)


def test_a_line_stays_whole_where_it_fits_and_two_are_balanced():
    (cue,) = make_captions(made_of(spoken("It is short."))).cues
    assert cue.lines == ("It is short.",)
    (cue,) = make_captions(
        made_of(spoken("we went there together one early morning before anybody came"))
    ).cues
    assert cue.lines == ("we went there together one early morning", "before anybody came")
    (cue,) = make_captions(made_of(spoken("Ten Nine Eight Seven Eight Nine Ten Nine Eight Seven Eight"))).cues
    first, second = cue.lines
    assert abs(len(first) - len(second)) <= 6


def test_a_break_does_not_part_an_article_from_its_noun():
    text = "he walked along the old river until the bridge came into the view of everybody"
    for cue in make_captions(made_of(spoken(text))).cues:
        for line in cue.lines:
            assert line.split()[-1] not in {"the", "into", "of"}


def test_a_cue_stays_long_enough_to_be_read_where_there_is_time():
    words = [Word("Extraordinarily", 0.0, 0.2), Word("Later.", 20.0, 20.2)]
    first, second = make_captions(made_of(words)).cues
    assert first.end - first.start == pytest.approx(5 / 6, abs=0.001)
    assert second.end - second.start == pytest.approx(5 / 6, abs=0.001)


def test_a_long_silence_is_never_inside_a_cue():
    words = [Word("Well,", 0.0, 0.4), Word("yes.", 3.0, 3.4)]
    assert [cue.text for cue in make_captions(made_of(words)).cues] == ["Well,", "yes."]


def test_two_frames_lie_between_cues_at_the_rate_that_is_set():
    words = [word for n in range(6) for word in spoken(SPEECH, start=n * 12.3)]
    for rate in (24.0, 25.0, 29.97, 60.0):
        cues = make_captions(made_of(words), CaptionLimits(frame_rate=rate)).cues
        gaps = [after.start - before.end for before, after in pairwise(cues)]
        assert min(gaps) == pytest.approx(2 / rate, abs=0.0011)
        assert all(gap >= 2 / rate - 1e-9 for gap in gaps)


def test_speakers_that_alternate_never_share_a_cue():
    words = [
        word for n in range(8) for word in spoken("Yes, I do think so.", start=n * 2, speaker=str(n % 2))
    ]
    captions = make_captions(made_of(words))
    assert [cue.voice for cue in captions.cues] == ["Speaker 0", "Speaker 1"] * 4
    assert "<v Speaker 1>Yes, I do think so.</v>" in captions.to_vtt()


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


@pytest.mark.parametrize(
    ("text", "line", "speed"), [(CHINESE, 16, 9), (JAPANESE, 13, 4)], ids=["chinese", "japanese"]
)
@pytest.mark.parametrize("whole", [True, False], ids=["segment", "characters"])
def test_chinese_and_japanese_have_their_own_limits_and_no_spaces(text, line, speed, whole):
    seconds_needed = len(text) / speed + 3
    pace = seconds_needed / len(text)
    words = tuple(Word(c, n * pace, (n + 1) * pace) for n, c in enumerate(text))
    transcript = Transcript(
        text=text,
        raw={},
        **({"segments": (Segment(text, 0.0, seconds_needed),)} if whole else {"words": words}),
    )
    captions = make_captions(transcript)
    check_rules(captions, CaptionLimits(), line, wide=True)
    assert "".join(cue.text.replace("\n", "") for cue in captions.cues) == text
    assert "fast" not in captions.exceptions
    if whole:
        assert not any(written[0] in "、。，」" for cue in captions.cues for written in cue.lines)  # noqa: RUF001 - as it is written.


def test_korean_keeps_its_spaces_and_has_sixteen_characters_in_a_line():
    text = "오늘은 날씨가 아주 좋으니까 같이 공원에 산책하러 가요. 내일은 비가 올지도 모르니까 일찍 나가는 게 좋겠어요."
    captions = make_captions(made_of(spoken(text, pace=0.6)))
    check_rules(captions, CaptionLimits(), 16, wide=True)
    assert " ".join(cue.text.replace("\n", " ") for cue in captions.cues) == text


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


def test_marks_on_letters_take_no_place_in_a_line():
    assert width("שָׁלוֹם") == 4
    assert width("e\u0301") == 1
    assert width("漢字ab", wide=True) == 3


def test_times_past_a_day_and_past_a_hundred_hours_are_written_out():
    words = spoken("Still here.", start=90_000.0) + spoken("And here.", start=370_000.0)
    captions = make_captions(made_of(words))
    assert "25:00:00.000 --> " in captions.to_vtt()
    assert "102:46:40,000 --> " in captions.to_srt()
    assert [c.start for c in webvtt.from_string(captions.to_vtt(), strict=True)] == [
        "25:00:00.000",
        "102:46:40.000",
    ]


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


def test_silence_gives_no_cues():
    captions = make_captions(Transcript.from_reply({"result": {"metadata": {}, "results": None}}))
    assert (captions.cues, captions.exceptions) == ((), {})
    assert (captions.to_vtt(), captions.to_srt(), captions.to_txt()) == ("WEBVTT\n", "", "")


def test_what_webvtt_would_take_for_markup_is_escaped_and_srt_keeps_it():
    captions = make_captions(made_of(spoken("a < b && <i>c</i> --> d", speaker="R&D <lab>")))
    vtt = captions.to_vtt()
    assert "<v R&amp;D &lt;lab&gt;>a &lt; b &amp;&amp; &lt;i&gt;c&lt;/i&gt; --&gt; d</v>" in vtt
    assert "a < b && <i>c</i> → d" in captions.to_srt()


def test_a_word_longer_than_a_line_is_alone_and_counted():
    long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
    captions = make_captions(made_of(spoken(f"The word is {long} indeed.")))
    assert [cue.text for cue in captions.cues if "line_length" in cue.exceptions] == [long]
    assert captions.exceptions["line_length"] == 1


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"line_length": 0},
        {"line_length": 4.2},
        {"lines": 0},
        {"lines": True},
        {"min_duration": -1},
        {"max_duration": 0.5},
        {"max_duration": float("inf")},
        {"reading_speed": 0},
        {"frame_rate": float("nan")},
        {"gap_frames": -1},
    ],
)
def test_a_limit_that_cannot_be_one_is_named(wrong):
    with pytest.raises(LaplasArgumentError) as caught:
        CaptionLimits(**wrong)
    assert caught.value.argument in wrong


def test_no_repr_shows_what_was_said():
    captions = make_captions(Transcript.from_reply(transcript_reply("QXZQXZ said")))
    assert "QXZ" not in repr(captions) + repr(captions.cues)
