"""Reads request bodies within limits: JSON into memory, a form's recording straight to disk."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from airflow_provider_laplas.local.errors import ApiError

TOO_LARGE = "Request entity too large"
BROKEN_FORM = "Body validation error: the form is malformed or cut short"
MAX_NAMES = 200


@dataclass
class Form:
    """A received form: its text fields, and the size of its recording in bytes (None if there is none)."""

    fields: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    audio_size: int | None = None


async def read_json(stream: AsyncIterator[bytes], limit: int) -> bytes:
    """Return the body, or raise ApiError (413) as soon as it exceeds `limit` bytes."""
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > limit:
            raise ApiError(413, TOO_LARGE)
    return bytes(body)


async def read_form(
    stream: AsyncIterator[bytes],
    content_type: str,
    target: Path,
    *,
    parts: tuple[str, ...],
    max_audio: int,
    max_fields: int,
) -> Form:
    """Read a `multipart/form-data` body; the recording's bytes go to `target` as they arrive.

    The recording is the part whose name is in `parts`. Files under other names are read and discarded, as the
    API does. `target` is created only if there is a recording; if this fails, the caller must delete it. Raises
    ApiError: 413 as soon as a limit (in bytes) is exceeded, 400 for a form that is malformed or truncated.
    """
    _, parameters = parse_options_header(content_type)
    reader = _Reader(target, parts, max_audio, max_fields)
    total = 0
    try:
        parser = MultipartParser(parameters.get(b"boundary", b""), reader.callbacks())
        async for chunk in stream:
            total += len(chunk)
            if total > max_audio + max_fields:
                raise ApiError(413, TOO_LARGE)
            # Not in a thread, because a chunk is at most 64 KiB and goes to the page cache.
            parser.write(chunk)
        parser.finalize()
    except FormParserError:
        raise ApiError(400, BROKEN_FORM) from None
    finally:
        reader.close()
    if not reader.ended:
        raise ApiError(400, BROKEN_FORM)
    return reader.form


class _Reader:
    """The callbacks of the push parser, and their state."""

    def __init__(self, target: Path, parts: tuple[str, ...], max_audio: int, max_fields: int) -> None:
        self.form = Form()
        self.ended = False
        self._target, self._parts = target, parts
        self._max_audio, self._max_fields = max_audio, max_fields
        self._field_bytes = 0
        self._names = 0
        self._file: BinaryIO | None = None
        self._begin()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._header = (b"", b"")
        self._name = ""
        self._is_audio = self._is_dropped = False
        self._value = bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _header_end(self) -> None:
        name, value = self._header
        self._header = (b"", b"")
        if name.lower() != b"content-disposition":
            return
        _, parameters = parse_options_header(value)
        self._name = parameters.get(b"name", b"").decode("utf-8", "replace")
        self._is_audio = self._name in self._parts
        self._is_dropped = b"filename" in parameters and not self._is_audio

    def _headers_finished(self) -> None:
        self._names += 1
        if not self._name or self._names > MAX_NAMES:
            raise ApiError(400, BROKEN_FORM)
        if not self._is_audio:
            return
        if self.form.audio_size is not None:
            raise ApiError(400, "Body validation error: only one recording can be sent")
        self.form.audio_size = 0
        self._file = self._target.open("xb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None and self.form.audio_size is not None:
            self.form.audio_size += end - start
            if self.form.audio_size > self._max_audio:
                raise ApiError(413, TOO_LARGE)
            self._file.write(data[start:end])
        elif not self._is_dropped:
            self._field_bytes += end - start
            if self._field_bytes > self._max_fields:
                raise ApiError(413, TOO_LARGE)
            self._value += data[start:end]

    def _end(self) -> None:
        if self._is_audio:
            self.close()
        elif not self._is_dropped:
            try:
                self.form.fields[self._name].append(self._value.decode())
            except UnicodeDecodeError:
                raise ApiError(400, "Body validation error: a field is not UTF-8") from None

    def _finish(self) -> None:
        self.ended = True
