"""
A call's body, handed over piece by piece: never whole in memory, and known to be complete or not.

Shared by the sync and the async path. What was not handed over to its end is no submission, whatever the HTTP library
makes of the connection's end: a server that lacks a part of the announced length cannot have accepted it.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from requests_toolbelt import MultipartEncoder

from airflow_provider_laplas.api.calls import Call, Upload, unreadable
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError

CHUNK = 256 * 1024
"""Bytes that are read and sent at a time."""


class Body:
    """
    The body of one submission: JSON, unless a subclass has other pieces. Iterate over it once.

    :ivar content_type: the header's value
    :ivar len: bytes in all (the name is the one that requests looks for)
    :ivar complete: whether all of it was handed over
    :ivar failure: why the source could not be read to its end
    """

    def __init__(self, call: Call[Any]) -> None:
        self.complete = False
        self.failure: LaplasError | None = None
        self._rest = b"" if call.json is None else json.dumps(call.json).encode()
        self.content_type, self.len = "application/json", len(self._rest)

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.next_piece():
            yield piece

    def next_piece(self) -> bytes:
        """Return the next piece, empty at the end."""
        piece = self._read()
        # Asked for what comes after the last piece, the library is done with that one.
        self.complete = not piece
        return piece

    def close(self) -> None:
        """Close what was opened to be sent."""

    def _read(self) -> bytes:
        piece, self._rest = self._rest, b""
        return piece


class MultipartBody(Body):
    """
    The body of an upload: form fields and the file, which is streamed.

    Opening the file blocks, and so does reading it.

    :raises LaplasTransportError: the source cannot be opened; nothing was sent
    """

    def __init__(self, call: Call[Any], upload: Upload) -> None:
        super().__init__(call)
        self._file = self._open(upload)
        part = (upload.name, _Sized(self._file, upload), upload.content_type)
        self._encoder = MultipartEncoder(fields=[*call.form, (call.part, part)])
        self.content_type, self.len = self._encoder.content_type, self._encoder.len

    def close(self) -> None:
        """Close the file that is uploaded."""
        self._file.close()

    def _read(self) -> bytes:
        try:
            piece: bytes = self._encoder.read(CHUNK)
        except LaplasError as error:
            self.failure = error
            raise
        except Exception as error:  # noqa: BLE001
            # Whatever a storage's library raises: the source failed, not the API.
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
    A file as the encoder wants one: with the bytes that are left as ``len``.

    Exactly the announced size is read: a file that is still growing must not break the request's length, and one
    that has shrunk is not a file to transcribe.
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
                f"`audio` became shorter while it was uploaded ({self._name}); nothing was submitted. "
                "Is it still being written?",
                argument="audio",
            )
        self.len -= len(chunk)
        return chunk
