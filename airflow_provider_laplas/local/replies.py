"""Builds a reply in the API's Deepgram-like format from the engine's words. Pure: no clock, no disk, no engine."""

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from airflow_provider_laplas.local.engine import Heard, Hearing
from airflow_provider_laplas.local.options import Body, Warned

UTTERANCE_GAP = 0.8
PARAGRAPH_GAP = 2.0
PARAGRAPH_SENTENCES = 5
SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "…")  # noqa: RUF001 - intended characters.
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_MODEL_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/SYSTRAN/faster-whisper")

Words = Sequence[Heard]


@dataclass(frozen=True)
class Facts:
    """The content of a reply other than words. `created` is in seconds since the epoch, `seconds` is the length."""

    generation_id: str
    created: float
    sha256: str
    seconds: float
    weights: str
    version: str
    warnings: tuple[Warned, ...]


def build(body: Body, facts: Facts, hearings: Sequence[Hearing]) -> dict[str, Any]:
    """Return the reply to `body`, with one channel for each of `hearings`; times in seconds."""
    punctuate = body.punctuate is not False
    channels = [_in_order(hearing.words, facts.seconds) for hearing in hearings]
    results: dict[str, Any] = {
        "channels": [
            _channel(body, hearing, words, punctuate=punctuate)
            for hearing, words in zip(hearings, channels, strict=True)
        ]
    }
    if body.utterances:
        gap = body.utt_split or UTTERANCE_GAP
        found = [
            _utterance(facts, number, group, punctuate=punctuate)
            for number, words in enumerate(channels)
            for group in _split_at_gaps(words, gap)
        ]
        results["utterances"] = sorted(found, key=lambda utterance: utterance["start"])
    return {"metadata": _metadata(body, facts, len(hearings)), "results": results}


def _metadata(body: Body, facts: Facts, channels: int) -> dict[str, Any]:
    model_id = str(uuid.uuid5(_MODEL_IDS, f"{facts.weights} {facts.version}"))
    metadata: dict[str, Any] = {
        "transaction_key": "deprecated",
        "request_id": facts.generation_id,
        "sha256": facts.sha256,
        "created": datetime.fromtimestamp(facts.created, UTC).isoformat(timespec="milliseconds"),
        "duration": round(facts.seconds, 3),
        "channels": channels,
        "models": [model_id],
        "model_info": {model_id: {"name": facts.weights, "version": facts.version, "arch": "whisper"}},
    }
    if facts.warnings:
        metadata["warnings"] = [warning._asdict() for warning in facts.warnings]
    if body.tag:
        metadata["tags"] = body.tag
    if body.extra:
        metadata["extra"] = body.extra
    return metadata


def _channel(body: Body, hearing: Hearing, words: Words, *, punctuate: bool) -> dict[str, Any]:
    alternative: dict[str, Any] = {
        "transcript": _text(words, punctuate=punctuate),
        "confidence": _confidence(words),
        "words": _words(words, punctuate=punctuate),
    }
    if body.paragraphs:
        alternative["paragraphs"] = _paragraphs(words, punctuate=punctuate)
    channel: dict[str, Any] = {"alternatives": [alternative]}
    if body.detect_language:
        channel["detected_language"] = hearing.language
        # A language that was given or assumed has no probability.
        if hearing.language_probability is not None:
            channel["language_confidence"] = round(hearing.language_probability, 6)
    return channel


def _utterance(facts: Facts, channel: int, words: Words, *, punctuate: bool) -> dict[str, Any]:
    start, end = words[0].start, words[-1].end
    return {
        "start": start,
        "end": end,
        "confidence": _confidence(words),
        "channel": channel,
        "transcript": _text(words, punctuate=punctuate),
        "words": _words(words, punctuate=punctuate),
        "id": str(uuid.uuid5(uuid.UUID(facts.generation_id), f"{channel} {start}")),
    }


def _paragraphs(words: Words, *, punctuate: bool) -> dict[str, Any]:
    paragraphs: list[dict[str, Any]] = []
    for sentences in _into_paragraphs(list(_into_sentences(words))):
        told = [word for sentence in sentences for word in sentence]
        paragraphs.append(
            {
                "sentences": [
                    {"text": _text(s, punctuate=punctuate), "start": s[0].start, "end": s[-1].end}
                    for s in sentences
                ],
                "num_words": len(_words(told, punctuate=punctuate)),
                "start": told[0].start,
                "end": told[-1].end,
            }
        )
    texts = (" ".join(sentence["text"] for sentence in paragraph["sentences"]) for paragraph in paragraphs)
    return {"transcript": "\n\n".join(texts), "paragraphs": paragraphs}


def _into_sentences(words: Words) -> Iterator[Words]:
    begin = 0
    for index, word in enumerate(words, 1):
        if index == len(words) or word.text.rstrip("\"'”’)").endswith(SENTENCE_ENDS):  # noqa: RUF001
            yield words[begin:index]
            begin = index


def _into_paragraphs(sentences: Sequence[Words]) -> Iterator[Sequence[Words]]:
    """Start a new paragraph after a long pause between sentences, or after `PARAGRAPH_SENTENCES`."""
    begin = 0
    for index in range(1, len(sentences) + 1):
        at_end = index == len(sentences)
        paused = not at_end and sentences[index][0].start - sentences[index - 1][-1].end >= PARAGRAPH_GAP
        if at_end or paused or index - begin == PARAGRAPH_SENTENCES:
            yield sentences[begin:index]
            begin = index


def _split_at_gaps(words: Words, gap: float) -> Iterator[Words]:
    cuts = [index for index, (a, b) in enumerate(pairwise(words), 1) if b.start - a.end >= gap]
    for begin, end in pairwise([0, *cuts, len(words)]):
        if begin < end:
            yield words[begin:end]


def _in_order(words: Iterable[Heard], seconds: float) -> list[Heard]:
    """Make the times, which Whisper aligns word by word, ascending and within the recording."""
    ordered: list[Heard] = []
    earliest = 0.0
    for word in words:
        start = round(min(max(word.start, earliest), seconds), 3)
        end = round(min(max(word.end, start), seconds), 3)
        probability = round(min(max(word.probability, 0.0), 1.0), 6)
        ordered.append(Heard(word.text, start, end, probability))
        earliest = end
    return ordered


def _bare(text: str) -> str:
    return _EDGES.sub("", text).lower()


def _words(words: Words, *, punctuate: bool) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    for word in words:
        bare, written = _bare(word.text), word.text.strip()
        if not punctuate and not bare:
            continue
        listed.append(
            {
                "word": bare or written,
                "start": word.start,
                "end": word.end,
                "confidence": word.probability,
                "punctuated_word": written if punctuate else bare,
            }
        )
    return listed


def _text(words: Words, *, punctuate: bool) -> str:
    if punctuate:
        return "".join(word.text for word in words).strip()
    # Words have a leading space except in Chinese and Japanese.
    bare = ((" " if word.text[:1].isspace() else "") + _bare(word.text) for word in words if _bare(word.text))
    return "".join(bare).strip()


def _confidence(words: Words) -> float:
    return round(sum(word.probability for word in words) / len(words), 6) if words else 0.0
