"""A transcript as the page lays it out."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.transcript import Transcript
from airflow_provider_laplas.transcript.text import join_words
from airflow_provider_laplas.ui.document import lay_out
from tests.fake_api import transcript_reply

REPLIES = sorted((Path(__file__).parents[1] / "replies").glob("*.json"))


def text_of(paragraph):
    return "".join((" " if space else "") + text for text, *_, space in paragraph["words"])


def reply_of(channels, paragraphs=None):
    """Return a reply with the words of some channels: of each word its text, start, speaker."""
    made = []
    for number, words in enumerate(channels):
        alternative = {
            "transcript": " ".join(text for text, _, _ in words),
            "confidence": 0.5,
            "words": [
                {"word": text, "start": start, "end": start + 0.4, "confidence": 0.5, "speaker": speaker}
                for text, start, speaker in words
            ],
        }
        if paragraphs and number in paragraphs:
            alternative["paragraphs"] = {"paragraphs": paragraphs[number]}
        made.append({"alternatives": [alternative]})
    return {"status": "completed", "result": {"results": {"channels": made}}}


def test_each_word_is_there_once_with_its_time_and_its_confidence():
    page = lay_out(Transcript.from_reply(transcript_reply("ask not what.")))
    assert page["paragraphs"] == [
        {
            "speaker": None,
            "channel": None,
            "start": 0.0,
            "end": 1.4,
            "words": [["ask", 0.0, 0.4, 0.9, 0], ["not", 0.5, 0.9, 0.9, 1], ["what.", 1.0, 1.4, 0.9, 1]],
        }
    ]
    assert (page["duration"], page["language"], page["text"]) == (1.5, None, "ask not what.")


def test_every_kind_of_reply_is_laid_out_with_all_of_its_words():
    assert REPLIES
    for file in REPLIES:
        transcript = Transcript.from_json(file.read_text())
        page = lay_out(transcript)
        words = [word for paragraph in page["paragraphs"] for word in paragraph["words"]]
        if transcript.words:
            assert sorted(word[0] for word in words) == sorted(
                word.text for word in transcript.words if word.text
            )
        json.dumps(page, allow_nan=False)
        spoken = [text_of(paragraph) for paragraph in page["paragraphs"]]
        assert spoken == [paragraph.text for paragraph in transcript.paragraphs], file.name


def test_a_reply_without_words_has_a_paragraph_as_its_word():
    page = lay_out(Transcript.from_reply({"text": "First one. Second one."}))
    assert [paragraph["words"] for paragraph in page["paragraphs"]] == [
        [["First one. Second one.", None, None, None, 0]]
    ]
    assert lay_out(Transcript.from_reply({"text": ""}))["paragraphs"] == []


def test_the_words_of_two_channels_stay_apart():
    reply = reply_of(
        [[("Hello", 0, None), ("there.", 0.5, None)], [("Good", 0.2, None), ("day.", 0.7, None)]]
    )
    found = lay_out(Transcript.from_reply(reply))["paragraphs"]
    assert [(each["speaker"], each["channel"], text_of(each)) for each in found] == [
        ("Channel 0", 0, "Hello there."),
        ("Channel 1", 1, "Good day."),
    ]


def test_a_word_goes_into_the_apis_paragraph_in_which_it_begins():
    given_paragraphs = {
        0: [
            {"sentences": [{"text": "One two.", "start": 0.001, "end": 1}], "speaker": 0},
            {"sentences": [{"text": "Three.", "start": 1.0, "end": 2}], "speaker": 1},
        ]
    }
    words = [("One", 0, 0), ("two.", 0.5, 0), ("Three.", 0.999, 1)]
    found = lay_out(Transcript.from_reply(reply_of([words], given_paragraphs)))["paragraphs"]
    assert [(each["speaker"], text_of(each)) for each in found] == [
        ("Speaker 0", "One two."),
        ("Speaker 1", "Three."),
    ]


def test_words_of_a_channel_without_paragraphs_are_not_lost():
    given_paragraphs = {0: [{"sentences": [{"text": "One.", "start": 0, "end": 1}]}]}
    reply = reply_of([[("One.", 0, None)], [("Two.", 0, None)]], given_paragraphs)
    found = lay_out(Transcript.from_reply(reply))["paragraphs"]
    assert sorted(text_of(each) for each in found) == ["One.", "Two."]


WORDS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "not.", "what", "了", "。", "\ufffd", "<b>", "\u202e"]),
        st.floats(0, 100, allow_nan=False),
        st.sampled_from([None, 0, 1]),
    ),
    max_size=20,
)


@given(st.lists(WORDS, min_size=1, max_size=3))
def test_no_word_is_lost_or_doubled(channels):
    transcript = Transcript.from_reply(reply_of(channels))
    found = lay_out(transcript)["paragraphs"]
    rows = [row for paragraph in found for row in paragraph["words"]]
    assert sorted(row[0] for row in rows) == sorted(word.text for word in transcript.words)
    for paragraph in found:
        assert text_of(paragraph) == join_words(row[0] for row in paragraph["words"])
