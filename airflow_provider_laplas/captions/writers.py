"""Writes cues as SRT and WebVTT."""

import io
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

from airflow_provider_laplas.captions.cues import Cue


def write_srt(cues: Iterable[Cue]) -> str:
    """Return SRT, which cannot name speakers."""
    webvtt = _library()

    class Plain(webvtt.Caption):  # type: ignore[misc, name-defined]  # imported lazily.
        # The library's own text drops anything in <> as a tag; here it is spoken text.
        text = property(lambda self: self.raw_text)

    return _write(
        "srt",
        (Plain(*_times(cue), [line.replace("-->", "→") for line in _marked(cue)]) for cue in cues),
    )


def write_vtt(cues: Iterable[Cue]) -> str:
    """Return WebVTT, with a voice tag on every cue whose speaker is known."""
    webvtt = _library()
    captions = []
    for cue in cues:
        lines = [_escape(line) for line in _marked(cue)]
        if cue.voice:
            lines[0] = f"<v {_escape(' '.join(cue.voice.split()))}>{lines[0]}"
            lines[-1] += "</v>"
        captions.append(webvtt.Caption(*_times(cue), lines))
    return _write("vtt", captions)


def _times(cue: Cue) -> tuple[str, str]:
    timestamp = _library().models.Timestamp
    return str(timestamp.from_seconds(cue.start)), str(timestamp.from_seconds(cue.end))


def _marked(cue: Cue) -> list[str]:
    """
    Return the lines, with a right-to-left mark where right-to-left text does not begin with a letter of its script.

    Players take a line's direction from its first letter: a Hebrew line that begins with a Latin name or a number
    would be laid out left to right, with its full stop on the wrong side.
    """
    if cue.text.isascii():
        return list(cue.lines)
    kinds = [[unicodedata.bidirectional(c) for c in line] for line in cue.lines]
    strong = Counter(kind for line in kinds for kind in line)
    if strong["R"] + strong["AL"] <= strong["L"]:
        return list(cue.lines)
    return [
        line if line_kinds[0] in {"R", "AL"} else f"\u200f{line}"
        for line, line_kinds in zip(cue.lines, kinds, strict=True)
    ]


def _escape(text: str) -> str:
    # Only the ">" in "-->" has to be escaped, but escaping all of them is simpler to read back.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _library() -> Any:
    """
    Import webvtt-py on demand, because most tasks write no captions.

    It was chosen because it is typed, has no dependencies, is maintained (0.6 is of October 2026), writes both formats,
    has no limit on hours, and validates what it writes. pysubs2 stops at 99:59:59 and does not support voice tags, srt
    supports only SRT and has had no release since 2023, and pycaption depends on lxml, cssutils and beautifulsoup4.
    """
    import webvtt  # noqa: PLC0415

    return webvtt


def _write(kind: str, captions: Iterable[Any]) -> str:
    file = io.StringIO()
    document = _library().WebVTT()
    document.captions.extend(captions)
    document.write(file, kind)
    text = file.getvalue().rstrip("\n")
    return f"{text}\n" if text else ""
