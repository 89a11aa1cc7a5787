"""Recordings as long as a transcript needs them."""

from pathlib import Path

import av
import numpy as np

RATE = 16_000
SECOND = (np.sin(np.arange(RATE) * 2 * np.pi * 220 / RATE) * 2000).astype(np.int16).reshape(1, -1)


def hum(path: Path, seconds: float) -> Path:
    """Write an MP3 of so many whole seconds, in which nothing is heard but a hum, and return its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=RATE, bit_rate=32_000, layout="mono")
        for _ in range(int(seconds)):
            frame = av.AudioFrame.from_ndarray(SECOND, format="s16p", layout="mono")
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
