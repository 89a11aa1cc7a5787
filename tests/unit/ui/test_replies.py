"""The names of downloads."""

import re

import pytest

from airflow_provider_laplas.ui.replies import attachment


@pytest.mark.parametrize(
    ("name", "plain", "shown"),
    [
        ("a b.json", "a_b.json", "a%20b.json"),
        ("übung.srt", "_bung.srt", "%C3%BCbung.srt"),
        ("../../etc/passwd", "etcpasswd", "etcpasswd"),
        ('a".exe\r\nSet-Cookie: b=c', "a.exeSet-Cookie_b_c", "a.exeSet-Cookie%20b%3Dc"),
        ("photo\u202egpj.exe", "photogpj.exe", "photogpj.exe"),
        ("half \ud83d.txt", "half_.txt", "half%20.txt"),
        ("", "transcript", "transcript"),
        ("...", "transcript", "transcript"),
    ],
)
def test_a_name_stays_a_name(name, plain, shown):
    assert attachment(name) == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{shown}"


def test_a_name_has_a_bound_and_keeps_its_ending():
    header = attachment("ä" * 10_000 + ".vtt")
    assert len(header) < 1000
    assert re.fullmatch(r"[ -~]+", header)
    assert header.endswith(".vtt")
