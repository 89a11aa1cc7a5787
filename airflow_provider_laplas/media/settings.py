"""What is done with a recording before it is uploaded."""

from dataclasses import dataclass
from typing import Any

from airflow_provider_laplas.arguments import LONGEST, check_choice, check_flag, check_text, is_number
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import shown

EXTRACT = ("auto", "always", "never")
CODECS = ("opus", "flac")
SAMPLE_RATES = (8000, 12000, 16000, 24000, 48000)
"""Samples per second that both codecs have."""

SHORTEST_PART = 10
"""Seconds: the lowest ``max_part_seconds``. In shorter parts a model lacks the context that it needs."""

SMALLEST_UPLOAD = 65_536
"""Bytes: the lowest ``max_upload_bytes``, about 15 seconds of Opus."""

_LARGEST_UPLOAD = 1 << 40
_MOST_TRACKS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """
    What is done with a recording before it is uploaded.

    :ivar extract_audio: when only the audio of a file is sent. ``auto``: of video, and of what is larger than
        ``max_upload_bytes``; ``always``; ``never``, unless it has to be cut, or ``track`` chooses one of several
    :ivar track: which audio track: its number among the audio tracks, from 0, or its language as the container has
        it, such as ``eng``. Default: the one that the container marks as the default
    :ivar codec: what audio is encoded to where it cannot be copied: ``opus``, at 32 kbit/s a channel, or ``flac``,
        without loss
    :ivar sample_rate: of what is encoded, in samples per second: 8000, 12000, 16000, 24000 or 48000
    :ivar split: whether what is over the limits is cut into parts; if not, it is an error
    :ivar trim_silence: whether stretches of more than two seconds without speech are left out, but for half a second
        at each side of speech
    :ivar max_upload_bytes: what the API takes in one upload. Default: no limit is known
    :ivar max_part_seconds: the longest recording that is to be one generation. Default: no limit
    :ivar fetch: whether the worker downloads a web URL, to treat it as a file. Default: the API fetches it, as it is
    :ivar max_fetch_bytes: the most that is downloaded of a URL. Default 8 GiB
    :ivar allow_private_urls: whether URLs may lead to addresses that are not on the public internet. Whoever chooses
        them then reads what the worker can
    :ivar temporary_folder: where parts are written to until they are sent. Default: the system's
    :raises LaplasArgumentError: naming the invalid setting
    """

    extract_audio: str = "auto"
    track: int | str | None = None
    codec: str = "opus"
    sample_rate: int = 16000
    split: bool = True
    trim_silence: bool = False
    max_upload_bytes: int | None = None
    max_part_seconds: float | None = None
    fetch: bool = False
    max_fetch_bytes: int = 8 * 1024**3
    allow_private_urls: bool = False
    temporary_folder: str | None = None

    def __post_init__(self) -> None:
        check_choice("media.extract_audio", self.extract_audio, EXTRACT)
        check_choice("media.codec", self.codec, CODECS)
        for name in ("split", "trim_silence", "fetch", "allow_private_urls"):
            check_flag(f"media.{name}", getattr(self, name))
        if isinstance(self.sample_rate, bool) or self.sample_rate not in SAMPLE_RATES:
            raise LaplasArgumentError(
                f"`media.sample_rate` must be one of {', '.join(map(str, SAMPLE_RATES))}, not {shown(self.sample_rate)}.",
                argument="media.sample_rate",
            )
        if isinstance(self.track, str):
            check_text("media.track", self.track)
        elif self.track is not None and not is_number(self.track, 0, _MOST_TRACKS, whole=True):
            raise LaplasArgumentError(
                "`media.track` must be the number of an audio track, from 0, or its language, "
                f"not {shown(self.track)}.",
                argument="media.track",
            )
        _check_limit(
            "max_upload_bytes", self.max_upload_bytes, SMALLEST_UPLOAD, _LARGEST_UPLOAD, "bytes", whole=True
        )
        if not is_number(self.max_fetch_bytes, 1, _LARGEST_UPLOAD, whole=True):
            raise LaplasArgumentError(
                f"`media.max_fetch_bytes` must be a number of bytes from 1 to {_LARGEST_UPLOAD:,}, "
                f"not {shown(self.max_fetch_bytes)}.",
                argument="media.max_fetch_bytes",
            )
        _check_limit("max_part_seconds", self.max_part_seconds, SHORTEST_PART, LONGEST, "seconds")
        if self.temporary_folder is not None:
            check_text("media.temporary_folder", self.temporary_folder)


def _check_limit(name: str, value: Any, least: int, most: int, unit: str, *, whole: bool = False) -> None:
    if value is not None and not is_number(value, least, most, whole=whole):
        raise LaplasArgumentError(
            f"`media.{name}` must be a number of {unit} from {least:,} to {most:,}, or None, not {shown(value)}.",
            argument=f"media.{name}",
        )
