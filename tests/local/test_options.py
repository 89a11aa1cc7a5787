"""Options: honoured, refused by name, or recorded as a warning; never dropped in silence."""

import pytest

from airflow_provider_laplas.api.options import OPTION_NAMES
from airflow_provider_laplas.local.engine import Heard
from airflow_provider_laplas.local.options import IGNORED, REFUSED, Body
from tests.local.conftest import Api, StubEngine, assert_error, wav

HONOURED = {
    *("detect_language", "extra", "keywords", "language", "multi_channel", "paragraphs", "punctuate"),
    *("tag", "utt_split", "utterances"),
}
VALUES = {
    "custom_intent": "x",
    "custom_intent_mode": "strict",
    "custom_topic": ["x"],
    "custom_topic_mode": "extended",
    "diarize_version": "2",
    "search": "x",
    "summarize": "v2",
}


def test_the_server_knows_every_option_of_the_provider():
    assert set(Body.model_fields) - {"model", "url"} == OPTION_NAMES
    assert set(HONOURED) | set(IGNORED) | set(REFUSED) >= OPTION_NAMES


def warned(result) -> dict[str, str]:
    return {warning["parameter"]: warning["type"] for warning in result["metadata"].get("warnings", ())}


def alternative(result):
    return result["results"]["channels"][0]["alternatives"][0]


def test_every_documented_option_has_one_fate():
    fates = [HONOURED, set(REFUSED), set(IGNORED), {"model", "url"}]

    assert sum(map(len, fates)) == len(Body.model_fields)
    assert set.union(*fates) == set(Body.model_fields)


@pytest.mark.parametrize("option", sorted(REFUSED))
def test_what_the_reply_would_lack_is_refused_by_name(shared_api: Api, option: str):
    value = VALUES.get(option, True)

    assert_error(
        shared_api.post(url="https://example.com/a.mp3", **{option: value}), 400, option, "Not supported"
    )


@pytest.mark.parametrize("option", sorted(IGNORED))
def test_what_only_shapes_the_text_is_recorded_as_a_warning(shared_api: Api, option: str):
    value = VALUES.get(option, "true")

    assert warned(shared_api.result(shared_api.upload(wav(), **{option: value}))) == {option: "ignored"}


@pytest.mark.parametrize("option", sorted(({*REFUSED, *IGNORED}) - set(VALUES)))
def test_an_option_that_is_switched_off_is_honoured(shared_api: Api, option: str):
    assert warned(shared_api.result(shared_api.upload(wav(), **{option: "false"}))) == {}


def test_an_unknown_option_is_recorded_as_a_warning(api: Api):
    assert warned(api.result(api.upload(wav(), speaker_labels="true"))) == {"speaker_labels": "unknown"}


def test_other_weights_than_asked_for_are_told_truthfully(serve):
    api = serve(StubEngine(weights="whisper-tiny.en"))
    result = api.result(api.upload(wav()))

    assert warned(result) == {"model": "substituted"}
    [info] = result["metadata"]["model_info"].values()
    assert info["name"] == "whisper-tiny.en"


def test_other_weights_than_asked_for_are_refused_where_they_may_not_run(serve):
    api = serve(StubEngine(weights="whisper-tiny.en"), substitute=False)

    assert_error(api.upload(wav()), 400, "model", "tiny.en")


@pytest.mark.parametrize(
    ("weights", "size"),
    [("whisper-large-v3", "large"), ("whisper-large", "large"), ("whisper-small", "small")],
)
def test_the_weights_asked_for_are_no_substitute(serve, weights: str, size: str):
    api = serve(StubEngine(weights=weights), substitute=False)

    assert warned(api.result(api.upload(wav(), model=f"#g1_whisper-{size}"))) == {}


def test_a_language_the_weights_do_not_know_is_refused_by_name(api: Api):
    assert_error(api.upload(wav(), language="fr"), 400, "language", "medium")


def test_a_language_reaches_the_engine_and_its_region_is_recorded(api: Api, engine: StubEngine):
    assert warned(api.result(api.upload(wav(), language="de-AT"))) == {"language": "ignored"}
    assert engine.asked[-1]["language"] == "de"


def test_the_size_and_the_keywords_reach_the_engine(api: Api, engine: StubEngine):
    api.result(api.upload(wav(), model="#g1_whisper-small", keywords="Airflow:2, Laplas"))

    assert engine.asked[-1]["size"] == "small"
    assert engine.asked[-1]["hotwords"] == "Airflow, Laplas"


def test_a_detected_language_comes_with_its_confidence(api: Api):
    [channel] = api.result(api.upload(wav(), detect_language="true"))["results"]["channels"]

    assert (channel["detected_language"], channel["language_confidence"]) == ("de", 0.75)


def test_a_language_that_was_not_detected_claims_no_confidence(api: Api):
    result = api.result(api.upload(wav(), detect_language="true", language="en"))
    [channel] = result["results"]["channels"]

    assert channel["detected_language"] == "en"
    assert "language_confidence" not in channel
    assert warned(result) == {"detect_language": "ignored"}


def test_weights_of_one_language_say_that_they_detected_none(serve):
    api = serve(StubEngine(known=frozenset({"en"})))

    assert warned(api.result(api.upload(wav(), detect_language="true"))) == {"detect_language": "ignored"}


def test_multi_channel_gives_one_channel_each(api: Api, engine: StubEngine):
    result = api.result(api.upload(wav(1, channels=3), multi_channel="true", utterances="true"))

    assert result["metadata"]["channels"] == len(result["results"]["channels"]) == len(engine.asked) == 3
    assert [utterance["channel"] for utterance in result["results"]["utterances"]] == [0, 1, 2]


def test_without_multi_channel_all_channels_are_mixed_into_one(api: Api, engine: StubEngine):
    result = api.result(api.upload(wav(1, channels=2)))

    assert result["metadata"]["channels"] == len(result["results"]["channels"]) == len(engine.asked) == 1
    assert engine.asked[0]["samples"] == 16_000


def test_without_punctuation_the_text_is_bare(api: Api):
    result = alternative(api.result(api.upload(wav(), punctuate="false", paragraphs="true")))

    assert result["transcript"] == "hello world"
    assert [word["punctuated_word"] for word in result["words"]] == ["hello", "world"]
    assert result["paragraphs"]["transcript"] == "hello world"


def test_utterances_are_split_at_the_pause_that_is_asked_for(serve):
    words = (Heard(" One", 0.0, 0.2, 0.9), Heard(" two", 0.5, 0.6, 0.9), Heard(" three", 0.9, 1.0, 0.6))
    api = serve(StubEngine(words=words))

    def utterances(**options):
        result = api.result(api.upload(wav(), utterances="true", **options))
        return [utterance["transcript"] for utterance in result["results"]["utterances"]]

    assert utterances() == ["One two three"]
    assert utterances(utt_split="0.2") == ["One", "two", "three"]


def test_a_pause_without_utterances_is_recorded_as_a_warning(api: Api):
    assert warned(api.result(api.upload(wav(), utt_split="0.5"))) == {"utt_split": "ignored"}


def test_silence_is_a_completed_generation_with_an_empty_transcript(serve):
    api = serve(StubEngine(words=()))
    result = api.result(api.upload(wav(), utterances="true", paragraphs="true"))

    assert alternative(result) == {
        "transcript": "",
        "confidence": 0.0,
        "words": [],
        "paragraphs": {"transcript": "", "paragraphs": []},
    }
    assert result["results"]["utterances"] == []


def test_extra_and_tag_come_back_in_the_metadata(api: Api):
    metadata = api.result(api.upload(wav(), extra="case:7", tag="night"))["metadata"]

    assert (metadata["extra"], metadata["tags"]) == ("case:7", ["night"])


@pytest.mark.parametrize(
    ("written", "punctuated"), [("true", True), ("True", True), ("false", False), ("False", False)]
)
def test_a_switch_in_a_form_is_true_or_false(shared_api: Api, written: str, punctuated: bool):
    transcript = alternative(shared_api.result(shared_api.upload(wav(), punctuate=written)))["transcript"]

    assert transcript == ("Hello, world." if punctuated else "hello world")


@pytest.mark.parametrize("written", ["0", "yes", ""])
def test_a_switch_in_a_form_is_nothing_else(shared_api: Api, written: str):
    assert_error(shared_api.upload(wav(), punctuate=written), 400, "punctuate")


@pytest.mark.parametrize(
    ("weights", "size"),
    [
        ("whisper-large-v3-turbo", "large"),
        ("whisper-medium.en", "medium"),
        ("folder medium", "medium"),
        ("someone/medium", "medium"),
    ],
)
def test_weights_that_only_sound_like_the_ones_asked_for_are_a_substitute(serve, weights: str, size: str):
    api = serve(StubEngine(weights=weights))
    result = api.result(api.upload(wav(), model=f"#g1_whisper-{size}"))

    assert warned(result) == {"model": "substituted"}
    assert [info["name"] for info in result["metadata"]["model_info"].values()] == [weights]


@pytest.mark.parametrize("options", [{"language": "de"}, {"detect_language": "true"}])
def test_a_submission_does_not_wait_for_the_weights(serve, options):
    asked = []

    class Loading(StubEngine):
        def languages(self, size: str, *, load: bool) -> frozenset[str]:
            asked.append(load)
            return frozenset({"en"}) if load else frozenset({"de", "en"})

    api = serve(Loading())
    ended = api.end(api.upload(wav(), **options))

    assert asked == [False, True]
    if "language" in options:
        assert ended["error"]["name"] == "OptionError"
        assert "language" in ended["error"]["message"]
    else:
        assert warned(ended["result"]) == {"detect_language": "ignored"}


def test_an_unknown_option_may_be_a_list_in_a_form(api: Api):
    result = api.result(api.upload(wav(), word_boost=["one", "two"]))

    assert warned(result) == {"word_boost": "unknown"}
