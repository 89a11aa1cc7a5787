"""Replies in which any value may be anything that JSON can say, and some things that it cannot."""

import json
from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(st.characters(), max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "\0",
        "half \ud83d a pair",
        "\ude00\ud83d",
        "--> <v x>",
        "\r\n\u2028",
        "1.5",
        "NaN",
        "A",
        "\ufffe",
    ]
)
NUMBERS = st.sampled_from([1e300, -1e300, 1e-320, 10**400, -(10**400), 2**63, 2**31, -1, -0.5, 0, 1, 1.5]) | (
    st.floats() | st.integers()
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def nested(levels: int) -> Any:
    value: Any = "deep"
    for number in range(levels):
        value = [value] if number % 2 else {"usage": value}
    return value


ANY = SCALARS | JSON | st.sampled_from([nested(60), nested(300)])
_PART_NAMES = (
    "word",
    "punctuated_word",
    "text",
    "transcript",
    "start",
    "end",
    "confidence",
    "speaker",
    "channel",
)


def _some(**fields: Any) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=fields)


def _list(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=3) | items | ANY


PARTS = _list(
    st.fixed_dictionaries({"start": NUMBERS, "end": NUMBERS, "text": TEXTS, "channel": NUMBERS | TEXTS})
    | _some(**dict.fromkeys(_PART_NAMES, ANY))
)
PARAGRAPHS = _some(paragraphs=_list(_some(sentences=PARTS, speaker=ANY)))
ALTERNATIVES = _list(_some(transcript=TEXTS | ANY, confidence=ANY, words=PARTS, paragraphs=PARAGRAPHS))
RESULTS = _some(
    text=TEXTS | ANY,
    words=PARTS,
    utterances=PARTS,
    usage=ANY,
    language_code=ANY,
    audio_duration=ANY,
    confidence=ANY,
    model=ANY,
    metadata=_some(duration=ANY, model_info=ANY | _some(m=_some(name=TEXTS))),
    results=_some(channels=_list(_some(alternatives=ALTERNATIVES, detected_language=ANY)), utterances=PARTS)
    | ANY,
)
BODIES = st.fixed_dictionaries(
    {"status": st.just("completed") | ANY},
    optional={"result": RESULTS, "output": RESULTS, "error": ANY, "generation_id": ANY, "usage": ANY},
).map(lambda body: json.dumps(body).encode())
"""Bodies of replies, as bytes; with NaN and Infinity, as some servers write them."""
