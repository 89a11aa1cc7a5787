"""Histories of several writers and a user, drawn by seeds: their properties hold, and known faults would be found."""

import pytest

from tests.simulation.faults_back import FAULTS, PART_FAULTS
from tests.simulation.histories import prepared, run

HISTORIES, PARTS = 600, 8
"""Few, as each takes a twentieth of a second; `make simulate` runs many."""

SEARCHED = 1200
"""Histories in which a fault that is put back has to be found."""

OFTEN = sorted(set(FAULTS) - {"unfenced"})
"""Faults that do harm in one of some hundred histories; the other one does in one of some thousand."""

BEGINS = {
    "blind-delete": 3200,
    "cut-unnoted": 180,
    "early-consent": 6050,
    "next-only": 1290,
    "read-once": 340,
    "shared-lease": 190,
}
"""Seeds from which on the rarer faults are looked for: shortly before one that finds it."""


@pytest.mark.parametrize("part", range(PARTS))
def test_the_properties_hold_in_every_history(part):
    seeds = range(part * HISTORIES // PARTS, (part + 1) * HISTORIES // PARTS)
    with prepared():
        broken = [history for seed in seeds if (history := run(seed)).broken]
    assert not broken, "\n".join([f"{broken[0].broken}, seed {broken[0].seed}:", *broken[0].trace])


@pytest.mark.parametrize("part", range(PARTS))
def test_the_properties_hold_where_recordings_are_submitted_in_parts(part):
    seeds = range(part * HISTORIES // PARTS // 2, (part + 1) * HISTORIES // PARTS // 2)
    with prepared():
        broken = [history for seed in seeds if (history := run(seed, parts=True)).broken]
    assert not broken, "\n".join([f"{broken[0].broken}, seed {broken[0].seed}:", *broken[0].trace])


@pytest.mark.parametrize("fault", PART_FAULTS)
def test_a_fault_of_parts_that_is_put_back_is_found(fault):
    first = BEGINS.get(fault, 0)
    with prepared(fault):
        found = next((seed for seed in range(first, first + SEARCHED) if run(seed, parts=True).broken), None)
    assert found is not None, f"{fault} is not found in {SEARCHED} histories"


@pytest.mark.parametrize("fault", OFTEN)
def test_a_fault_that_is_put_back_is_found(fault):
    first = BEGINS.get(fault, 0)
    with prepared(fault):
        found = next((seed for seed in range(first, first + 3 * SEARCHED) if run(seed).broken), None)
    assert found is not None, f"{fault} is not found in {3 * SEARCHED} histories"


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_is_the_same_history_each_time(seed):
    with prepared():
        first, _, again = run(seed, trace=True), run(seed + 1), run(seed, trace=True)
    assert first == again
    assert first.posts > 0
