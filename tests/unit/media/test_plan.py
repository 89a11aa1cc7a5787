"""Cuts and plans, without any file."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_laplas.media.plan import (
    SHORTEST_SILENCE,
    WINDOW,
    MediaPart,
    MediaPlan,
    Piece,
    choose_cuts,
    ideal_cuts,
    rounded,
    whole,
    without_silence,
)

ROUNDING = 1e-6
HOUR = 3600.0


def silences_of(gaps):
    """Return silences in order, from pairs of seconds: without silence, then with."""
    found, at = [], 0.0
    for before, length in gaps:
        found.append((at + before, at + before + length))
        at += before + length
    return found


SILENCES = st.lists(
    st.tuples(st.floats(0.05, 400), st.one_of(st.floats(0.05, 1.5), st.floats(0.3, 300))), max_size=40
).map(silences_of)
LENGTHS = st.one_of(st.floats(0.5, 600), st.floats(600, HOUR)).map(lambda seconds: round(seconds, 3))
LIMITS = st.one_of(st.floats(10, 60), st.floats(60, HOUR / 2))


def within(silences, seconds):
    return [(start, min(end, seconds)) for start, end in silences if start < seconds]


def cuts(seconds, silences, limit, loudness=()):
    return choose_cuts([Piece(0.0, seconds)], silences, loudness, limit)


@given(LENGTHS, SILENCES, LIMITS)
def test_every_part_is_within_the_limit(seconds, silences, limit):
    for part in rounded(cuts(seconds, within(silences, seconds), limit)):
        assert part.seconds <= limit


@given(LENGTHS, SILENCES, LIMITS)
def test_parts_cover_the_recording_and_share_only_what_they_say(seconds, silences, limit):
    parts = cuts(seconds, within(silences, seconds), limit)
    assert parts[0].pieces[0].start == 0
    assert parts[-1].pieces[-1].end == seconds
    for before, after in pairwise(parts):
        shared = before.pieces[-1].end - after.pieces[0].start
        assert shared == pytest.approx(after.overlap, abs=ROUNDING)
        # Where nothing is shared, not even a rounded sample is lost.
        assert after.overlap or before.pieces[-1].end == after.pieces[0].start
    assert parts[0].overlap == 0


@given(LENGTHS, SILENCES, LIMITS)
def test_a_cut_is_in_a_silence_wherever_there_is_one_in_reach(seconds, silences, limit):
    silences = within(silences, seconds)
    parts = cuts(seconds, silences, limit)
    ideals, reach = ideal_cuts(seconds, limit)
    assert len(parts) == len(ideals) + 1
    for part, after, ideal in zip(parts, parts[1:], ideals, strict=False):
        cut = part.pieces[-1].end
        near = [
            (start, end)
            for start, end in silences
            if min(end, ideal + reach) - max(start, ideal - reach) >= SHORTEST_SILENCE + ROUNDING
        ]
        assert abs(cut - ideal) <= reach + ROUNDING
        if near:
            # With as much of it at each side as the shortest silence has in its middle.
            margin = SHORTEST_SILENCE / 2 - ROUNDING
            assert any(start + margin <= cut <= end - margin for start, end in silences)
            assert after.overlap == 0
        if after.overlap:
            assert not near


@given(LENGTHS, SILENCES, LIMITS)
def test_no_part_is_a_sliver(seconds, silences, limit):
    parts = cuts(seconds, within(silences, seconds), limit)
    assert min(part.seconds for part in parts) >= seconds / len(parts) / 2 - ROUNDING


@given(LENGTHS, SILENCES, LIMITS)
def test_the_same_input_gives_the_same_parts(seconds, silences, limit):
    silences = within(silences, seconds)
    assert cuts(seconds, silences, limit) == cuts(seconds, list(silences), limit)


@given(LENGTHS, SILENCES)
def test_what_is_left_out_is_silence_and_nothing_else_is(seconds, silences):
    silences = within(silences, seconds)
    pieces = without_silence(seconds, silences)
    assert all(piece.start < piece.end for piece in pieces)
    ends = [0.0, *(moment for piece in pieces for moment in (piece.start, piece.end)), seconds]
    assert ends == sorted(ends)
    for left_out in zip(ends[::2], ends[1::2], strict=True):
        if left_out[0] < left_out[1]:
            assert any(start <= left_out[0] and left_out[1] <= end for start, end in silences)


@given(LENGTHS, SILENCES, LIMITS)
def test_parts_of_what_is_left_cover_it_in_order(seconds, silences, limit):
    silences = within(silences, seconds)
    pieces = without_silence(seconds, silences)
    parts = choose_cuts(pieces, silences, [], limit)
    sent = math.fsum(part.seconds - part.overlap for part in parts)
    assert sent == pytest.approx(math.fsum(piece.seconds for piece in pieces), abs=1e-3)
    for part in parts:
        moments = [moment for piece in part.pieces for moment in (piece.start, piece.end)]
        assert moments == sorted(moments)
        assert part.seconds <= limit
        for piece in part.pieces:
            assert any(kept.start <= piece.start and piece.end <= kept.end for kept in pieces)


def test_a_cut_is_in_the_middle_of_the_nearest_silence():
    (first, second) = cuts(200.0, [(80.0, 81.0), (97.0, 98.0), (104.0, 104.4)], 190.0)
    assert first.pieces == (Piece(0.0, 97.5),)
    assert second.pieces == (Piece(97.5, 200.0),)
    assert first.why == "in a silence of 1.0 s"


def test_a_silence_that_is_too_short_is_none():
    (first, second) = cuts(200.0, [(99.9, 100.1), (110.0, 110.4)], 190.0)
    assert first.pieces[-1].end == pytest.approx(110.2)
    assert second.overlap == 0


def test_without_silence_the_quietest_point_is_cut_and_a_second_is_in_both_parts():
    loudness = [-20.0] * int(7200 / WINDOW)
    for number in range(int(3620 / WINDOW), int(3621 / WINDOW)):
        loudness[number] = -35.0
    first, second = cuts(7200.0, [(100.0, 101.0)], 5000.0, loudness)
    assert 3620 <= first.pieces[-1].end <= 3621
    assert second.pieces[0].start == pytest.approx(first.pieces[-1].end - 1)
    assert second.overlap == 1
    assert "quietest" in first.why


def test_a_part_with_its_overlap_is_within_the_limit_even_if_it_is_cut_as_far_out_as_possible():
    # The quietest points are at the outer ends of where may be cut.
    seconds = [number * WINDOW for number in range(int(221 / WINDOW))]
    loudness = [at if at < 110.5 else -at for at in seconds]
    _, middle, _ = cuts(221.0, [], 100.0, loudness)
    assert middle.overlap == 1
    assert 99 < middle.seconds <= 100


def test_what_is_just_within_the_limit_is_not_cut():
    assert cuts(100.0, [], 100.0) == whole(100.0)
    assert cuts(100.0, [], None) == whole(100.0)


def test_just_over_the_limit_are_two_parts_of_about_the_same_length():
    first, second = cuts(6010.0, [(3000.0, 3001.0)], 6000.0)
    assert first.seconds == pytest.approx(3000.5)
    assert second.seconds == pytest.approx(3009.5)


def test_a_hundred_thousand_parts_are_refused():
    with pytest.raises(ValueError, match="parts"):
        cuts(1e9, [], 10.0)


def test_silence_at_both_ends_and_long_ones_between_are_left_out():
    silences = [(0.0, 5.0), (10.0, 11.5), (20.0, 50.0), (57.0, 60.0)]
    assert without_silence(60.0, silences) == (Piece(4.5, 20.5), Piece(49.5, 57.5))


def test_of_nothing_but_silence_all_is_left():
    assert without_silence(60.0, [(0.0, 60.0)]) == (Piece(0.0, 60.0),)


def plan(**changes):
    fields = {
        "kind": "encode",
        "track": 1,
        "codec": "opus",
        "suffix": ".ogg",
        "channels": 1,
        "seconds": 200.0,
        "size": 1000,
        "parts": cuts(200.0, [(97.0, 98.0)], 190.0),
    }
    return MediaPlan(**(fields | changes))


@given(LENGTHS, SILENCES, LIMITS)
def test_a_plan_survives_json(seconds, silences, limit):
    parts = rounded(choose_cuts(without_silence(seconds, silences), silences, [], limit))
    made = plan(seconds=seconds, parts=parts)
    assert MediaPlan.from_fields(json.loads(json.dumps(made.to_fields()))) == made


def test_a_plan_is_whole_if_its_times_are_those_of_the_recording():
    assert plan(parts=whole(200.0)).is_whole
    assert plan(kind="as_it_is", track=None, codec=None, suffix=None, parts=whole(0.0)).is_whole
    assert not plan().is_whole
    assert not plan(parts=(MediaPart((Piece(4.0, 200.0),), ""),)).is_whole
    assert not plan(parts=(MediaPart((Piece(0.0, 9.0), Piece(20.0, 200.0)), ""),)).is_whole


PART = {"pieces": [[0, 1]], "why": "", "overlap": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"kind": None},
        {"parts": []},
        {"parts": None},
        {"parts": ["x"]},
        {"parts": [PART | {"pieces": []}]},
        {"parts": [PART | {"pieces": [[2, 1]]}]},
        {"parts": [PART | {"pieces": [[0]]}]},
        {"parts": [PART | {"pieces": [[0, math.nan]]}]},
        {"parts": [PART | {"overlap": "1"}]},
        {"parts": [PART | {"why": None}]},
        {"seconds": math.inf},
        {"seconds": "1"},
        {"seconds": True},
        {"size": -1},
        {"size": 1.5},
        {"channels": None},
        {"track": "1"},
        {"track": None},
        {"codec": 1},
        {"suffix": None},
    ],
)
def test_what_is_no_plan_is_refused(change):
    with pytest.raises(ValueError, match="not a plan"):
        MediaPlan.from_fields(plan().to_fields() | change)


@pytest.mark.parametrize("fields", [None, [], "plan", {}, {"kind": "encode"}])
def test_what_has_other_fields_is_no_plan(fields):
    with pytest.raises(ValueError, match="not a plan"):
        MediaPlan.from_fields(fields)
