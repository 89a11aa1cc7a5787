"""Streams a recording from its storage, by ranges, a block at a time."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response, StreamingResponse

from airflow_provider_laplas.backends import FileInfo
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage
from airflow_provider_laplas.ui.answers import not_there
from airflow_provider_laplas.ui.threads import in_thread

BLOCK = 1024 * 1024
"""Bytes that are in memory at a time, and that one request to a storage asks for."""

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII)

_HEAD = 12
_MPEG = b"\xff"


def stream(uri: str, storage: Storage, *, method: str, wanted: str | None, if_range: str | None) -> Response:
    """
    Answer a request for a recording. Blocking: it looks at the file, and the answer reads it.

    Only what begins as audio does is sent: a task's argument may have come from whoever started its run, who must not
    read other files by it.

    :param method: GET or HEAD
    :param wanted: the header Range
    :param if_range: the header If-Range
    :raises HTTPException: 404, if there is no such file, or it is no recording
    """
    try:
        info = storage.info(uri)
        kind = media_type(storage.read_range(uri, 0, _HEAD)) if info.size else None
    except FileNotFoundError:
        raise not_there(f"There is no recording at {redacted(uri)} (any more).") from None
    except LaplasError as error:
        raise not_there(str(error)) from None
    if kind is None:
        raise not_there(f"{redacted(uri)} is not a recording of a known kind.")
    etag = etag_of(info)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        # Airflow compresses answers, of which no range could be told.
        "Content-Encoding": "identity",
    }
    part = whole = Part(0, info.size)
    if wanted is not None and (if_range is None or if_range == etag):
        found = read_range(wanted, info.size)
        if found is None:
            return Response(
                status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                headers=headers | {"Content-Range": f"bytes */{info.size}"},
            )
        part = found
    status = HTTPStatus.OK
    if part != whole or (wanted is not None and part.given):
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{info.size}"
    headers["Content-Length"] = str(part.end - part.start)
    if method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    return StreamingResponse(_blocks(uri, part, storage), status, headers, kind)


@dataclass(frozen=True, slots=True)
class Part:
    """
    A range of bytes, up to before ``end``.

    :ivar given: whether the request asked for it
    """

    start: int
    end: int
    given: bool = False


def read_range(header: str, size: int) -> Part | None:
    """
    Read the header Range: one range of bytes. What is not that, several ranges included, counts as the whole file.

    :return: None if the file ends before it
    """
    found = _RANGE.fullmatch(header)
    if found is None or not (found[1] or found[2]):
        return Part(0, size)
    if not found[1]:
        suffix = min(int(found[2]), size)
        return Part(size - suffix, size, given=True) if suffix else None
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return Part(0, size)
    end = min(int(found[2]) + 1, size) if found[2] else size
    return Part(start, end, given=True) if start < size else None


def etag_of(info: FileInfo) -> str:
    """Return a strong ETag, which changes when the file does."""
    version = re.sub(r"[^\w.-]", "", info.version, flags=re.ASCII)
    return f'"{info.size:x}-{info.modified:.6f}-{version}"'


def media_type(head: bytes) -> str | None:
    """Return the media type of a recording by its first bytes, None if it is not one."""
    for begin, at, kind in _MAGIC:
        if head[at : at + len(begin)] == begin:
            return kind
    if head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return "audio/aiff"
    return _mpeg_type(head)


_MAGIC = (
    *((b"ID3" + version, 0, "audio/mpeg") for version in (b"\x02", b"\x03", b"\x04")),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ftyp", 4, "audio/mp4"),
    (b"\x1aE\xdf\xa3", 0, "audio/webm"),
    (b"#!AMR", 0, "audio/amr"),
    (b"caff\x00", 0, "audio/x-caf"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, "audio/x-ms-wma"),
)


def _mpeg_type(head: bytes) -> str | None:
    """Tell the frame header of MPEG audio from other bytes that begin with its first eight bits, as a text may."""
    if len(head) < 3 or head[:1] != _MPEG or head[1] & 0xE0 != 0xE0:  # noqa: PLR2004
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0 and head[1] & 0xF0 == 0xF0:  # noqa: PLR2004
        return "audio/aac"
    # Reserved values, and the layer of a byte order mark, which no recording is in.
    usual = version != 1 and layer in {1, 2} and head[2] >> 4 not in {0, 15} and head[2] >> 2 & 3 != 3  # noqa: PLR2004
    return "audio/mpeg" if usual else None


async def _blocks(uri: str, part: Part, storage: Storage) -> AsyncIterator[bytes]:
    at = part.start
    while at < part.end:
        block = await in_thread(storage.read_range, uri, at, min(at + BLOCK, part.end))
        if not block:
            # Shorter than it was: the connection ends before what was announced.
            raise OSError(f"{redacted(uri)} was changed while it was sent.")
        yield block
        at += len(block)
