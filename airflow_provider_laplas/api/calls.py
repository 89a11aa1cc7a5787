"""
The API's requests, and how each response is read.

A :class:`Call` only describes a request; the client sends it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Generic, Literal, TypeVar
from urllib.parse import quote

from airflow_provider_laplas.api.options import DEFAULT_MODEL
from airflow_provider_laplas.api.responses import Generation, Response, decode_generation, read
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasMalformedReplyError,
    LaplasTransportError,
)
from airflow_provider_laplas.known_secrets import NO_SECRETS, Secrets
from airflow_provider_laplas.redaction import redact, redacted, shown
from airflow_provider_laplas.transcript.model import Transcript

T = TypeVar("T")

PART_NAMES = ("audio", "file")
"""Names for the upload's form part: the documented one, then the one that some deployments expect (observed)."""

_MAX_ID_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """
    Audio to stream to the API.

    :ivar name: the file's name, without folders
    :ivar size: in bytes
    :ivar content_type: a MIME type
    :ivar open: opens the audio for reading from the start; may be called more than once
    :ivar version: changes when the audio does
    :ivar etag: what version 0.1 took for that
    """

    name: str
    size: int
    content_type: str
    open: Callable[[], BinaryIO] = field(repr=False)
    version: str = ""
    etag: str = ""


@dataclass(slots=True)
class Delivery:
    """
    How far a submission came.

    :ivar before: called when the connection stands and the headers are sent, before the first byte of the body; if it
        raises, nothing was submitted. Blocking. Called again for each repetition
    :ivar whole: whether the last byte of a request was handed over for sending; until then nothing can be submitted
    """

    before: Callable[[], object] = field(repr=False)
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    One request and how to read its response.

    :ivar path: relative to the base URL, percent-encoded
    :ivar decode: turns the JSON object of a successful response into a value, which must not expose the secrets
    :ivar json: a JSON body
    :ivar form: form fields to send with ``upload``
    :ivar part: the name of the upload's form part
    :ivar generation_id: the generation that the request fetches, if any
    :ivar timeout: seconds to wait for the reply, if other than the connection's setting
    :ivar delivery: is told how far the request came, if somebody wants to know
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
    delivery: Delivery | None = field(default=None, repr=False, compare=False)

    @property
    def submits(self) -> bool:
        """Whether the call is billed if the server accepts it."""
        return self.method == "POST"

    @property
    def secrets(self) -> Secrets:
        """What is secret in the request: ``user:password@`` and the query of its URL, and what its options hold."""
        return Secrets.of_values(self.json or dict(self.form))

    def read(self, response: Response, *, secrets: Secrets = NO_SECRETS) -> T:
        """
        Return the response's value; see :func:`~airflow_provider_laplas.api.responses.read`.

        :param secrets: what is secret beside the call's own :attr:`secrets`
        :raises LaplasError: the typed error
        """
        return read(response, self.decode, generation_id=self.generation_id, secrets=secrets + self.secrets)


def submit(
    source: str | Upload,
    *,
    model: str = DEFAULT_MODEL,
    options: Mapping[str, Any] | None = None,
    part: str = PART_NAMES[0],
    delivery: Delivery | None = None,
) -> Call[str]:
    """
    Submit audio; the result is the generation id.

    :param source: an http(s) URL that the API fetches, or an upload
    :param part: the name of the upload's form part
    :param delivery: is told how far the request came
    """
    return replace(_post("/stt/create", _decode_submission, source, model, options, part), delivery=delivery)


def transcribe(
    source: str | Upload,
    *,
    model: str = DEFAULT_MODEL,
    options: Mapping[str, Any] | None = None,
    part: str = PART_NAMES[0],
    timeout: float | None = None,
) -> Call[Transcript]:
    """
    Transcribe in one call, through the legacy endpoint, which times out on longer audio.

    :param timeout: seconds to wait for the response, which is sent once the transcript is complete
    """
    return _post("/stt", _decode_transcript, source, model, options, part, timeout=timeout)


def fetch(generation_id: str) -> Call[Generation]:
    """
    Fetch a generation.

    :raises LaplasArgumentError: if the id is invalid
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
    Return the id if it is valid.

    The text ``None`` is rejected because a template renders a missing XCom as that, and an id of dots alone because it
    would change the request's path. Everything else is percent-encoded.

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
        raise LaplasArgumentError(
            f"`generation_id` must be the id that a submission returned, not {shown(generation_id, limit=60)}. "
            "Did the submitting task push it to XCom?",
            argument="generation_id",
        )
    return generation_id


def form_fields(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Encode values as form fields: booleans as ``true`` and ``false``, a list as one field per item."""
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


def _decode_submission(body: Mapping[str, Any], secrets: Secrets) -> str:
    for key in ("generation_id", "id"):
        try:
            found = check_generation_id(body.get(key))
        except LaplasArgumentError:
            continue
        # An id is shown everywhere, so one that may not be shown is none: a server has repeated what it was sent.
        if not secrets.are_in(found) and redacted(found) == found:
            return found
    raise LaplasMalformedReplyError("The response to the submission contains no generation id.", status=200)


def unreadable(error: Exception) -> LaplasTransportError:
    """Return the error for audio that could not be read, whichever exception its storage library raised."""
    cause = redact(f"{type(error).__name__}: {error}")
    return LaplasTransportError(
        f"The audio could not be read, so nothing was submitted: {cause}", sent=False, cause=cause
    )
