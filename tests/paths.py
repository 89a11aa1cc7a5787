"""Where the project has what more than one suite reads."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORDINGS = ROOT / "demo" / "recordings"
JFK_MP3 = RECORDINGS / "jfk.mp3"
"""Eleven seconds of John F. Kennedy, 1961; where it comes from is in the SOURCES.md beside it."""
