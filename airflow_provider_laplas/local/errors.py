"""The errors of the local server.

    LocalServerError
    ├── ApiError        answered with an error body
    │   └── FieldError  400, with the field at fault
    ├── JobError        a generation that ends as `error`
    ├── Abandoned       a generation is no longer wanted, or the server stops
    └── SetupError      the server cannot start: weights, data folder, settings

Messages are sent to clients and stored, so they never quote a URL, a key or another library's exception.
"""

import errno
import sqlite3

NO_ROOM = "The server has no room for another recording right now"
SERVER_ERROR = "Something wrong with the server. Please, try again later."


class LocalServerError(Exception):
    """The base of every error in this package."""


class ApiError(LocalServerError):
    """A request that is answered with the HTTP status `status` and an error body with `message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class FieldError(ApiError):
    """A request body with an invalid or unsupported `field`; answered with 400."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(400, f"Body validation error: {field}: {reason}")
        self.field = field


class JobError(LocalServerError):
    """A generation that ends as `error`, with `name` and `message` in its reply.

    `status` is the HTTP status for the legacy blocking endpoint: 400 if the request is at fault, 500 if the
    server is.
    """

    def __init__(self, name: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.status = status


class Abandoned(LocalServerError):  # noqa: N818 - not an error: the work is no longer wanted.
    """The work on a generation is abandoned without a result."""


class SetupError(LocalServerError):
    """The server cannot run with this setup; the message says what to change."""


def is_full(error: BaseException) -> bool:
    """Return whether an error of the operating system or SQLite means that the disk is full."""
    return (
        getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
        or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    )
