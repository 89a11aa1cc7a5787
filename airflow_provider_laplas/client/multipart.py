"""
Request bodies, streamed in chunks, which record whether they were sent completely.

Shared by the sync and the async path. If a body was not sent completely, nothing was submitted, whatever error the HTTP
library raises: the server cannot accept a request that is shorter than its Content-Length.
"""

import json
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from requests_toolbelt import MultipartEncoder

from airflow_provider_laplas.api.calls import Call, Upload, unreadable
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError

CHUNK = 256 * 1024
"""Bytes to read and send at a time."""


class BodyError(Exception):
    """The body could not be begun. No HTTP library catches it, as it would a broken pipe. The cause is ``failure``."""


class Body:
    """
    The JSON body of a submission. Iterate over it once.

    :ivar content_type: the value of the Content-Type header
    :ivar len: total bytes (requests expects this name)
    :ivar complete: whether all of it was sent
    :ivar handed_over: bytes that the HTTP library has taken; it may not have sent the last of them
    :ivar moved_at: when the last piece was sent, on the monotonic clock; None as long as nothing was asked for
    :ivar failure: why the body could not be begun, or its source not read completely
    """

    def __init__(self, call: Call[Any]) -> None:
        self.complete = False
        self.handed_over = 0
        self.moved_at: float | None = None
        self.failure: Exception | None = None
        self._rest = b"" if call.json is None else json.dumps(call.json).encode()
        self.content_type, self.len = "application/json", len(self._rest)
        self._delivery = call.delivery
        self._begun = False
        if self._delivery is not None:
            self._delivery.whole = False

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.next_piece():
            yield piece

    def next_piece(self) -> bytes:
        """Return the next piece, empty at the end."""
        if not self._begun:
            self._begin()
        # The library asks for another piece only once it has sent the last one.
        self.moved_at = time.monotonic()
        piece = self._read()
        self.complete = not piece
        self.handed_over += len(piece)
        if self._delivery is not None:
            self._delivery.whole = self.handed_over >= self.len
        return piece

    def _begin(self) -> None:
        self._begun = True
        if self._delivery is not None:
            try:
                self._delivery.before()
            except Exception as error:
                self.failure = error
                raise BodyError from error

    def close(self) -> None:
        """Close the source, if any."""

    def _read(self) -> bytes:
        piece, self._rest = self._rest, b""
        return piece


class MultipartBody(Body):
    """
    The multipart body of an upload: form fields and the streamed file.

    Opening and reading the file block.

    :raises LaplasTransportError: the source cannot be opened; nothing was sent
    """

    def __init__(self, call: Call[Any], upload: Upload) -> None:
        super().__init__(call)
        self._file = self._open(upload)
        part = (upload.name, _Sized(self._file, upload), upload.content_type)
        self._encoder = MultipartEncoder(fields=[*call.form, (call.part, part)])
        self.content_type, self.len = self._encoder.content_type, self._encoder.len

    def close(self) -> None:
        """Close the uploaded file."""
        self._file.close()

    def _read(self) -> bytes:
        try:
            piece: bytes = self._encoder.read(CHUNK)
        except LaplasError as error:
            self.failure = error
            raise
        except Exception as error:  # noqa: BLE001
            # Storage libraries raise all kinds of exceptions.
            self.failure = unreadable(error)
            raise self.failure from None
        return piece

    @staticmethod
    def _open(upload: Upload) -> BinaryIO:
        try:
            return upload.open()
        except LaplasError:
            raise
        except Exception as error:  # noqa: BLE001
            raise unreadable(error) from None


def make_body(call: Call[Any]) -> Body:
    """
    Return the body of a call. Opening an upload blocks.

    :raises LaplasTransportError: the source cannot be opened; nothing was sent
    """
    return Body(call) if call.upload is None else MultipartBody(call, call.upload)


class _Sized:
    """
    A file with its remaining bytes as ``len``, as the encoder requires.

    It reads exactly the announced size, so that a growing file does not exceed the request's length, and raises an
    error if the file has shrunk.
    """

    def __init__(self, file: BinaryIO, upload: Upload) -> None:
        self._file = file
        self._name = upload.name
        self.len = upload.size

    def read(self, size: int = -1) -> bytes:
        if self.len == 0:
            return b""
        chunk = self._file.read(self.len if size < 0 else min(size, self.len))
        if not chunk:
            raise LaplasArgumentError(
                f"`audio` became shorter during the upload ({self._name}); nothing was submitted. "
                "Is it still being written?",
                argument="audio",
            )
        self.len -= len(chunk)
        return chunk
