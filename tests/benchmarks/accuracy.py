"""What a recording's transcript loses when it is cut, on the local server with its real model, through TranscribeOperator."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from airflow_stack.local_server import LocalServer
from tests.benchmarks.alignment import NEAR, Compared, Word, compare, word_error_rate
from tests.benchmarks.common import Comparison, in_own_process
from tests.benchmarks.recordings import write_flac

MINUTES = 10
RATE = 44_100
MOST_WORSE = 0.5
"""Points of the word error rate."""

LEAST_NEAR = 0.99
MOST_SHIFT = 0.01
"""Seconds: half of the model's own step."""

LATER = 7.3
"""Seconds that the recording begins later in the run that shows what the model does by itself."""

WORKERS = 2
# Less than the recording has as FLAC, and more than it has as Opus.
ENCODED = {"max_upload_bytes": 10_000_000}
SPLIT = {"max_part_seconds": 120}
CUT = "cut"
BY_HAND = "the same stretches, not encoded, each transcribed by itself"
WHOLE, BREATHLESS = "not cut", "not cut; a recording without silences"

# Each with its recording, the operator's `media`, and the run that it is compared with.
RUNS: Mapping[str, tuple[str, dict[str, Any] | None, str]] = {
    WHOLE: ("talk", None, WHOLE),
    f"not cut, but begun {LATER:g} s later": ("later", None, WHOLE),
    "not cut, but encoded": ("talk", ENCODED, WHOLE),
    CUT: ("talk", SPLIT, WHOLE),
    BY_HAND: ("talk", SPLIT, WHOLE),
    "cut, without loss (flac)": ("talk", SPLIT | {"codec": "flac"}, WHOLE),
    "cut, trim_silence": ("talk", SPLIT | {"trim_silence": True}, WHOLE),
    BREATHLESS: ("breathless", None, BREATHLESS),
    "the same, cut with overlaps": ("breathless", SPLIT, BREATHLESS),
}
JUDGED = (CUT, "cut, trim_silence", "the same, cut with overlaps")

# Of an hour: as long as the API keeps a transcript.
HOUR: Mapping[str, tuple[str, dict[str, Any] | None, str]] = {
    WHOLE: ("talk", None, WHOLE),
    "cut into parts of ten minutes at most": ("talk", {"max_part_seconds": 600}, WHOLE),
}


def compare_accuracy(minutes: float = MINUTES) -> Comparison:
    """
    Transcribe whole and in parts.

    :param minutes: of the recording; more than two, so that it is cut
    """
    result = Comparison(
        f"{minutes:g} minutes of speech, transcribed whole and in parts",
        f"A TranscribeOperator by dag.test() on the local server, with Whisper tiny.en and {WORKERS} workers. The shipped "
        "recordings again and again, with pauses between them, as FLAC at 44.1 kHz, cut into parts of two minutes at most. "
        f"Near: words that are in both transcripts, and begin and end within {1000 * NEAR:g} ms of those of the run that is "
        "not cut. Later: the median of starts and ends, in which an error of the provider's would show. The word error rate (WER) against that run, and against "
        "what is said. The model hears 30 s at a time, and takes other times, and sometimes other words, when they begin "
        f"elsewhere: the second row has the same audio without its first {LATER:g} s, and one has what is in each part, with the "
        "samples of the recording, submitted by LaplasClient: beside that row, a part loses only what the encoding takes. Wall times are only comparable with each "
        "other, on a machine that does nothing else.",
    )
    return _compared(result, minutes, RUNS)


def compare_hour(minutes: float = 60) -> Comparison:
    """Transcribe a long recording whole and in parts, for the time that it takes."""
    result = Comparison(
        f"{minutes:g} minutes of speech, for how long a transcript is waited for, whole and in parts",
        f"As in the table before, one run after the other. The server has {WORKERS} workers, of which a recording that is not "
        "cut takes one; the model then has all cores to itself.",
    )
    return _compared(result, minutes, HOUR)


def _compared(
    result: Comparison, minutes: float, runs: Mapping[str, tuple[str, dict[str, Any] | None, str]]
) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="laplas-bench-") as temporary:
        folder = Path(temporary)
        said = {
            name: write_flac(folder / f"{name}.flac", 60 * minutes, rate=RATE, **how)
            for name, how in {
                "talk": {},
                "later": {"skipped": LATER},
                "breathless": {"pauses": False},
            }.items()
            if any(recording == name for recording, _, _ in runs.values())
        }
        heard: dict[str, list[Word]] = {}
        wrong: dict[str, float] = {}
        with LocalServer(folder, concurrency=WORKERS) as server:
            server.await_ready()
            cuts: list[tuple[float, float]] = []
            for name, (recording, media, other) in runs.items():
                with _server_seconds(server) as used:
                    if name == BY_HAND:
                        one = _by_hand(server, folder, recording, cuts)
                    else:
                        one = _transcribed(server, folder, f"run{len(heard)}", recording, media)
                one["cpu"] = used[0]
                if name == CUT:
                    cuts = [tuple(part["pieces"][0]) for part in one["parts"]]
                late = LATER if recording == "later" else 0.0
                heard[name] = [(text, start + late, end + late) for text, start, end in one["words"]]
                wrong[name] = word_error_rate(said[recording], heard[name])
                # Of what both have.
                both = [
                    [w for w in words if not late or w[1] > late + 1] for words in (heard[other], heard[name])
                ]
                compared = compare(*both)
                result.rows.append(_row(name, one, compared, "" if late else 100 * wrong[name]))
                if name in JUDGED:
                    _judge(result, name, compared, wrong[name] - wrong[other])
                if name == BY_HAND:
                    beside = compare(heard[BY_HAND], heard[CUT])
                    result.notes.append(
                        f"Beside {BY_HAND}, {100 * beside.near:.3g} % of the words of the parts are near, with a word error "
                        f"rate of {100 * beside.word_error_rate:.2g} %."
                    )
    return result


def _transcribed(
    server: LocalServer, folder: Path, name: str, recording: str, media: dict[str, Any] | None
) -> dict[str, Any]:
    given = {
        "name": name,
        "audio": str(folder / f"{recording}.flac"),
        "media": media,
        "folder": str(folder / name),
    }
    return in_own_process("transcribing", given, AIRFLOW_CONN_LAPLAS_DEFAULT=server.connection)


def _by_hand(
    server: LocalServer, folder: Path, recording: str, cuts: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Transcribe stretches of a recording, each by itself, and put their words where they are in it."""
    from airflow_provider_laplas.client import LaplasClient  # noqa: PLC0415
    from tests.media_files import decoded, media  # noqa: PLC0415

    samples = decoded((folder / f"{recording}.flac").read_bytes(), rate=RATE)
    words = []
    began = time.perf_counter()
    with LaplasClient(server.api_key, server.base_url) as client:
        submitted = []
        for start, end in cuts:
            file = folder / f"from{start}.flac"
            stretch = samples[round(start * RATE) : round(end * RATE)]
            file.write_bytes(media([stretch], container="flac", codec="flac", rate=RATE))
            submitted.append((start, client.submit(str(file))))
        for start, generation_id in submitted:
            transcript = client.wait(generation_id).transcript()
            words += [[word.text, start + word.start, start + word.end] for word in transcript.words]
    parts = [{"pieces": [cut], "overlap": 0.0} for cut in cuts]
    return {"words": words, "parts": parts, "seconds": time.perf_counter() - began}


@contextmanager
def _server_seconds(server: LocalServer) -> Iterator[list[float]]:
    """Give the server's CPU seconds, once the context has ended."""
    process = psutil.Process(server.program.pid)
    before, used = sum(process.cpu_times()[:2]), [0.0]
    yield used
    used[0] = sum(process.cpu_times()[:2]) - before


def _row(name: str, one: dict[str, Any], compared: Compared, wrong: Any) -> dict[str, Any]:
    parts = one["parts"]
    return {
        "": name,
        "parts": len(parts) or 1,
        "overlaps": sum(part["overlap"] > 0 for part in parts),
        "words": len(one["words"]),
        "near, %": 100 * compared.near,
        "later, ms": 1000 * compared.shift,
        "WER against not cut, %": 100 * compared.word_error_rate,
        "WER, %": wrong,
        "server's CPU s": one["cpu"],
        "wall s": one["seconds"],
    }


def _judge(result: Comparison, name: str, compared: Compared, worse: float) -> None:
    near, shift = compared.near, compared.shift
    result.aim(f"words near, %; {name}", f">= {LEAST_NEAR:.0%}", 100 * near, met=near >= LEAST_NEAR)
    result.aim(f"later, ms; {name}", f"<= {1000 * MOST_SHIFT:g}", 1000 * shift, met=abs(shift) <= MOST_SHIFT)
    for what, points in (
        ("WER against not cut", 100 * compared.word_error_rate),
        ("WER, points worse", 100 * worse),
    ):
        result.aim(f"{what}; {name}", f"<= {MOST_WORSE:g}", points, met=points <= MOST_WORSE)
