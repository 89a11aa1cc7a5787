"""Three hours of video, prepared for an API that takes 25 MB at once, beside the ffmpeg program."""

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.common import Comparison, MemoryGrowth, in_own_process
from tests.benchmarks.recordings import write_video

HOURS = 3
CAP = 25_000_000
VIDEO_BYTES_PER_SECOND = 200_000
"""Of pictures: 1.6 Mbit/s, as of a recorded meeting in 1080p."""

AUDIO_BITS_PER_SECOND = 192_000
FFMPEG_MINUTES = 30
CPU = "CPU s/hour of video"
MOST_SENT = 0.1
MOST_GROWTH = 150
"""MiB."""


def prepare(given: dict[str, Any]) -> dict[str, Any]:
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
    sizes = []
    with MemoryGrowth() as growth:
        used = time.process_time()
        plan = plan_media(source, settings)
        planned = time.process_time() - used
        for number in range(len(plan.parts) if given["rendered"] else 0):
            with prepared(source, plan, number, settings) as part:
                sizes.append(part.size)
        cpu = time.process_time() - used
    return {
        "parts": len(plan.parts),
        "sizes": sizes,
        "read": read,
        "planned": planned,
        "cpu": cpu,
        "growth": growth.mebibytes,
    }


ENCODED = "its audio does not fit: encoded, in parts"
PLANNED = "the same, without its long silences: planned only"
# What is not rendered takes as long to render as the first.
CASES = {
    ENCODED: {"max_upload_bytes": CAP},
    PLANNED: {"max_upload_bytes": CAP, "trim_silence": True},
    "its audio would fit, under a limit of 300 MB: copied": {"max_upload_bytes": 300_000_000},
}


def ffmpeg_seconds(file: Path, folder: Path) -> float:
    """Do with the program, in one pass, what the worker does in two, and return its CPU seconds for an hour of video."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-v", "error", "-i", str(file), "-t", str(60 * FFMPEG_MINUTES)),
            *("-vn", "-ac", "1", "-ar", "16000"),
            *("-c:a", "libopus", "-b:a", "32k", "-vbr", "off", "-application", "voip"),
            *("-f", "segment", "-segment_time", "600", str(folder / "part%03d.ogg")),
        ],
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 60 / FFMPEG_MINUTES


def compare_media() -> Comparison:
    """Measure what is sent, memory, and processor time."""
    result = Comparison(
        f"{HOURS} hours of video",
        f"An MP4 of 1080p with stereo AAC at {AUDIO_BITS_PER_SECOND // 1000} kbit/s and real speech, of which the worker "
        f"plans and renders all parts. The API takes {CAP // 1_000_000} MB at once, where the audio is copied 300. The ffmpeg "
        f"program takes the audio out of the first {FFMPEG_MINUTES} minutes, encodes it alike, and cuts it after equal times, "
        "wherever that is. Read: what the worker asked of the file's storage. CPU seconds are those of user and system.",
    )
    with tempfile.TemporaryDirectory(prefix="laplas-bench-") as folder:
        file = Path(folder) / "meeting.mp4"
        write_video(
            file,
            HOURS * 3600,
            bytes_per_second=VIDEO_BYTES_PER_SECOND,
            audio_bit_rate=AUDIO_BITS_PER_SECOND,
        )
        size = file.stat().st_size
        for name, settings in CASES.items():
            given = {
                "file": str(file),
                "settings": settings | {"temporary_folder": folder},
                "rendered": name != PLANNED,
            }
            one = in_own_process(
                "media", given, OPENBLAS_NUM_THREADS=os.environ.get("OPENBLAS_NUM_THREADS", "1")
            )
            _add(result, name, size, one)
            _judge(result, name, size, one, settings["max_upload_bytes"])
        result.rows.append(
            {"": "the ffmpeg program", CPU: ffmpeg_seconds(file, Path(folder))}
            if shutil.which("ffmpeg")
            else {"": "the ffmpeg program: not installed here"}
        )
    return result


def _add(result: Comparison, name: str, size: int, one: dict[str, Any]) -> None:
    sizes = one["sizes"]
    row = {"": name, "file, MB": size / 1e6, "read, MB": one["read"] / 1e6, "parts": one["parts"]}
    if sizes:
        row |= {"sent, MB": sum(sizes) / 1e6, "of the file, %": 100 * sum(sizes) / size}
        row |= {"largest part, MB": max(sizes) / 1e6}
    row |= {CPU: one["cpu"] / HOURS, "of which planning": one["planned"] / HOURS}
    result.rows.append(row | {"memory growth, MiB": one["growth"]})


def _judge(result: Comparison, name: str, size: int, one: dict[str, Any], cap: int) -> None:
    sizes, growth = one["sizes"], one["growth"]
    if sizes:
        result.aim(f"largest part, MB; {name}", f"<= {cap / 1e6:g}", max(sizes) / 1e6, met=max(sizes) <= cap)
    result.aim(f"memory growth, MiB; {name}", f"<= {MOST_GROWTH}", growth, met=growth <= MOST_GROWTH)
    if name == ENCODED:
        share = sum(sizes) / size
        result.aim("sent, % of the file", f"<= {100 * MOST_SENT:g}", 100 * share, met=share <= MOST_SENT)


if __name__ == "__main__":
    print(json.dumps(prepare(json.loads(sys.argv[1]))))  # noqa: T201
