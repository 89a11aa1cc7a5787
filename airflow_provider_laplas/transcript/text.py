"""Rules of written text, whatever its script: where a space belongs, where a sentence ends, what is the same word."""

import re
import unicodedata
from collections.abc import Iterable

# Chinese and Japanese, with their punctuation and the full-width forms. Korean is not in it: it has spaces.
_CJK = r"\u2e80-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
# Thai, Lao, Burmese and Khmer: no spaces between their words either, but next to Latin there are.
_SOUTH_EAST_ASIAN = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_SENTENCE_END = re.compile(r"[.!?…。！？｡؟।۔։]['\"”’»›)\]」』）】]*$")  # noqa: RUF001 - these are the marks.
_AFTER_SENTENCE = re.compile(r"(?<=[.!?…؟।۔։])['\"”’»)\]]*\s+|(?<=[。！？｡])|\n+")  # noqa: RUF001
_NO_SENTENCE_END = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "no.", "e.g.", "i.e."})
_INITIAL = re.compile(r"^\w\.$")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")  # noqa: RUF001 - all three are written.


def join_words(texts: Iterable[str]) -> str:
    """Return words or sentences in one line, with spaces where their script has them."""
    pieces: list[str] = []
    for text in texts:
        if pieces and text and needs_space(pieces[-1], text):
            pieces.append(" ")
        if text:
            pieces.append(text)
    return "".join(pieces)


def needs_space(left: str, right: str) -> bool:
    """Return whether a space belongs between two words: none beside Chinese and Japanese, none within Thai."""
    if left.isascii() and right.isascii():
        return True
    a, b = left[-1], right[0]
    if _CJK_CHARACTER.match(a) or _CJK_CHARACTER.match(b):
        return False
    return not (_SOUTH_EAST_ASIAN.match(a) and _SOUTH_EAST_ASIAN.match(b))


def ends_sentence(word: str) -> bool:
    """Return whether a sentence ends with a word: a full stop that belongs to no title or initial."""
    return (
        bool(_SENTENCE_END.search(word)) and word.lower() not in _NO_SENTENCE_END and not _INITIAL.match(word)
    )


def split_sentences(text: str) -> list[str]:
    """Return a text's sentences: it is cut after full stops, and at ends of lines."""
    return [sentence for part in _AFTER_SENTENCE.split(text) if (sentence := part.strip())]


def tokens(text: str) -> list[str]:
    """Return a text's words in one form (no case, no punctuation), the characters where there are no spaces."""
    return searchable(text).split()


def searchable(text: str) -> str:
    """Return a text in the form that is compared: one space between words, and around each CJK character."""
    folded = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold())
    spaced = _CJK_CHARACTER.sub(r" \g<0> ", folded)
    # Letters, digits and the marks that belong to them; a mark is no letter to str.isalnum.
    kept = (c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in spaced)
    return " ".join("".join(kept).split())
