"""A call's multipart body, written piece by piece: never whole in memory. Shared by the sync and the async path."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from requests_toolbelt import MultipartEncoder

from airflow_provider_laplas.api import Call, Upload
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError, LaplasTransportError
from airflow_provider_laplas.redaction import redact

CHUNK = 256 * 1024
"""Bytes that are read and sent at a time."""


class MultipartBody:
    """
    The body of a call with an upload; iterate over it once.

    :ivar content_type: the header's value, with the boundary
    :ivar len: bytes in all (the name is the one that requests looks for)
    :ivar failure: why the source could not be read to its end. A body that was cut short is no submission, whatever
        the HTTP library makes of it
    """

    def __init__(self, call: Call[Any]) -> None:
        if call.upload is None:
            raise ValueError("a call without an upload has no multipart body")
        self.failure: LaplasError | None = None
        self._file = call.upload.open()
        part = (call.upload.name, _Sized(self._file, call.upload), call.upload.content_type)
        self._encoder = MultipartEncoder(fields=[*call.form, (call.part, part)])
        self.content_type: str = self._encoder.content_type
        self.len: int = self._encoder.len

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.next_piece():
            yield chunk

    def next_piece(self) -> bytes:
        """Return the next piece, empty at the end."""
        try:
            return self._encoder.read(CHUNK)  # type: ignore[no-any-return]
        except LaplasError as error:
            self.failure = error
            raise
        except Exception as error:  # noqa: BLE001
            # Whatever a storage's library raises: the source failed, not the API.
            self.failure = LaplasTransportError(
                f"The audio could not be read to its end, so nothing was submitted: {redact(repr(error))}",
                sent=False,
            )
            raise self.failure from None

    def close(self) -> None:
        """Close the file that is uploaded."""
        self._file.close()


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
