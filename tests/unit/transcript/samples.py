"""Transcripts to test with: the stored replies, and any at all."""

import json
from pathlib import Path

from hypothesis import strategies as st

from airflow_provider_laplas.transcript import Paragraph, Segment, Transcript, Word

REPLIES = Path(__file__).parents[1] / "replies"
SAMPLES = sorted(path.stem for path in REPLIES.glob("*.json"))


def sample(name: str) -> Transcript:
    return Transcript.from_reply(json.loads((REPLIES / f"{name}.json").read_text()))


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
FIELDS = {
    "text": TEXT,
    "start": NUMBERS,
    "end": NUMBERS,
    "confidence": NUMBERS,
    "speaker": st.one_of(st.none(), TEXT.map(lambda text: text[:3])),
    "channel": st.integers(0, 3),
}
SEGMENTS = st.builds(Segment, **FIELDS)
PARAGRAPHS = st.builds(
    Paragraph,
    sentences=st.lists(SEGMENTS, min_size=1, max_size=2).map(tuple),
    speaker=FIELDS["speaker"],
    channel=FIELDS["channel"],
)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
JSON = st.dictionaries(TEXT, st.one_of(st.none(), st.booleans(), INTEGERS, TEXT), max_size=3)
TRANSCRIPTS = st.builds(
    Transcript,
    text=TEXT,
    raw=JSON,
    language=st.one_of(st.none(), TEXT.map(lambda text: text[:5])),
    duration=NUMBERS,
    confidence=NUMBERS,
    words=st.lists(st.builds(Word, **FIELDS), max_size=6).map(tuple),
    segments=st.lists(SEGMENTS, max_size=3).map(tuple),
    channels=st.integers(1, 4),
    model=st.one_of(st.none(), TEXT.map(lambda text: text[:5])),
    usage=st.one_of(st.none(), JSON),
    given_paragraphs=st.lists(PARAGRAPHS, max_size=2).map(tuple),
)
