"""What goes wrong in the local server.

    LocalServerError
    ├── ApiError        a request that is answered with an error body
    │   └── FieldError  400, and the field that is at fault
    ├── JobError        a generation that ends as `error`
    ├── Abandoned       a generation that nobody waits for any more, or a server that stops
    └── SetupError      a server that cannot start: weights, data folder, settings

Messages are shown to clients and written to the store: they are written here by hand and never quote a URL, a
key, or the message of another library's exception.
"""

import errno
import sqlite3

NO_ROOM = "The server has no room for a recording now"
SERVER_ERROR = "Something wrong with the server. Please, try again later."


class LocalServerError(Exception):
    """The base of every error in this package."""


class ApiError(LocalServerError):
    """A request that is answered with `status` (an HTTP status) and an error body that carries `message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class FieldError(ApiError):
    """A request body with something in `field` that this server cannot do; answered with 400."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(400, f"Body validation error: {field}: {reason}")
        self.field = field


class JobError(LocalServerError):
    """A generation that ends as `error`, with `name` and `message` in its reply.

    `status` is what the legacy blocking endpoint answers: 400 where the request is at fault, 500 where we
    are.
    """

    def __init__(self, name: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.status = status


class Abandoned(LocalServerError):  # noqa: N818 - not a fault: the work is no longer wanted.
    """The work on a generation is given up without a verdict."""


class SetupError(LocalServerError):
    """The server cannot do its work as it is set up; the message says what to change."""


def is_full(error: BaseException) -> bool:
    """Tell whether an error of the operating system or of SQLite means that the disk is full."""
    return (
        getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
        or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    )
