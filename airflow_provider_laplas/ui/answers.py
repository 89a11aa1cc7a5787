"""Answers of the pages' application: JSON as ASCII, and errors in one sentence."""

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response


class AsciiJSON(Response):
    """JSON of ASCII characters only: what is not valid Unicode, as in names of files, gets through, too."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")


def not_there(sentence: str) -> HTTPException:
    """Return the error for what is not there, or not for this task."""
    return HTTPException(404, sentence)


def wrong(sentence: str) -> HTTPException:
    """Return the error for a request that asks for nothing in particular."""
    return HTTPException(400, sentence)
