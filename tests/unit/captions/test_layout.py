"""Where cues are cut, and where their lines break."""

from airflow_provider_laplas.captions import CaptionLimits, make_captions
from airflow_provider_laplas.transcript import Word
from tests.unit.captions.speech import SPEECH, check_rules, made_of, spoken


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


def test_a_long_silence_is_never_inside_a_cue():
    words = [Word("Well,", 0.0, 0.4), Word("yes.", 3.0, 3.4)]
    assert [cue.text for cue in make_captions(made_of(words)).cues] == ["Well,", "yes."]


def test_speakers_that_alternate_never_share_a_cue():
    words = [
        word for n in range(8) for word in spoken("Yes, I do think so.", start=n * 2, speaker=str(n % 2))
    ]
    captions = make_captions(made_of(words))
    assert [cue.voice for cue in captions.cues] == ["Speaker 0", "Speaker 1"] * 4
    assert "<v Speaker 1>Yes, I do think so.</v>" in captions.to_vtt()


def test_a_word_longer_than_a_line_is_alone_and_counted():
    long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
    captions = make_captions(made_of(spoken(f"The word is {long} indeed.")))
    assert [cue.text for cue in captions.cues if "line_length" in cue.exceptions] == [long]
    assert captions.exceptions["line_length"] == 1
