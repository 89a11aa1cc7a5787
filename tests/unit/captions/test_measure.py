"""The room that a text takes, and the limits of each script."""

import pytest

from airflow_provider_laplas.captions import CaptionLimits, make_captions, width
from airflow_provider_laplas.transcript import Segment, Transcript, Word
from tests.unit.captions.speech import (
    CHINESE,
    JAPANESE,
    check_rules,
    made_of,
    spoken,
)


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


def test_marks_on_letters_take_no_place_in_a_line():
    assert width("שָׁלוֹם") == 4
    assert width("e\u0301") == 1
    assert width("漢字ab", wide=True) == 3
