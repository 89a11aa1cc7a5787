"""The replies of a recording's parts, joined: it reads as if it had been sent whole."""

import copy
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_laplas.captions.making import write_formats
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError, LaplasMalformedReplyError
from airflow_provider_laplas.results import load_reply, load_transcript, write_reply
from airflow_provider_laplas.storage import LOCAL
from airflow_provider_laplas.transcript import Transcript, Word, join_words, read_object
from airflow_provider_laplas.transcript.joining import PartReply, join_replies
from airflow_provider_laplas.transcript.quality import check
from airflow_provider_laplas.transcript.seams import FASTEST
from airflow_provider_laplas.transcript.stored import FORMAT
from airflow_provider_laplas.transcript.usage import transcript_usage
from tests.unit.hostile import BODIES, nested
from tests.unit.transcript.samples import REPLIES, SAMPLES

SHAPES = ("nova", "assemblyai", "openai")


# What is said, and the replies of an API to parts of it.


def nova(channels: list[list[Word]], *, grouped: str = "", **more: Any) -> dict[str, Any]:
    def timed(words: list[Word], name: str) -> dict[str, Any]:
        return {name: join_words(w.text for w in words), "start": words[0].start, "end": words[-1].end}

    said = [[words[i : i + 3] for i in range(0, len(words), 3)] for words in channels]
    results: dict[str, Any] = {
        "channels": [
            {
                "detected_language": f"l{number}",
                "alternatives": [
                    {
                        "transcript": join_words(w.text for w in words),
                        "confidence": 0.5,
                        "words": [
                            {
                                "word": w.text,
                                "start": w.start,
                                "end": w.end,
                                "confidence": w.confidence,
                                "speaker": w.speaker,
                            }
                            for w in words
                        ],
                    }
                ],
            }
            for number, words in enumerate(channels)
        ]
    }
    if grouped == "paragraphs":
        for channel, groups in zip(results["channels"], said, strict=True):
            channel["alternatives"][0]["paragraphs"] = {
                "paragraphs": [{"sentences": [timed(words, "text")]} for words in groups]
            }
    if grouped == "utterances":
        results["utterances"] = [
            timed(words, "transcript") | {"channel": number}
            for number, groups in enumerate(said)
            for words in groups
        ]
    metadata = {"model_info": {"m": {"name": "whisper"}}} | more
    return {"status": "completed", "result": {"metadata": metadata, "results": results}}


def assemblyai(channels: list[list[Word]], **more: Any) -> dict[str, Any]:
    words = sorted((w for words in channels for w in words), key=lambda word: word.start or 0)
    items = [
        {
            "text": w.text,
            "start": round((w.start or 0) * 1000),
            "end": round((w.end or 0) * 1000),
            "confidence": w.confidence,
            "speaker": w.speaker,
            "channel": str(w.channel + 1),
        }
        for w in words
    ]
    text = join_words(w.text for w in words)
    result = {"text": text, "words": items, "language_code": "l0", "confidence": 0.5, "speech_model": "best"}
    return {"status": "completed", "result": result | more}


def openai(channels: list[list[Word]]) -> dict[str, Any]:
    return {"text": join_words(w.text for words in channels for w in words)}


def reply_of(shape: str, channels: list[list[Word]], grouped: str = "") -> dict[str, Any]:
    if shape == "nova":
        return nova(channels, grouped=grouped)
    return assemblyai(channels) if shape == "assemblyai" else openai(channels)


def said(text: str, begin: float = 0.0, *, each: float = 0.4, speaker: str | None = None) -> list[Word]:
    """One word after the other, from a time on."""
    return [
        Word(word, round(begin + i * each, 3), round(begin + (i + 1) * each - 0.1, 3), 0.9, speaker)
        for i, word in enumerate(text.split())
    ]


def part(channels: list[list[Word]] | list[Word], *pieces: tuple[float, float], **more: Any) -> PartReply:
    words: Any = channels if channels and isinstance(channels[0], list) else [channels]
    return PartReply(nova(words), pieces, **more)


def joined(*parts: PartReply, seconds: float | None = None) -> Transcript:
    reply = join_replies(parts, seconds=seconds)
    json.dumps(reply, allow_nan=False)
    return Transcript.from_reply(reply)


def times(transcript: Transcript) -> list[tuple[str, float | None, float | None]]:
    return [(word.text, word.start, word.end) for word in transcript.words]


# Random recordings, cut at random. Times are whole milliseconds until a reply is written.


@dataclass
class Cut:
    """A recording, and the parts that it is cut into: pieces in milliseconds, with what the API heard in them."""

    channels: list[list[tuple[str, int, int]]]
    pieces: list[list[tuple[int, int]]]
    overlaps: list[int]
    misheard: list[bool]

    def parts(self, shape: str, grouped: str = "") -> list[PartReply]:
        return [
            PartReply(
                reply_of(shape, [self._heard(n, i) for n in range(len(self.channels))], grouped),
                tuple((begin / 1000, end / 1000) for begin, end in pieces),
                self.overlaps[i] / 1000,
            )
            for i, pieces in enumerate(self.pieces)
        ]

    def _heard(self, channel: int, number: int) -> list[Word]:
        """The words of a part, with its times; what is cut in two is misheard, or not heard at all."""
        heard, offset = [], 0
        for begin, end in self.pieces[number]:
            for text, start, stop in self.channels[channel]:
                whole = begin <= start and stop <= end
                if not whole and (stop <= begin or start >= end or not self.misheard[number]):
                    continue
                first, last = (max(start, begin) - begin + offset, min(stop, end) - begin + offset)
                heard.append(
                    Word(
                        text if whole else "mum" if start < begin else "ble",
                        first / 1000,
                        last / 1000,
                        0.9,
                        None,
                        channel,
                    )
                )
            offset += end - begin
        return heard


WORDS = st.sampled_from(["no", "no", "Yes,", "it's", "“well”", "end.", "1,000", "今日は", "で"])


@st.composite
def recordings(draw: st.DrawFn, channels: int, *, distinct: bool = False) -> list[list[tuple[str, int, int]]]:
    recording = []
    for number in range(channels):
        words, time = [], 0
        for index in range(draw(st.integers(0 if number else 1, 25))):
            start = time + draw(st.sampled_from([0, 0, 50, 200, 900, 3000]))
            time = start + draw(st.integers(100, 600))
            words.append((f"w{index}" if distinct else draw(WORDS), start, time))
        recording.append(words)
    return recording


@st.composite
def silently_cut(draw: st.DrawFn, channels: int) -> Cut:
    """Cut in silences; some of them left out, within a part or between two."""
    recording = draw(recordings(channels))
    spoken = sorted((start, end) for words in recording for _, start, end in words)
    pieces, begin, latest = [[]], 0, 0
    for start, end in spoken:
        if start > latest:
            room = st.integers(latest, start)
            how = draw(st.sampled_from(["go on", "go on", "cut", "leave out", "cut and leave out"]))
            stop, again = sorted([draw(room), draw(room)])
            again = stop if how == "cut" else again
            if how != "go on" and begin < stop:
                pieces[-1].append((begin, stop))
                if how != "leave out":
                    pieces.append([])
                begin = again
        latest = max(latest, end)
    pieces[-1].append((begin, latest + draw(st.integers(0, 2000))))
    return Cut(recording, pieces, [0] * len(pieces), [False] * len(pieces))


@st.composite
def cut_anywhere(draw: st.DrawFn, channels: int, *, distinct: bool = False, mishears: bool = True) -> Cut:
    """Cut also within words; no word is as long as an overlap, so that one of two parts has it whole."""
    recording = draw(recordings(channels, distinct=distinct))
    length = max(end for words in recording for _, _, end in words)
    pieces, overlaps, begin = [], [0], 0
    while True:
        overlap, end = draw(st.integers(700, 1500)), begin + draw(st.integers(3100, 9000))
        if end >= length:
            break
        pieces.append([(begin, end)])
        overlaps.append(overlap)
        begin = end - overlap
    pieces.append([(begin, length)])
    misheard = [mishears and draw(st.booleans()) for _ in pieces]
    return Cut(recording, pieces, overlaps, misheard)


def assert_same(cut: Cut, transcript: Transcript, shape: str) -> None:
    words = [
        (text, n, start / 1000, end / 1000)
        for n, said in enumerate(cut.channels)
        for text, start, end in said
    ]
    assert transcript.text.split() == [
        word for said in cut.channels for word in join_words(text for text, _, _ in said).split()
    ]
    assert transcript.duration == cut.pieces[-1][-1][1] / 1000
    if shape == "openai":
        assert transcript.words == ()
        return
    assert [(w.text, w.channel) for w in transcript.words] == [(text, n) for text, n, _, _ in words]
    for word, (_, _, start, end) in zip(transcript.words, words, strict=True):
        assert (word.start, word.end) == pytest.approx((start, end), abs=1e-3)
    assert transcript.language == "l0"
    silent = shape == "assemblyai" and not cut.channels[-1]
    assert transcript.channels == len(cut.channels) - silent


@given(st.data(), st.sampled_from(SHAPES))
def test_a_recording_that_is_cut_in_silences_reads_as_before(data, shape):
    cut = data.draw(silently_cut(1 if shape == "openai" else data.draw(st.integers(1, 2))))
    assert_same(cut, joined(*cut.parts(shape)), shape)


@given(st.data(), st.sampled_from(["nova", "assemblyai"]))
def test_no_word_of_an_overlap_is_there_twice_and_none_is_lost(data, shape):
    cut = data.draw(cut_anywhere(data.draw(st.integers(1, 2))))
    assert_same(cut, joined(*cut.parts(shape)), shape)


@given(cut_anywhere(1, distinct=True, mishears=False))
def test_an_overlap_is_taken_out_of_a_text_without_times(cut):
    assert_same(cut, joined(*cut.parts("openai")), "openai")


@given(st.data(), st.sampled_from(["utterances", "paragraphs"]), st.integers(1, 2))
def test_segments_say_what_the_words_say(data, grouped, channels):
    cut = data.draw(st.one_of(silently_cut(channels), cut_anywhere(channels)))
    parts = cut.parts("nova", grouped)
    # The first has neither: they are made of its words.
    if data.draw(st.booleans()) and len(parts) > 1:
        parts[0] = cut.parts("nova")[0]
    transcript = joined(*parts)
    assert_same(cut, transcript, "nova")
    segments = transcript.segments if grouped == "utterances" else transcript.sentences
    for channel in range(channels):
        words = [word for word in transcript.words if word.channel == channel]
        own = [segment for segment in segments if segment.channel == channel]
        assert join_words(s.text for s in own).split() == join_words(w.text for w in words).split()
        starts, ends = {word.start for word in words}, {word.end for word in words}
        assert all(s.start in starts and s.end in ends for s in own)


# A single part.


def read_alone(reply: dict[str, Any]) -> tuple[Transcript, Transcript]:
    alone = Transcript.from_reply(reply)
    end = alone.duration or max((w.end or 0.0 for w in alone.words), default=0.0)
    again = joined(PartReply(reply, ((0.0, end),)), seconds=alone.duration)
    return replace(alone, raw={}, duration=end), replace(again, raw={})


@pytest.mark.parametrize("name", SAMPLES)
def test_one_part_that_is_the_whole_recording_reads_as_the_same(name):
    alone, again = read_alone(json.loads((REPLIES / f"{name}.json").read_text()))
    if name.startswith("assemblyai") and not alone.text:
        alone = replace(alone, confidence=None)  # A channel without speech has none.
    if alone.channels > 1 and name.startswith("assemblyai"):
        alone = replace(alone, text=alone.text.replace("morning. Hello", "morning.\nHello"))
    assert again == alone


@given(st.data(), st.sampled_from(["", "utterances", "paragraphs"]))
def test_any_one_part_reads_as_the_same(data, grouped):
    cut = data.draw(cut_anywhere(data.draw(st.integers(1, 2))))
    cut.pieces = [[(0, cut.pieces[-1][-1][1])]]
    alone, again = read_alone(dict(cut.parts("nova", grouped)[0].reply))
    assert again == alone


# Times.


def test_times_are_those_of_the_recording():
    transcript = joined(part(said("one two"), (0, 10)), part(said("three four", 1), (10, 20)))
    assert times(transcript) == [
        ("one", 0.0, 0.3),
        ("two", 0.4, 0.7),
        ("three", 11.0, 11.3),
        ("four", 11.4, 11.7),
    ]
    assert (transcript.text, transcript.duration) == ("one two three four", 20.0)


def test_a_word_lies_in_one_piece_that_of_its_middle():
    words = [Word("before", 1.2, 2.2), Word("after", 1.9, 2.9), Word("behind", 3.9, 7.0)]
    transcript = joined(part(words, (0, 2), (30, 32)))
    assert times(transcript) == [("before", 1.2, 2.0), ("after", 30.0, 30.9), ("behind", 31.9, 32.0)]


def test_a_segment_spans_the_silence_that_was_left_out_of_it():
    reply = nova([[Word("one", 1.0, 2.0), Word("two", 2.0, 3.0)]], grouped="utterances")
    transcript = joined(PartReply(reply, ((0, 2), (30, 32))))
    assert [(s.start, s.end) for s in transcript.segments] == [(1.0, 31.0)]


def test_a_segment_that_ends_where_silence_was_left_out_ends_before_it():
    reply = nova([[]])
    reply["result"]["results"]["utterances"] = [
        {"transcript": "one", "start": 1, "end": 2},
        {"transcript": "two", "start": 2, "end": 3},
    ]
    transcript = joined(PartReply(reply, ((0, 2), (30, 32))))
    assert [(s.start, s.end) for s in transcript.segments] == [(1.0, 2.0), (30.0, 31.0)]


def test_a_segment_moves_with_its_words():
    reply = nova([[Word("one", 1.9, 2.6), Word("two", 2.6, 3.0)]], grouped="utterances")
    transcript = joined(PartReply(reply, ((0, 2), (30, 32))))
    assert [(s.start, s.end) for s in transcript.segments] == [(30.0, 31.0)]


# Overlaps.


def overlapping(before: list[Word], after: list[Word], **more: Any) -> Transcript:
    """The second part begins at 9 s, and the first ends at 10 s."""
    return joined(part(before, (0, 10)), part(after, (9, 20), overlap=1.0), **more)


def test_the_parts_are_cut_where_they_agree_although_their_times_differ():
    transcript = overlapping(
        [*said("and so we", 8.6), Word("thi", 9.85, 10.0)],
        [Word("d", 0, 0.1), Word("So,", 0.2, 0.4), Word("we", 0.55, 0.7), Word("think", 0.9, 1.2)],
    )
    assert transcript.text == "and so we think"


def test_without_agreement_the_parts_are_cut_in_the_middle_of_the_overlap():
    transcript = overlapping(said("a b c d", 8.8), said("w x y z", 0.1))
    assert transcript.text == "a b x y z"


def test_what_only_one_part_has_of_an_overlap_is_kept():
    assert overlapping(said("a b", 8.0), said("c", 0.1)).text == "a b c"
    assert overlapping(said("a b", 9.0), said("c", 1.1)).text == "a b c"


def test_a_word_that_is_repeated_is_not_taken_for_a_duplicate():
    transcript = overlapping(said("no no no", 8.7), said("no no no", 0.1))
    assert len(transcript.words) == 4
    assert transcript.text == "no no no no"


def test_a_word_that_only_the_later_part_heard_is_kept_beside_the_end_of_one_that_both_have_only_half_of():
    """The last word of the earlier part ends just after the overlap has begun."""
    before = [Word("a", 8.0, 8.5), Word("b", 8.6, 9.05)]
    assert overlapping(before, said("in c", 0.0)).text == "a b in c"
    # The same in its second half: what only the earlier part heard.
    before = [*said("a b", 8.0), Word("then", 9.55, 9.8)]
    assert overlapping(before, [Word("c", 0.75, 1.3)]).text == "a b then c"


def test_words_that_only_one_part_heard_are_kept_although_both_agree_in_others():
    before = [*said("a b", 8.0), Word("c", 9.8, 10.0)]
    after = [Word("x", 0.3, 0.45), Word("y", 0.5, 0.65), Word("c", 0.8, 1.0), Word("d", 1.1, 1.3)]
    assert overlapping(before, after).text == "a b x y c d"
    before = [Word("a", 9.0, 9.2), Word("x", 9.3, 9.45), Word("y", 9.7, 9.9)]
    assert overlapping(before, [Word("a", 0.0, 0.2), Word("d", 1.1, 1.3)]).text == "a x y d"
    before = [Word("a", 9.0, 9.1), Word("b", 9.8, 9.9)]
    after = [Word("a", 0.0, 0.1), Word("x", 0.3, 0.4), Word("y", 0.6, 0.7), Word("b", 0.8, 0.9)]
    assert overlapping(before, after).text == "a x y b"


def test_the_rest_of_a_word_at_the_border_of_a_part_is_no_word_that_only_that_part_heard():
    before = [Word("hello", 8.6, 8.99), Word("you", 9.7, 9.9)]
    assert overlapping(before, [Word("lo", 0.0, 0.1), *said("you there", 0.7)]).text == "hello you there"
    before = [*said("so we", 9.0, each=0.2), Word("thi", 9.9, 10.0)]
    assert (
        overlapping(before, [*said("so we", 0.0, each=0.2), Word("think", 1.01, 1.3)]).text == "so we think"
    )


def test_times_in_which_nobody_could_say_so_much_do_not_take_words_out():
    """As of a model that counts in another unit: all words seem to be at one end of the part."""
    numbers = [f"w{number}" for number in range(60)]
    before, after = said(" ".join(numbers[:40]), 4.0, each=0.15), said(" ".join(numbers[37:]), 0.0, each=0.11)
    late = [replace(word, start=30.0, end=30.5) for word in before]
    early = [replace(word, start=0.0, end=0.001) for word in after]
    assert overlapping(late, after).text == " ".join(numbers)
    assert overlapping(before, early).text == " ".join(numbers)


TIMES = st.none() | st.sampled_from([0.0, 0.5, 9.2, 9.5, 10.0, 1e9]) | st.floats(0.0, 20.0)


SPANS = st.tuples(TIMES, TIMES)


@given(st.lists(st.lists(SPANS, max_size=40) | SPANS.map(lambda span: [span] * 40), min_size=3, max_size=3))
def test_whatever_times_words_have_no_more_is_left_out_than_an_overlap_has_room_for(times):
    parts, words = [], []
    for number, own in enumerate(times):
        said = [Word(f"p{number}w{index}", start, end) for index, (start, end) in enumerate(own)]
        parts.append(part([said], (9.0 * number, 9.0 * number + 10), overlap=1.0 if number else 0.0))
        first, last = (FASTEST if number else 0), len(said) - (FASTEST if number < 2 else 0)
        words += [word.text for word in said[first : max(first, last)]]
    transcript = joined(*parts)
    kept = [word.text for word in transcript.words]
    assert set(words) <= set(kept)
    assert kept == sorted(kept, key=lambda text: [int(n) for n in text[1:].split("w")])
    assert transcript.text.split() == kept


def test_words_without_an_end_are_compared_as_a_text_is():
    parts = [nova([said("one two three", 8.8)]), nova([said("two three four", 0.2)])]
    for reply in parts:
        for word in reply["result"]["results"]["channels"][0]["alternatives"][0]["words"]:
            del word["end"]
    transcript = joined(PartReply(parts[0], ((0, 10),)), PartReply(parts[1], ((9, 20),), 1.0))
    assert [word.text for word in transcript.words] == ["one", "two", "three", "four"]
    assert transcript.text == "one two three four"


def test_a_sign_after_what_both_texts_have_is_that_of_the_second():
    def text(before: str, after: str) -> str:
        parts = PartReply({"text": before}, ((0, 10),)), PartReply({"text": after}, ((9, 20),), 1.0)
        return joined(*parts).text

    assert text("it costs 100", "100 % of it") == "it costs 100 % of it"
    assert text("Bonjour !", "bonjour ! Oui") == "Bonjour ! Oui"
    assert text("今日は。", "は、いい天気") == "今日は、いい天気"


def test_a_word_before_a_short_overlap_is_not_the_same_word_after_it():
    before = part([Word("no", 9.5, 9.72)], (0, 10))
    after = part([Word("no", 0.2, 0.6)], (9.7, 20), overlap=0.3)
    assert times(joined(before, after)) == [("no", 9.5, 9.72), ("no", 9.9, 10.3)]


def test_a_text_that_is_written_otherwise_than_its_words_is_cut_at_the_same_words():
    before, after = nova([said("“Stop”, he said", 8.0)]), nova([said("he said again", -0.2)])
    alternative = after["result"]["results"]["channels"][0]["alternatives"][0]
    alternative["words"] = alternative["words"][1:]
    alternative["transcript"] = "said... again!"
    transcript = joined(PartReply(before, ((0, 10),)), PartReply(after, ((9, 20),), 1.0))
    assert transcript.text == "“Stop”, he said again!"
    alternative["transcript"] = "Quite another text"
    transcript = joined(PartReply(before, ((0, 10),)), PartReply(after, ((9, 20),), 1.0))
    assert transcript.text == "“Stop”, he said again"


def test_a_quotation_mark_stays_with_its_word():
    before, after = nova([said("one two", 8.7)]), nova([said("two three", 0.1)])
    after["result"]["results"]["channels"][0]["alternatives"][0]["transcript"] = "two “three”"
    transcript = joined(PartReply(before, ((0, 10),)), PartReply(after, ((9, 20),), 1.0))
    assert transcript.text == "one two “three”"


def test_a_word_is_not_found_in_another_when_a_text_is_cut():
    before, after = nova([said("no on x", 8.6)]), nova([said("on y", 0.0)])
    before["result"]["results"]["channels"][0]["alternatives"][0]["transcript"] = "no anon on x"
    transcript = joined(PartReply(before, ((0, 10),)), PartReply(after, ((9, 20),), 1.0))
    assert transcript.text == "no on y"


def test_one_word_that_is_not_at_the_seam_is_no_duplicate():
    before, after = (
        PartReply({"text": "one the x"}, ((0, 10),)),
        PartReply({"text": "y the two"}, ((9, 20),), 1.0),
    )
    assert joined(before, after).text == "one the x y the two"


def test_a_misheard_word_at_the_seam_of_texts_without_times_is_taken_out():
    parts = [
        PartReply({"text": "We like compu"}, ((0, 10),)),
        PartReply({"text": "Re, like compute ters a lot"}, ((9, 20),), 1.0),
        PartReply({"text": "a lot. 今日は。"}, ((19, 30),), 1.0),
        PartReply({"text": "は。いい天気"}, ((29, 40),), 1.0),
    ]
    assert joined(parts[0], replace(parts[0], pieces=((10, 20),))).text == "We like compu We like compu"
    assert joined(*parts[1:]).text == "Re, like compute ters a lot今日は。いい天気"
    again = PartReply({"text": "zz we like computers"}, ((9, 20),), 1.0)
    assert joined(parts[0], again).text == "We like computers"


def test_a_part_that_has_only_a_text_is_in_every_view_of_the_joined_transcript():
    text_only = PartReply({"text": "Three, four"}, ((10, 20),))
    transcript = joined(part(said("one two."), (0, 10)), text_only, part(said("five"), (20, 30)))
    assert transcript.text == "one two. Three, four five"
    assert times(transcript)[2:4] == [("Three,", None, None), ("four", None, None)]
    assert transcript.to_txt() == "one two.\n\nThree, four five\n"
    assert {"Three,", "four"} <= set(write_formats(transcript, ["srt"])[0]["srt"].split())


# Speakers.


def test_a_speaker_keeps_a_label_by_the_words_that_both_parts_have():
    parts = [
        part([*said("hello", 0, speaker="1"), *said("good day sir", 8.8, speaker="0")], (0, 10)),
        part([*said("day sir", 0.2, speaker="0"), *said("well", 5, speaker="1")], (9, 20), overlap=1.0),
        part([*said("other", 3, speaker="0")], (20, 30)),
    ]
    transcript = joined(*parts)
    assert [(w.text, w.speaker) for w in transcript.words] == [
        ("hello", "1"),
        ("good", "0"),
        ("day", "0"),
        ("sir", "0"),
        ("well", "Part 2 Speaker 1"),
        ("other", "Part 3 Speaker 0"),
    ]
    assert transcript.speakers == ("Speaker 1", "Speaker 0", "Part 2 Speaker 1", "Part 3 Speaker 0")


def test_a_chain_of_overlaps_carries_a_label_on():
    parts = [part([*said("a", speaker="0"), *said("yes I do", 9.0, speaker="1")], (0, 10))]
    for number in range(1, 4):
        begin = said("yes I do", 0.0, speaker="0")
        words = [*begin, *said("yes I do", 9.0, speaker="0")]
        parts.append(part(words, (9 * number, 9 * number + 10), overlap=1.0))
    assert {w.speaker for w in joined(*parts).words if w.text != "a"} == {"1"}


def test_two_speakers_never_become_one():
    before = [*said("yes", 9.0, speaker="0"), *said("so", 9.4, speaker="0")]
    after = [*said("yes", 0.0, speaker="0"), *said("so", 0.4, speaker="1"), *said("x", 3, speaker="1")]
    speakers = [word.speaker for word in overlapping(before, after).words]
    assert speakers[-1] == "Part 2 Speaker 1"


def test_segments_have_the_speakers_of_their_words():
    reply = nova([said("x y", 1, speaker="3")], grouped="utterances")
    reply["result"]["results"]["utterances"][0]["speaker"] = 3
    transcript = joined(part(said("w"), (0, 10)), PartReply(reply, ((10, 20),)))
    assert transcript.segments[-1].speaker == transcript.words[-1].speaker == "Part 2 Speaker 3"


# The whole.


def test_languages_and_confidences_count_by_duration_for_each_channel():
    def one(language: str, confidence: float, seconds: float, text: str = "a") -> dict[str, Any]:
        reply = nova([said(text), said("b")], duration=seconds)
        channel = reply["result"]["results"]["channels"][0]
        channel["detected_language"] = language
        channel["alternatives"][0]["confidence"] = confidence
        return reply

    reply = join_replies(
        [
            PartReply(one("en", 0.4, 10), ((0, 10),)),
            PartReply(one("de", 0.8, 30), ((10, 40),)),
            PartReply(one("en", 0.8, 10), ((40, 50),)),
            PartReply(one("xx", 0.0, 50, text=""), ((50, 100),)),
        ],
        seconds=None,
    )
    left, right = reply["result"]["results"]["channels"]
    assert (left["detected_language"], right["detected_language"]) == ("de", "l1")
    assert left["alternatives"][0]["confidence"] == pytest.approx(0.72)
    assert right["alternatives"][0]["confidence"] == pytest.approx(0.5)


@pytest.mark.parametrize("parts", [1, 13, 25])
def test_certain_parts_make_a_certain_whole(parts):
    replies = [nova([said("a")], duration=0.1 + number) for number in range(parts)]
    for reply in replies:
        reply["result"]["results"]["channels"][0]["alternatives"][0]["confidence"] = 1.0
    transcript = joined(*(PartReply(reply, ((60.0 * n, 60.0 * n + 60),)) for n, reply in enumerate(replies)))
    assert transcript.confidence == 1.0


def test_figures_that_a_part_does_not_have_are_not_missing_in_the_sum():
    figures = [
        {"total": None, "detail": None},
        {"total": 4, "detail": {"text": 1}},
        {"total": 3, "detail": None},
    ]
    parts = [PartReply({"text": "a", "usage": usage}, ((n, n + 1),)) for n, usage in enumerate(figures)]
    assert joined(*parts).usage == {"total": 7, "detail": {"text": 1}}
    assert joined(parts[0]).usage == {"total": None, "detail": None}


def test_the_usage_is_summed_and_the_cost_is_that_of_the_parts():
    def one(seconds: float, **figures: Any) -> dict[str, Any]:
        return {**nova([said("a")], duration=seconds), "usage": figures}

    transcript = joined(
        PartReply(one(10, type="tokens", total=3, detail={"text": 1, "new": True}), ((0, 10),)),
        PartReply(one(11, type="tokens", total=4, detail={"text": 2, "audio": 0.5}), ((9, 20),), 1.0),
        PartReply(one(5), ((50, 55),)),
        seconds=60.0,
    )
    assert transcript.usage == {
        "type": "tokens",
        "total": 7,
        "detail": {"text": 3, "new": True, "audio": 0.5},
    }
    assert (transcript.duration, transcript.billed_seconds) == (60.0, 26.0)
    usage = transcript_usage(transcript, 6.0)
    assert (usage["audio_seconds"], usage["billed_seconds"]) == (60.0, 26.0)
    assert usage["estimated_cost"] == pytest.approx(2.6)
    stored = json.loads(json.dumps(transcript.to_dict(raw=False)))
    assert Transcript.from_dict(stored).billed_seconds == 26.0


def test_what_was_sent_counts_where_a_reply_says_no_duration():
    transcript = joined(PartReply(openai([said("a")]), ((0, 2), (5, 6))), seconds=10.0)
    assert transcript.billed_seconds == 3.0


def test_a_recording_whose_parts_are_its_duration_is_billed_as_that():
    transcript = joined(part(said("a"), (0, 0.1)), part(said("b"), (0.1, 0.3)))
    assert transcript.billed_seconds is None
    assert transcript_usage(transcript, 60.0) == {"audio_seconds": 0.3, "estimated_cost": pytest.approx(0.3)}


def test_the_parts_are_kept_as_they_came():
    replies = [nova([said("a")]), assemblyai([said("b")]), openai([said("c")])]
    replies[1]["result"]["summary"] = "All of it."
    before = copy.deepcopy(replies)
    parts = [
        PartReply(r, ((10.0 * i, 10.0 * i + 10),), 0.0, "silence", f"g{i}") for i, r in enumerate(replies)
    ]
    reply = join_replies(parts, seconds=30.0, media={"kind": "encode"})
    assert [kept["reply"] for kept in reply["parts"]] == before
    assert {name: value for name, value in reply["parts"][1].items() if name != "reply"} == {
        "generation_id": "g1",
        "pieces": [[10.0, 20.0]],
        "overlap": 0.0,
        "why": "silence",
    }
    assert (reply["status"], reply["media"]) == ("completed", {"kind": "encode"})
    assert "summary" not in reply["result"]
    assert Transcript.from_reply(reply).text == "a b c"
    assert Transcript.from_reply(reply).model == "whisper"


def test_utterances_and_paragraphs_are_there_only_if_a_part_has_them():
    plain = join_replies([part(said("a"), (0, 1))], seconds=None)["result"]["results"]
    assert "utterances" not in plain
    assert "paragraphs" not in plain["channels"][0]["alternatives"][0]


def test_a_reply_without_a_transcript_is_an_error_that_names_the_part():
    good = part(said("a"), (0, 1))
    for bad in ({"status": "completed", "result": {"secret": "said"}}, {}, {"format": FORMAT}):
        with pytest.raises(LaplasMalformedReplyError, match="part 2 of 3") as caught:
            join_replies([good, PartReply(bad, ((1, 2),), generation_id="g"), good], seconds=None)
        assert caught.value.generation_id == "g"
        assert "said" not in str(caught.value)


@pytest.mark.parametrize(
    "pieces", [(), ((1, 0),), ((0, float("nan")),), ((-1, 0),), ((0, float("inf")),)], ids=str
)
def test_pieces_that_are_not_times_are_an_argument_error(pieces):
    with pytest.raises(LaplasArgumentError, match="part 1") as caught:
        join_replies([PartReply({"text": "a"}, pieces)], seconds=None)
    assert caught.value.argument == "parts"
    with pytest.raises(LaplasArgumentError):
        join_replies([], seconds=None)
    with pytest.raises(LaplasArgumentError):
        join_replies([PartReply({"text": "a"}, ((0, 1),), float("nan"))], seconds=None)


def test_a_reply_that_is_nested_as_deeply_as_is_read_can_be_read_in_the_joined_one(tmp_path):
    reply = read_object(json.dumps({"text": "a", "deep": nested(99)}))
    assert reply is not None
    write_reply(f"{tmp_path}/joined.json", join_replies([PartReply(reply, ((0, 1),))], seconds=None), LOCAL)
    assert load_transcript(f"{tmp_path}/joined.json").text == "a"
    assert load_reply(f"{tmp_path}/joined.json")["parts"][0]["reply"] == reply


def test_no_repr_has_what_was_said():
    assert "said" not in repr(part(said("said"), (0, 1)))


@given(st.lists(st.tuples(BODIES, st.sampled_from([0.0, 1.0, 5.0, 1e9])), min_size=1, max_size=3))
@example([(json.dumps({"text": "a", "usage": {"n": 1e308, "m": 2**62}}).encode(), 0.0)] * 3)
def test_whatever_replies_hold_they_are_an_error_or_every_output_can_be_made(tmp_path_factory, bodies):
    parts = []
    for body, overlap in bodies:
        reply = read_object(body)
        if reply is not None:
            parts.append(PartReply(reply, ((0.0, 2.0), (5.0, 9.0)), overlap))
    try:
        reply = join_replies(parts, seconds=None)
    except LaplasError as error:
        str(error).encode()
        return
    stored = f"{tmp_path_factory.getbasetemp()}/joined.json"
    write_reply(stored, reply, LOCAL)
    assert load_reply(stored) == reply
    transcript = load_transcript(stored)
    assert transcript == Transcript.from_reply(reply)
    assert all(w.start is None or w.end is None or w.start <= w.end <= 9.0 for w in transcript.words)
    str(check(transcript)).encode()
    try:
        write_formats(transcript, ["srt", "vtt", "txt"])
    except LaplasArgumentError:
        return
