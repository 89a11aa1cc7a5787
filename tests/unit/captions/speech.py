"""Words to make captions of, and what holds for the captions of any."""

import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import strategies as st

from airflow_provider_laplas.captions import KINDS, CaptionLimits, Captions, width
from airflow_provider_laplas.transcript import Transcript, Word

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
