"""Temporary files without a name: the system deletes them when the process ends, however it ends."""

import errno
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: BaseException | None) -> bool:
    """Tell whether an error, or what it came of, says that there is no space."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__context__
    return False


@dataclass(frozen=True, slots=True)
class Written:
    """
    What was written to a temporary file.

    :ivar size: in bytes
    :ivar open: opens it for reading from its beginning; may be called more than once
    """

    size: int
    open: Callable[[], BinaryIO]


@contextmanager
def temporary_file(folder: str | None, write: Callable[[BinaryIO], object]) -> Iterator[Written]:
    """
    Have a file written, which can be read until the context ends.

    :param folder: on whose file system it is. Default: the system's for temporary files
    :raises LaplasArgumentError: naming ``media.temporary_folder``, if no file can be made there
    :raises LaplasStorageError: if there is no space for it
    """
    try:
        raw = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - it is closed below.
    except OSError as error:
        raise LaplasArgumentError(
            f"No temporary file can be made: {error.strerror}. Name a folder that the worker can write to in "
            "`media.temporary_folder`.",
            argument="media.temporary_folder",
        ) from None
    # The buffer is not closed: where there is no space, it would fail once more.
    with raw:
        file = io.BufferedRandom(raw)
        try:
            write(file)
            file.flush()
        except Exception as error:
            # PyAV has errors of its own for what fails in writing.
            if not is_full(error):
                raise
            raise LaplasStorageError(
                "There is no space for the audio of a recording. Free some on the worker, or name another folder in "
                "`media.temporary_folder`."
            ) from None
        yield Written(raw.seek(0, os.SEEK_END), lambda: reopened(file))


def reopened(file: BinaryIO) -> BinaryIO:
    """Open a temporary file once more, to read it from its beginning, independently of all others that do."""
    file.flush()
    return io.BufferedReader(_Reader(file.fileno()))


class _Reader(io.RawIOBase):
    """A file that has no name to be opened by: the descriptor's copies share one position, so this has its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = os.dup(descriptor)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        content = os.pread(self._descriptor, len(buffer), self._at)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._at = begin[whence] + offset
        return self._at

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
