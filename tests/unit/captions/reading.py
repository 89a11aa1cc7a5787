"""The two formats, read by their specifications."""

import html
import re


def seconds(stamp: str) -> float:
    hours, minutes, rest = re.fullmatch(r"(\d{2,}):([0-5]\d):([0-5]\d[.,]\d{3})", stamp).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


def read_vtt(content: str) -> list[tuple[float, float, str | None, str]]:
    """Read WebVTT by its specification alone: start, end, voice, text."""
    assert content.endswith("\n")
    header, *blocks = content[:-1].split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        times, *lines = block.split("\n")
        assert lines
        assert all(line and "-->" not in line for line in lines)
        start, end = times.split(" --> ")
        voice, text = re.fullmatch(r"(?:<v ([^<>\n]+)>)?([^<>]*)(?:</v>)?", "\n".join(lines)).groups()
        cues.append((seconds(start), seconds(end), voice and html.unescape(voice), html.unescape(text)))
    return cues


def read_srt(content: str) -> list[tuple[float, float, str]]:
    cues = []
    for number, block in enumerate(filter(None, content[:-1].split("\n\n")), 1):
        count, times, *lines = block.split("\n")
        assert int(count) == number
        start, end = times.split(" --> ")
        cues.append((seconds(start), seconds(end), "\n".join(lines)))
    return cues


def plain(text: str) -> str:
    return text.replace("\u200f", "")
