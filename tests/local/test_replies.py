"""From words to a reply: the pure part."""

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.local.engine import Heard, Hearing
from airflow_provider_laplas.local.options import Body
from airflow_provider_laplas.local.replies import Facts, build

FACTS = Facts("6f1b5b5c-6d42-4b6e-8d3c-0f6f1f4f9b11", 0.0, "00", 60.0, "medium", "stub 1", ())


def reply(words, **options):
    body = Body(model="#g1_whisper-medium", **options)
    return build(body, FACTS, [Hearing(tuple(words), "en", None)])["results"]


def spoken(text: str, *, at: float = 0.0) -> list[Heard]:
    return [Heard(f" {word}", at + n * 0.5, at + n * 0.5 + 0.4, 0.9) for n, word in enumerate(text.split())]


@given(
    st.lists(
        st.builds(
            Heard,
            st.text(min_size=1, max_size=8),
            st.floats(-5, 100),
            st.floats(-5, 100),
            st.floats(-0.1, 1.1),
        )
    ),
    st.booleans(),
)
def test_times_are_in_order_and_inside_the_recording_whatever_the_engine_says(words, punctuate):
    results = reply(words, punctuate=punctuate, utterances=True, paragraphs=True)
    [alternative] = results["channels"][0]["alternatives"]
    times = [time for word in alternative["words"] for time in (word["start"], word["end"])]

    assert times == sorted(times)
    assert all(0 <= time <= FACTS.seconds for time in times)
    assert 0 <= alternative["confidence"] <= 1
    assert sum(len(utterance["words"]) for utterance in results["utterances"]) == len(alternative["words"])
    paragraphs = alternative["paragraphs"]["paragraphs"]
    assert sum(paragraph["num_words"] for paragraph in paragraphs) == len(alternative["words"])


def test_paragraphs_hold_sentences_and_begin_after_a_long_pause():
    words = spoken("Good day. How are you?") + spoken("Well, thank you.", at=10)
    paragraphs = reply(words, paragraphs=True)["channels"][0]["alternatives"][0]["paragraphs"]

    assert paragraphs["transcript"] == "Good day. How are you?\n\nWell, thank you."
    first, second = paragraphs["paragraphs"]
    assert [sentence["text"] for sentence in first["sentences"]] == ["Good day.", "How are you?"]
    assert (first["num_words"], first["start"], first["end"]) == (5, 0.0, 2.4)
    assert (second["num_words"], second["start"]) == (3, 10.0)


def test_a_paragraph_has_no_more_than_five_sentences():
    words = spoken(" ".join(["Word."] * 7))
    paragraphs = reply(words, paragraphs=True)["channels"][0]["alternatives"][0]["paragraphs"]["paragraphs"]

    assert [len(paragraph["sentences"]) for paragraph in paragraphs] == [5, 2]


def test_words_keep_what_belongs_to_them():
    words = spoken("Don't pay $5 — “O'Neill” co-wrote it...")
    [alternative] = reply(words)["channels"][0]["alternatives"]

    assert [word["word"] for word in alternative["words"]] == [
        *("don't", "pay", "5", "—", "o'neill", "co-wrote", "it"),
    ]
    bare = reply(words, punctuate=False)["channels"][0]["alternatives"][0]
    assert bare["transcript"] == "don't pay 5 o'neill co-wrote it"
    assert len(bare["words"]) == 6


def test_scripts_without_spaces_get_none():
    words = [Heard("你", 0, 1, 0.9), Heard("好。", 1, 2, 0.9)]

    assert reply(words)["channels"][0]["alternatives"][0]["transcript"] == "你好。"
    assert reply(words, punctuate=False)["channels"][0]["alternatives"][0]["transcript"] == "你好"


def test_utterances_of_several_channels_are_in_the_order_they_were_spoken():
    body = Body(model="#g1_whisper-medium", utterances=True)
    late, early = (Hearing(tuple(spoken("words", at=at)), "en", None) for at in (5, 1))
    results = build(body, FACTS, [late, early])["results"]

    assert [(utterance["channel"], utterance["start"]) for utterance in results["utterances"]] == [
        (1, 1),
        (0, 5),
    ]
    assert len({utterance["id"] for utterance in results["utterances"]}) == 2
