"""
What is sent: each request of the API, and how its answer is read.

A :class:`Call` is a request without a socket; whoever has one (the client) carries it to the API and the answer back.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, Literal, TypeVar
from urllib.parse import quote

from airflow_provider_laplas.api.options import DEFAULT_MODEL
from airflow_provider_laplas.api.responses import Generation, Response, Secrets, decode_generation, read
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasMalformedReplyError,
    LaplasTransportError,
)
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.transcript.model import Transcript

T = TypeVar("T")

PART_NAMES = ("audio", "file")
"""The upload's part name: the documented one, then the one that some deployments want (observed)."""

_MAX_ID_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """
    Audio that is streamed to the API.

    :ivar name: the file's name, without folders
    :ivar size: in bytes
    :ivar content_type: a MIME type
    :ivar open: opens it for reading, from the start, as often as it is called
    :ivar version: changes when the audio does: an ETag, or a modification time
    """

    name: str
    size: int
    content_type: str
    open: Callable[[], BinaryIO] = field(repr=False)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    One request and how to read its answer.

    :ivar path: below the base URL, quoted
    :ivar decode: the JSON object of a successful answer to a value, which must not show the secrets
    :ivar json: a JSON body
    :ivar form: form fields beside ``upload``
    :ivar part: the name of the upload's part
    :ivar generation_id: the generation that it asks for, where it does
    :ivar timeout: seconds for the reply, where the connection's setting does not fit
    """

    method: Literal["GET", "POST"]
    path: str
    decode: Callable[[Mapping[str, Any], Secrets], T] = field(repr=False)
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    upload: Upload | None = None
    part: str = PART_NAMES[0]
    generation_id: str | None = None
    timeout: float | None = None

    @property
    def submits(self) -> bool:
        """Whether the call costs money where the server takes it."""
        return self.method == "POST"

    def read(self, response: Response, *, secrets: Secrets = ()) -> T:
        """
        Make a value or a typed error of the answer; see :func:`~airflow_provider_laplas.api.responses.read`.

        :raises LaplasError: the typed error
        """
        return read(response, self.decode, generation_id=self.generation_id, secrets=secrets)


def submit(
    source: str | Upload,
    *,
    model: str = DEFAULT_MODEL,
    options: Mapping[str, Any] | None = None,
    part: str = PART_NAMES[0],
) -> Call[str]:
    """
    Submit audio; the answer is the generation id.

    :param source: an http(s) URL that the API fetches, or an upload
    :param part: the name of the upload's part
    """
    return _post("/stt/create", _decode_submission, source, model, options, part)


def transcribe(
    source: str | Upload,
    *,
    model: str = DEFAULT_MODEL,
    options: Mapping[str, Any] | None = None,
    part: str = PART_NAMES[0],
    timeout: float | None = None,
) -> Call[Transcript]:
    """
    Do it in one call, the legacy way, which the API replaced because it times out on longer audio.

    :param timeout: seconds for the answer, which comes when the transcript is done
    """
    return _post("/stt", _decode_transcript, source, model, options, part, timeout=timeout)


def fetch(generation_id: str) -> Call[Generation]:
    """
    Ask for a generation.

    :raises LaplasArgumentError: where the id cannot be one
    """
    generation_id = check_generation_id(generation_id)
    return Call(
        "GET",
        f"/stt/{quote(generation_id, safe='')}",
        lambda body, secrets: decode_generation(generation_id, body, secrets),
        generation_id=generation_id,
    )


def check_generation_id(generation_id: Any) -> str:
    """
    Return the id, if it can be one.

    The text ``None`` is what a template makes of an XCom that is not there, so it is refused as well; and dots
    alone would name another path. Everything else is quoted into the path, so it cannot change the request.

    :raises LaplasArgumentError: naming ``generation_id``
    """
    if (
        not isinstance(generation_id, str)
        or not generation_id.strip()
        or not generation_id.isprintable()
        or generation_id == "None"
        or not generation_id.strip(".")
        or len(generation_id) > _MAX_ID_LENGTH
    ):
        shown = redact(repr(generation_id), limit=60)
        raise LaplasArgumentError(
            f"`generation_id` must be the id that a submission returned, not {shown}. "
            "Did the submitting task push it to XCom?",
            argument="generation_id",
        )
    return generation_id


def form_fields(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Write values as form fields: booleans as ``true`` and ``false``, a list as one field for each of its items."""
    for name, value in values.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            yield name, item if isinstance(item, str) else json.dumps(item)


def _post(
    path: str,
    decode: Callable[[Mapping[str, Any], Secrets], T],
    source: str | Upload,
    model: str,
    options: Mapping[str, Any] | None,
    part: str,
    *,
    timeout: float | None = None,
) -> Call[T]:
    values = {"model": model, **(options or {})}
    if isinstance(source, str):
        return Call("POST", path, decode, json={**values, "url": source}, timeout=timeout)
    form = tuple(form_fields(values))
    return Call("POST", path, decode, form=form, upload=source, part=part, timeout=timeout)


def _decode_transcript(body: Mapping[str, Any], secrets: Secrets) -> Transcript:  # noqa: ARG001
    return Transcript.from_reply(body)


def _decode_submission(body: Mapping[str, Any], secrets: Secrets) -> str:  # noqa: ARG001
    for key in ("generation_id", "id"):
        if isinstance(body.get(key), str):
            try:
                return check_generation_id(body[key])
            except LaplasArgumentError:
                continue
    raise LaplasMalformedReplyError("The answer to the submission holds no generation id.", status=200)


def unreadable(error: Exception) -> LaplasTransportError:
    """Return the error for audio that its storage does not give: whatever its library raises, the API is not to blame."""
    cause = redact(f"{type(error).__name__}: {error}")
    return LaplasTransportError(
        f"The audio could not be read, so nothing was submitted: {cause}", sent=False, cause=cause
    )
