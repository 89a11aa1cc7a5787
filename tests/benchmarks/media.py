"""Three hours of video, prepared for an API that takes 25 MB at once, beside the ffmpeg program."""

import io
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.common import Comparison, in_own_process
from tests.benchmarks.recordings import write_video

HOURS = 3
CAP = 25_000_000
VIDEO_BYTES_PER_SECOND = 200_000
"""Of pictures: 1.6 Mbit/s, as of a recorded meeting in 1080p."""

AUDIO_BITS_PER_SECOND = 192_000
MOST_SENT = 0.1
MOST_GROWTH = 150
"""MiB."""


def prepare(given: dict[str, Any]) -> dict[str, float]:
    """Plan and prepare a file, watching this process's memory and time."""
    from airflow_provider_laplas.api.calls import Upload  # noqa: PLC0415
    from airflow_provider_laplas.media import MediaSettings, plan_media, prepared  # noqa: PLC0415
    from tests.media_files import mp4, upload  # noqa: PLC0415

    file = Path(given["file"])
    settings = MediaSettings(**given["settings"])
    # What is loaded once is no growth.
    small = upload(mp4())
    once = MediaSettings(codec="opus", trim_silence=True)
    with prepared(small, plan_media(small, once), 0, once):
        pass
    process = psutil.Process()
    before = most = process.memory_info().rss
    ended = threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.01):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    read = 0

    class Counted(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            nonlocal read
            got = super().readinto(buffer)
            read += got or 0
            return got

        def read(self, size: int | None = -1) -> bytes | None:
            nonlocal read
            got = super().read(size)
            read += len(got or b"")
            return got

    source = Upload(file.name, file.stat().st_size, "video/mp4", lambda: Counted(file))  # type: ignore[arg-type]
    began, used = time.perf_counter(), time.process_time()
    plan = plan_media(source, settings)
    planned = time.process_time() - used
    sizes = []
    for number in range(len(plan.parts)):
        with prepared(source, plan, number, settings) as part:
            sizes.append(part.size)
    figures = {
        "parts": len(sizes),
        "sent": sum(sizes),
        "largest": max(sizes),
        "read": read,
        "planned": planned,
        "cpu": time.process_time() - used,
        "seconds": time.perf_counter() - began,
    }
    ended.set()
    watcher.join()
    return figures | {"growth": (max(most, process.memory_info().rss) - before) / (1 << 20)}


ENCODED = "its audio does not fit: encoded, in parts"
CASES = {
    ENCODED: {"max_upload_bytes": CAP},
    "the same, in parts of 10 minutes at most": {"max_upload_bytes": CAP, "max_part_seconds": 600},
    "the same, without its long silences": {"max_upload_bytes": CAP, "trim_silence": True},
    "its audio would fit, under a limit of 300 MB: copied": {"max_upload_bytes": 300_000_000},
}


def run_ffmpeg(file: Path, folder: Path, parts: int) -> dict[str, float]:
    """Do with the program, in one pass, what the worker does in two: take the audio out, encode it alike, cut it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-v", "error", "-i", str(file), "-vn", "-ac", "1", "-ar", "16000"),
            *("-c:a", "libopus", "-b:a", "32k", "-vbr", "off", "-application", "voip"),
            *("-f", "segment", "-segment_time", str(math.ceil(HOURS * 3600 / parts))),
            str(folder / "part%03d.ogg"),
        ],
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    sizes = [part.stat().st_size for part in folder.glob("part*.ogg")]
    return {
        "parts": len(sizes),
        "sent": sum(sizes),
        "largest": max(sizes),
        "cpu": after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
        "seconds": time.perf_counter() - began,
    }


def compare_media() -> Comparison:
    """Measure what is sent, memory, and processor time."""
    result = Comparison(
        f"{HOURS} hours of video",
        f"An MP4 of 1080p with stereo AAC at {AUDIO_BITS_PER_SECOND // 1000} kbit/s and real speech, of which the worker "
        f"plans and renders all parts. The API takes {CAP // 1_000_000} MB at once, in the last row of our own 300. ffmpeg "
        "takes the audio out, encodes it alike, and cuts it after equal times, wherever that is. Read: what the worker asked "
        "of the file's storage. CPU seconds are those of user and system; wall times are only comparable with each other.",
    )
    with tempfile.TemporaryDirectory(prefix="laplas-bench-") as folder:
        file = Path(folder) / "meeting.mp4"
        write_video(
            file,
            HOURS * 3600,
            bytes_per_second=VIDEO_BYTES_PER_SECOND,
            audio_bit_rate=AUDIO_BITS_PER_SECOND,
        )
        for name, settings in CASES.items():
            given = {"file": str(file), "settings": settings | {"temporary_folder": folder}}
            one = in_own_process(
                "media", given, OPENBLAS_NUM_THREADS=os.environ.get("OPENBLAS_NUM_THREADS", "1")
            )
            _add(result, name, file, one)
            _judge(result, name, file, one, settings["max_upload_bytes"])
        ours = result.rows[0]
        if shutil.which("ffmpeg"):
            theirs = run_ffmpeg(file, Path(folder), ours["parts"])
            _add(result, "the ffmpeg program, as the first row", file, theirs)
            ratio = ours["CPU s/hour of video"] / result.rows[-1]["CPU s/hour of video"]
            result.notes.append(
                f"The first row takes {ratio:.2g} times the CPU time of the ffmpeg program, which neither looks for silences "
                "nor checks what it reads, and decodes once: the worker decodes once to plan, and once to send."
            )
        else:
            result.rows.append({"": "the ffmpeg program: not installed here"})
    return result


def _add(result: Comparison, name: str, file: Path, one: dict[str, float]) -> None:
    size = file.stat().st_size
    result.rows.append(
        {
            "": name,
            "file, MB": size / 1e6,
            "read, MB": one["read"] / 1e6 if "read" in one else "",
            "sent, MB": one["sent"] / 1e6,
            "sent, % of the file": 100 * one["sent"] / size,
            "parts": one["parts"],
            "largest part, MB": one["largest"] / 1e6,
            "CPU s/hour of video": one["cpu"] / HOURS,
            "of which planning": one["planned"] / HOURS if "planned" in one else "",
            "wall s/hour of video": one["seconds"] / HOURS,
            "memory growth, MiB": one.get("growth", ""),
        }
    )


def _judge(result: Comparison, name: str, file: Path, one: dict[str, float], cap: int) -> None:
    result.aim(
        f"largest part, MB; {name}",
        f"<= {cap / 1e6:g}",
        one["largest"] / 1e6,
        met=one["largest"] <= cap,
    )
    result.aim(
        f"memory growth, MiB; {name}",
        f"<= {MOST_GROWTH}",
        one["growth"],
        met=one["growth"] <= MOST_GROWTH,
    )
    if name == ENCODED:
        share = one["sent"] / file.stat().st_size
        result.aim("sent, % of the file", f"<= {MOST_SENT:.0%}", 100 * share, met=share <= MOST_SENT)


if __name__ == "__main__":
    print(json.dumps(prepare(json.loads(sys.argv[1]))))  # noqa: T201
