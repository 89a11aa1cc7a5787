"""Ranges of a recording, and what counts as one."""

import pytest

from airflow_provider_laplas.ui.audio import Part, media_type, read_range
from tests.paths import JFK_MP3

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-", Part(0, 1000, given=True)),
        ("bytes=0-0", Part(0, 1, given=True)),
        ("bytes=10-19", Part(10, 20, given=True)),
        ("bytes=990-2000", Part(990, 1000, given=True)),
        ("bytes=-5", Part(995, 1000, given=True)),
        ("bytes=-5000", Part(0, 1000, given=True)),
        (" bytes = 1 - 2 ", Part(1, 3, given=True)),
        ("bytes=1000-", None),
        ("bytes=5000-6000", None),
        ("bytes=-0", None),
        ("bytes=20-10", Part(0, 1000)),
        ("bytes=0-1,5-6", Part(0, 1000)),
        ("items=0-1", Part(0, 1000)),
        ("bytes=-", Part(0, 1000)),
        ("bytes=a-b", Part(0, 1000)),
        ("bytes=\u0661-\u0662", Part(0, 1000)),
        ("bytes=" + "9" * 5000 + "-", Part(0, 1000)),
        ("", Part(0, 1000)),
    ],
)
def test_one_range_is_taken_and_anything_else_is_the_whole(header, part):
    assert read_range(header, SIZE) == part


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"ID3\x03\x00\x00\x00\x00\x00\x00\x00\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x64" + bytes(8), "audio/mpeg"),
        (b"\xff\xf1\x50\x80" + bytes(8), "audio/aac"),
        (b"RIFF\x00\x00\x00\x00WAVE", "audio/wav"),
        (b"OggS" + bytes(8), "audio/ogg"),
        (b"fLaC" + bytes(8), "audio/flac"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"\x1aE\xdf\xa3" + bytes(8), "audio/webm"),
    ],
)
def test_recordings_are_known_by_their_first_bytes(head, kind):
    assert media_type(head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"[core]\nfernet",
        b"root:x:0:0:r",
        b"-----BEGIN R",
        b'{"password":',
        b"<!DOCTYPE ht",
        b"<svg onload=",
        b"SQLite forma",
        b"PK\x03\x04" + bytes(8),
        b"\x7fELF" + bytes(8),
        b"RIFF\x00\x00\x00\x00AVI ",
        "﻿key = va".encode("utf-16-le"),
        b"\xff\xfe[\x00c\x00o\x00r\x00e\x00",
        b"ID3 is a fil",
        b"\xff\xff\xff\xff" * 3,
    ],
)
def test_what_is_no_recording_is_not_taken_for_one(head):
    assert media_type(head[:12]) is None


def test_the_shipped_recording_is_one():
    assert media_type(JFK_MP3.read_bytes()[:12]) == "audio/mpeg"
