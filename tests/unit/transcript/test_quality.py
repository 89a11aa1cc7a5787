"""The gates: what each finds, what it leaves alone, and that no message quotes the transcript."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript import Transcript, Word, tokens
from airflow_provider_laplas.transcript.quality import (
    COMPRESSION_RATIO,
    QualitySettings,
    check,
    compression_ratio,
    find_loop,
)

PROSE = (
    "So the way I got into this, honestly, was a bit of an accident. I had been working at the hospital for about "
    "three years, and one evening a colleague asked me, you know, whether I would like to take over the night shift "
    "for a month. And I said yes, yes, of course, because, because I needed the money at that time. It was a very, "
    "very long month. But what happened was that I started to notice things that nobody writes down: who calls, at "
    "what hour, and what they really want when they say that they only want a glass of water. Most of them want "
    "somebody to sit there for a minute. That is not in any protocol. So I began to keep a small book, first for "
    "myself, and later, when the others had read it, for the whole ward. "
)
GREEN_BOTTLES = "".join(
    f"{n} green bottles hanging on the wall, {n} green bottles hanging on the wall, and if one green bottle should "
    f"accidentally fall, there'll be {m} green bottles hanging on the wall. "
    for n, m in zip(
        ["Ten", "Nine", "Eight", "Seven", "Six", "Five"],
        ["nine", "eight", "seven", "six", "five", "four"],
        strict=True,
    )
)
MACDONALD = "".join(
    f"Old MacDonald had a farm, E-I-E-I-O, and on that farm he had a {a}, E-I-E-I-O, with a {b} {b} here and a {b} "
    f"{b} there, here a {b}, there a {b}, everywhere a {b} {b}, Old MacDonald had a farm, E-I-E-I-O. "
    for a, b in [("cow", "moo"), ("pig", "oink"), ("duck", "quack"), ("horse", "neigh")]
)
VARIED = "".join(
    f"So I'm going to put it in the oven for about {n} minutes. "
    for n in [
        "five",
        "ten",
        "five",
        "six",
        "ten",
        "five",
        "five",
        "ten",
        "five",
        "ten",
        "ten",
        "five",
        "six",
        "five",
        "ten",
    ]
)

ORDINARY = {
    "prose": PROSE,
    "a word for emphasis": PROSE + "No no no no no, that was very very very very good. " + PROSE,
    "a stammer": "I I I I I I want to to to to go go go go home now. " + PROSE,
    "applause of one word": "Thank you. Thank you. Thank you. Thank you. Thank you so much. " + PROSE,
    "a round, four times": "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, life "
    "is but a dream. " * 4,
    "a chorus, twice": "Jingle bells, jingle bells, jingle all the way. Oh what fun it is to ride in a one horse open "
    "sleigh. " * 2,
    "a refrain of syllables": "Na na na, na na na na, na na na na, hey hey hey, goodbye. " * 2,
    "a song with new animals": MACDONALD,
    "a song that counts down": GREEN_BOTTLES,
    "a telephone number, three times": "four one five, five five five, zero one zero zero. " * 3,
    "zeros of an account": "The number is 1 " + "0 " * 12 + "4 and that is all.",
    "counting": " ".join(map(str, range(1, 200))),
    "counting to ten, five times": "one two three four five six seven eight nine ten " * 5,
    "readings of a table": "0 0 0 1 0 0 0 0 2 0 0 0 0 0 0 0 0 1 1 0 0 0 0 0 0 0 3 0 0 0 0 0 0 0 1 0 " * 2,
    "yes to every question": "Present. " * 12,
    "chinese": "好好好，我知道了，谢谢谢谢。今天天气很好，我们一起去公园散步吧。",  # noqa: RUF001 - as it is written.
}
LOOPS = {
    "a farewell": "Thank you for watching. " * 20,
    "one word": PROSE + "you " * 100,
    "two words": "Muy bien. " * 20,
    "a sentence inside prose": PROSE + "I'm going to go to the next one. " * 9 + PROSE,
    "a long sentence": "And that is what I wanted to say about the new plan for the city. " * 6,
    "a whole passage": PROSE[: PROSE.index("It was a")] * 5,
    "japanese": "ご視聴ありがとうございました。" * 8,
    "chinese": "请不吝点赞订阅。" * 10,
    "digits": "0 " * 200,
    "one that changes a word": VARIED,
}


def said(text: str, **more: object) -> Transcript:
    return Transcript(text=text, raw={}, **more)


def kinds(transcript: Transcript, **more: object) -> list[str]:
    return [finding.kind for finding in check(transcript, QualitySettings(**more))]


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY)
def test_what_people_say_and_sing_is_no_loop(text):
    assert kinds(said(text)) == []


@pytest.mark.parametrize("text", LOOPS.values(), ids=LOOPS)
def test_a_loop_is_found(text):
    (finding,) = check(said(text), QualitySettings(repetition="fail"))
    assert (finding.kind, finding.action) == ("repetition", "fail")
    assert "loop" in finding.message


def test_a_loop_that_changes_a_word_is_found_by_its_compression_alone():
    assert find_loop(tokens(VARIED)) is None
    assert compression_ratio(" ".join(tokens(VARIED)[:100])) > COMPRESSION_RATIO
    assert compression_ratio(" ".join(tokens(PROSE)[:100])) < 2.4


def test_a_long_transcript_is_not_taken_for_a_loop_because_it_is_long():
    chapters = " ".join(f"{word} and {word[::-1]}" for word in PROSE.split()) + PROSE
    assert kinds(said(chapters * 2)) == []


def test_the_message_names_the_length_the_count_and_the_second():
    words = [Word("so", 0.0, 0.5)] + [
        Word(word, 1.0 + n * 0.5, 1.4 + n * 0.5) for n, word in enumerate(["Muy", "bien."] * 15)
    ]
    (finding,) = check(said("x", words=tuple(words)))
    assert (
        finding.message == "The same 2 word(s) come 15 times in a row, from 1.0 s on: the model has looped."
    )


def test_a_loop_on_the_second_channel_is_found_and_channels_are_not_mixed():
    left = [Word(word, channel=0) for word in PROSE.split()]
    right = [Word("you", channel=1) for _ in range(30)]
    assert kinds(said("x", words=(*left, *right), channels=2)) == ["repetition"]
    split = tuple(Word("you", channel=n // 15) for n in range(60))
    assert kinds(said("x", words=split, channels=4)) == []


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 8), st.integers(6, 12))
def test_any_phrase_said_often_enough_is_found_whatever_is_around_it(around, size, times):
    phrase = [f"w{n}x" for n in range(size)]
    phrase = [word.replace("0", "o").translate(str.maketrans("123456789", "bcdefghij")) for word in phrase]
    loop = find_loop([*around, *phrase * times, *around])
    if size * times >= 24:
        assert loop is not None
        assert loop.words * loop.times >= 24


def test_three_hours_are_checked_in_seconds():
    words = tuple(
        Word(word, n * 0.3, n * 0.3 + 0.2, 0.9) for n, word in enumerate((PROSE.split() * 250)[:30_000])
    )
    # One passage over and over would be a loop of its own: each is made a little different.
    words = tuple(
        replace(word, text=f"{word.text}{n}") if n % 7 == 0 else word for n, word in enumerate(words)
    )
    begin = time.process_time()
    check(said("x", words=words))
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("text", ["", "  ", "...", "♪♪"])
def test_no_speech_is_found_and_nothing_else_is_said_about_it(text):
    transcript = said(text, confidence=0.0, language="fr")
    (finding,) = check(transcript, QualitySettings(empty_speech="skip", expected_language="en"))
    assert (finding.kind, finding.action) == ("empty_speech", "skip")


def test_a_confidence_under_the_threshold_is_found():
    (finding,) = check(
        said("Hello.", confidence=0.42), QualitySettings(low_confidence="fail", min_confidence=0.6)
    )
    assert finding.action == "fail"
    assert finding.message == "The mean confidence is 0.42, under the 0.6 that is asked for."


def test_the_words_confidence_counts_before_the_mean_of_channels():
    words = (*(Word(str(n), confidence=0.9) for n in range(9)), Word("x", confidence=0.1, channel=1))
    assert kinds(said("x", words=words, confidence=0.5, channels=2), min_confidence=0.8) == []


def test_the_threshold_itself_and_no_confidence_at_all_pass():
    assert kinds(said("Hello.", confidence=0.5)) == []
    assert kinds(said("Hello."), min_confidence=1.0) == []


@pytest.mark.parametrize(
    ("detected", "expected", "found"),
    [
        ("en", "en", False),
        ("en_us", "en-GB", False),
        ("EN", "en", False),
        ("cmn-Hans", "zh", False),
        ("fr", "en", True),
        ("enx", "en", True),
        ("fr", None, False),
    ],
)
def test_languages_are_compared_by_their_first_part(detected, expected, found):
    transcript = said("Hello.", language=detected)
    assert kinds(transcript, expected_language=expected) == (["language"] if found else [])


def test_a_language_that_nobody_detected_is_not_the_expected_one():
    (finding,) = check(said("Hello."), QualitySettings(language="fail", expected_language="en"))
    assert (finding.kind, finding.action) == ("language", "fail")
    assert "detect_language" in finding.message


def test_a_gate_that_is_off_finds_nothing():
    off = {"low_confidence": None, "repetition": None, "language": None}
    transcript = said("you " * 100, confidence=0.1, language="fr")
    assert kinds(transcript, expected_language="en", **off) == []
    assert kinds(said(""), empty_speech=None) == []


def test_several_gates_report_in_the_order_of_the_settings():
    transcript = said("you " * 100, confidence=0.1, language="fr")
    assert kinds(transcript, expected_language="en") == ["low_confidence", "repetition", "language"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"repetition": "explode"},
        {"empty_speech": True},
        {"min_confidence": 1.5},
        {"min_confidence": True},
        {"min_confidence": float("nan")},
        {"expected_language": ""},
        {"expected_language": None, "language": "fail"},
        {"expected_language": 5},
    ],
)
def test_a_setting_that_cannot_be_one_is_named(wrong):
    with pytest.raises(LaplasArgumentError) as caught:
        QualitySettings(**wrong)
    assert caught.value.argument in wrong


@given(st.text(alphabet="QXZ", min_size=6, max_size=12), st.integers(1, 120))
def test_no_message_holds_a_word_of_the_transcript(secret, times):
    words = tuple(Word(secret, n * 1.0, n + 0.5, 0.1) for n in range(times))
    findings = check(
        said(" ".join([secret] * times), words=words, language="fr"), QualitySettings(expected_language="en")
    )
    assert findings
    assert secret not in repr(findings)
