"""An hour of real speech, cut: where, and whether what is sent of it is where the plan says."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.common import Comparison, in_own_process
from tests.benchmarks.recordings import write_flac

SECONDS = 3600
RATE = 44_100
HEARD_RATE = 16_000
SILENCE = 0.3
QUIET = -20.0
"""Decibels below the level of speech around it: what is quieter for so long is a silence, whatever the detector says."""

RENDERED = 3
"""Parts that are compared with the recording, about; all are planned."""

MOST_OFFSET = 1.0
"""Milliseconds."""

CASES = {
    "20 minutes at most": {"max_part_seconds": 1200},
    "2 minutes": {"max_part_seconds": 120},
    "2 minutes, without its long silences": {"max_part_seconds": 120, "trim_silence": True},
    "2 minutes, of a recording without silences": {"max_part_seconds": 120},
}
BREATHLESS = "2 minutes, of a recording without silences"

_FRAME = 160
"""Samples, 10 ms."""

_AROUND = 500
_LAG = HEARD_RATE // 20
_COMPARED = 20 * HEARD_RATE


def cut(given: dict[str, Any]) -> dict[str, Any]:
    """Plan a file's parts, render them, and compare both with the recording."""
    from airflow_provider_laplas.api.calls import Upload  # noqa: PLC0415
    from airflow_provider_laplas.media import MediaSettings, plan_media, prepared  # noqa: PLC0415
    from airflow_provider_laplas.media.plan import ideal_cuts  # noqa: PLC0415
    from tests.media_files import content_of, decoded  # noqa: PLC0415

    file, settings = Path(given["file"]), MediaSettings(**given["settings"])
    source = Upload(file.name, file.stat().st_size, "audio/flac", lambda: file.open("rb"))
    plan = plan_media(source, settings)
    whole = decoded(file.read_bytes(), rate=HEARD_RATE)
    silences = _silences(whole)
    cuts = [part.pieces[-1].end for part in plan.parts[:-1]]
    # Without what is left out, the recording's seconds are those of the parts.
    ideals, reach = ideal_cuts(plan.seconds, float(given["settings"]["max_part_seconds"]))
    offsets, missing = [], 0.0
    # Of a FLAC file all that is before a part is decoded for it.
    for number in range(0, len(plan.parts), max(1, len(plan.parts) // RENDERED)):
        part = plan.parts[number]
        sent = np.concatenate(
            [whole[round(p.start * HEARD_RATE) : round(p.end * HEARD_RATE)] for p in part.pieces]
        )
        with prepared(source, plan, number, settings) as made:
            heard = decoded(content_of(made), rate=HEARD_RATE)
        offsets += [1000 * lag / HEARD_RATE for lag in _lags(sent, heard)]
        missing = max(missing, abs(len(heard) - len(sent)) / HEARD_RATE)
    return {
        "parts": len(plan.parts),
        "cuts": len(cuts),
        "possible": sum(
            any(min(e, i + reach) - max(s, i - reach) >= SILENCE for s, e in silences) for i in ideals
        ),
        "silent": sum(any(s <= at <= e for s, e in silences) for at in cuts),
        "overlaps": sum(part.overlap > 0 for part in plan.parts),
        "reach": reach,
        "offset": max(map(abs, offsets)),
        "missing": missing,
    }


def _silences(samples: NDArray[np.int16]) -> Sequence[tuple[float, float]]:
    """Return where it is much quieter than the speech around, for 0.3 s at least."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float32) / 32_768
    levels = 10 * np.log10(np.maximum(np.square(frames).mean(axis=1), 1e-12))
    found, begin = [], None
    for at in range(0, len(levels), _AROUND):
        loud = np.percentile(levels[max(0, at - _AROUND) : at + 2 * _AROUND], 90)
        levels[at : at + _AROUND] -= loud
    for number, quiet in enumerate([*(levels < QUIET), False]):
        if quiet and begin is None:
            begin = number
        elif not quiet and begin is not None:
            if (number - begin) * _FRAME >= SILENCE * HEARD_RATE:
                found.append((begin * _FRAME / HEARD_RATE, number * _FRAME / HEARD_RATE))
            begin = None
    return found


def _lags(sent: NDArray[np.int16], heard: NDArray[np.int16]) -> tuple[int, int]:
    """Return how many samples later a part's beginning and its end are than what was sent of the recording."""
    size = min(len(sent), len(heard))
    return _lag(sent[: min(size, _COMPARED)], heard), _lag(
        sent[:size][-_COMPARED:], heard[:size][-_COMPARED:]
    )


def _lag(sent: NDArray[np.int16], heard: NDArray[np.int16]) -> int:
    size = len(sent)
    length = 1 << (2 * size - 1).bit_length()
    one, other = (np.fft.rfft(each[:size].astype(np.float64), length) for each in (sent, heard))
    alike = np.fft.irfft(other * np.conj(one), length)
    lags = np.concatenate([alike[-_LAG:], alike[: _LAG + 1]])
    return int(np.argmax(lags)) - _LAG


def compare_cuts() -> Comparison:
    """Plan and render with several limits."""
    result = Comparison(
        f"{SECONDS // 60} minutes of speech, cut",
        "The shipped recordings again and again, with pauses of 0.4 to 1.5 s between them, some of 3 to 8 s, as FLAC at "
        "44.1 kHz; in the last row without any pause, also within them. A silence is, independent of the detector that "
        f"chooses the cuts, what is {-QUIET:g} dB quieter than the speech around for {SILENCE:g} s. A cut is possible where one is "
        "within 60 s of where parts would be equally long, or less, where the limit is below eight minutes. Some parts are decoded "
        "and compared with what of the recording is in it: by how much it is later, found by cross-correlation at its beginning and at its end.",
    )
    with tempfile.TemporaryDirectory(prefix="laplas-bench-") as folder:
        spoken, breathless = Path(folder) / "talk.flac", Path(folder) / "breathless.flac"
        write_flac(spoken, SECONDS, rate=RATE)
        write_flac(breathless, SECONDS / 4, rate=RATE, pauses=False)
        for name, settings in CASES.items():
            file = breathless if name == BREATHLESS else spoken
            given = {"file": str(file), "settings": settings | {"temporary_folder": folder}}
            one = in_own_process("cuts", given)
            result.rows.append(
                {
                    "limit of a part": name,
                    "cuts": one["cuts"],
                    "searched, ± s": one["reach"],
                    "possible in a silence": one["possible"],
                    "in a silence": one["silent"],
                    "at the quietest point, with an overlap": one["overlaps"],
                    "later than planned, at most, ms": one["offset"],
                }
            )
            if name != BREATHLESS:
                # Without long silences there are fewer parts than the recording's length makes possible.
                wanted = min(one["possible"], one["cuts"])
                result.aim(
                    f"cuts in a silence of {SILENCE:g} s; {name}",
                    f"all {wanted} possible",
                    one["silent"],
                    met=one["silent"] >= wanted,
                )
            result.aim(
                f"later than planned, ms; {name}",
                f"<= {MOST_OFFSET:g}",
                one["offset"],
                met=one["offset"] <= MOST_OFFSET,
            )
    return result


if __name__ == "__main__":
    print(json.dumps(cut(json.loads(sys.argv[1]))))  # noqa: T201
