"""Text rules for all scripts: where a space belongs, where a sentence ends, and when words are equal."""

import re
import unicodedata
from collections.abc import Iterable

# Chinese and Japanese, with their punctuation and full-width forms. Korean is not included: it uses spaces.
_CJK = r"\u2e80-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
# Thai, Lao, Burmese and Khmer: no spaces between their own words, but next to Latin ones.
_SOUTH_EAST_ASIAN = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_WRITTEN = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_SENTENCE_END = re.compile(r"[.!?…。！？｡؟।۔։]['\"”’»›)\]」』）】]*$")  # noqa: RUF001 - intended characters.
_AFTER_SENTENCE = re.compile(r"(?<=[.!?…؟।۔։])['\"”’»)\]]*\s+|(?<=[。！？｡])|\n+")  # noqa: RUF001
_NO_SENTENCE_END = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "no.", "e.g.", "i.e."})
_INITIAL = re.compile(r"^\w\.$")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")  # noqa: RUF001 - intended characters.


def join_words(texts: Iterable[str]) -> str:
    """Join words or sentences on one line, with spaces if their script uses them."""
    pieces: list[str] = []
    for text in texts:
        if pieces and text and needs_space(pieces[-1], text):
            pieces.append(" ")
        if text:
            pieces.append(text)
    return "".join(pieces)


def needs_space(left: str, right: str) -> bool:
    """Return whether a space belongs between two words: not next to Chinese or Japanese, nor within Thai etc."""
    if left.isascii() and right.isascii():
        return True
    a, b = left[-1], right[0]
    if _CJK_CHARACTER.match(a) or _CJK_CHARACTER.match(b):
        return False
    return not (_SOUTH_EAST_ASIAN.match(a) and _SOUTH_EAST_ASIAN.match(b))


def ends_sentence(word: str) -> bool:
    """Return whether a word ends a sentence: a full stop after a title or an initial does not count."""
    return (
        bool(_SENTENCE_END.search(word)) and word.lower() not in _NO_SENTENCE_END and not _INITIAL.match(word)
    )


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences, after full stops and at line breaks."""
    return [sentence for part in _AFTER_SENTENCE.split(text) if (sentence := part.strip())]


def split_words(text: str) -> list[str]:
    """Split a text into its words as they are written, punctuation included; into characters in Chinese and Japanese."""
    return _WRITTEN.findall(text)


def tokens(text: str) -> list[str]:
    """Return a text's normalized words (no case, no punctuation), or its characters in Chinese and Japanese."""
    return searchable(text).split()


def searchable(text: str) -> str:
    """Return a text normalized for comparison, with one space between words and around each CJK character."""
    folded = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold())
    spaced = _CJK_CHARACTER.sub(r" \g<0> ", folded)
    # Combining marks (category M) are kept too; str.isalnum excludes them.
    kept = (c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in spaced)
    return " ".join("".join(kept).split())
