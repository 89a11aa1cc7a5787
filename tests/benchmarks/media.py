"""Half an hour of video, prepared for an API that takes 25 MB at once."""

import io
import json
import os
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.common import Comparison, in_own_process

MINUTES = 30
CAP = 25_000_000
VIDEO_BYTES_PER_SECOND = 500_000
"""Of pictures: 4 Mbit/s, as of a recorded meeting in 1080p."""

AUDIO_BITS_PER_SECOND = 192_000


def make_video(file: Path, *, minutes: float) -> None:
    """
    Write an MP4 with one picture, shown all the time, and somebody speaking.

    The pictures are repeated packets, filled up to a realistic size: they are never decoded.
    """
    import av  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from tests.media_files import speech  # noqa: PLC0415

    rate = 48_000
    spoken = speech(rate=rate)
    with av.open(str(file), "w", format="mp4") as out:
        pictures = out.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 1920, 1080, "yuv420p"
        audio = out.add_stream("aac", rate=rate, layout="stereo")
        audio.bit_rate = AUDIO_BITS_PER_SECOND
        grey = av.VideoFrame.from_ndarray(np.full((1080, 1920, 3), 127, np.uint8), format="rgb24")
        grey.pts = 0
        [first, *_] = [*pictures.encode(grey), *pictures.encode(None)]
        picture = bytes(first) + bytes(VIDEO_BYTES_PER_SECOND // 25 - first.size)
        samples = int(minutes * 60 * rate)
        for at in range(0, samples, rate // 25):
            packet = av.Packet(picture)
            packet.stream, packet.time_base = pictures, Fraction(1, 25)
            packet.pts = packet.dts = at * 25 // rate
            packet.is_keyframe = True
            out.mux(packet)
            begin = at % (len(spoken) - rate)
            block = np.repeat(spoken[begin : begin + rate // 25], 2).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "s16", "stereo")
            frame.sample_rate, frame.pts = rate, at
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))


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


CASES = {
    "its audio fits: copied": {"max_upload_bytes": 50_000_000},
    "its audio does not: encoded": {"max_upload_bytes": CAP},
    "the same, in parts of 10 minutes at most": {"max_upload_bytes": CAP, "max_part_seconds": 600},
    "the same, searched for long silences, of which it has none": {
        "max_upload_bytes": CAP,
        "trim_silence": True,
    },
}


def compare_media() -> Comparison:
    """Measure what is sent, memory, and processor time."""
    result = Comparison(
        f"{MINUTES} minutes of video",
        f"An MP4 of 1080p with stereo AAC at {AUDIO_BITS_PER_SECOND // 1000} kbit/s, of which the worker prepares what is "
        f"sent. The API takes {CAP // 1_000_000} MB at once, in the first row 50.",
    )
    most = 0.0
    hours = MINUTES / 60
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "meeting.mp4"
        make_video(file, minutes=MINUTES)
        size = file.stat().st_size
        for name, settings in CASES.items():
            given = {"file": str(file), "settings": settings | {"temporary_folder": folder}}
            one = in_own_process(
                "media", given, OPENBLAS_NUM_THREADS=os.environ.get("OPENBLAS_NUM_THREADS", "1")
            )
            most = max(most, one["growth"])
            result.rows.append(
                {
                    "": name,
                    "file, MB": size / 1e6,
                    "read, MB": one["read"] / 1e6,
                    "sent, MB": one["sent"] / 1e6,
                    "parts": one["parts"],
                    "CPU seconds per hour of video": one["cpu"] / hours,
                    "memory growth, MiB": one["growth"],
                }
            )
            result.aim(
                "largest part",
                "within the limit",
                one["largest"] / 1e6,
                met=one["largest"] <= settings["max_upload_bytes"],
            )
    result.aim("memory growth", "<= 64 MiB", most, met=most <= 64)
    return result


if __name__ == "__main__":
    print(json.dumps(prepare(json.loads(sys.argv[1]))))  # noqa: T201
