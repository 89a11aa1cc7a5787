"""The stored reply of a task or of a batch's file: as a page, or as a file to download."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from airflow_provider_laplas.captions.formats import FORMATS
from airflow_provider_laplas.captions.making import write_formats
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import id_of, unpack_xcom
from airflow_provider_laplas.results.output import Output
from airflow_provider_laplas.storage import Storage
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.ui.answers import not_there, wrong
from airflow_provider_laplas.ui.audio import etag_of
from airflow_provider_laplas.ui.server import Value

LARGEST = 64 * 1024 * 1024
"""Bytes of a reply that is shown, as many as the client takes. An XCom of a few kB, which may be edited, unpacks to any number."""

_TYPES = {"json": "application/json", "srt": "application/x-subrip", "vtt": "text/vtt", "txt": "text/plain"}


@dataclass(frozen=True, slots=True)
class StoredReply:
    """
    A reply where it is stored.

    :ivar etag: changes when the reply does
    :ivar name: for a file that is made of it
    """

    etag: str
    name: str
    _read: Callable[[], str] = field(repr=False)

    @classmethod
    def in_file(cls, uri: str, storage: Storage) -> "StoredReply":
        """
        Return the one in a file. Blocking.

        :raises HTTPException: 404, if there is none, or it is too large
        """
        try:
            info = storage.info(uri)
        except FileNotFoundError:
            raise not_there(f"There is no transcript at {redacted(uri)} (any more).") from None
        except LaplasError as error:
            raise not_there(str(error)) from None
        if info.size > LARGEST:
            raise not_there(f"{redacted(uri)} is larger than {LARGEST} bytes.")
        return cls(etag_of(info), str(id_of(uri, {})), lambda: storage.read_text(uri))

    @classmethod
    def in_xcom(cls, found: Value | None, name: str) -> "StoredReply":
        """
        Return the one in an XCom.

        :raises HTTPException: 404, if there is none
        """
        if found is None or not isinstance(found.value, Mapping):
            raise not_there("The transcript is no longer in XCom: the task was cleared or retried.")
        value = found.value
        return cls(f'"{found.pushed_at:.6f}"', name, lambda: unpack_xcom(value, LARGEST))

    def transcript(self) -> Transcript:
        """
        Read it. Blocking.

        :raises HTTPException: 404, if it cannot be read
        """
        try:
            return Transcript.from_json(self._read())
        except FileNotFoundError:
            raise not_there("The transcript is no longer there.") from None
        except LaplasError as error:
            raise not_there(str(error)) from None
        except (KeyError, TypeError, ValueError, EOFError, OSError):
            raise not_there("What is stored is not a transcript.") from None

    def download(self, wanted: str, limits: Any) -> Response:
        """
        Return it as a file to download, made now. Blocking.

        :param wanted: a format
        :param limits: the task's limits of captions, as they were rendered
        :raises HTTPException: 400, if there is no such format; 404, if it cannot be made of this transcript
        """
        if wanted not in FORMATS:
            raise wrong(f"There is no format of that name: {', '.join(FORMATS)} are.")
        transcript = self.transcript()
        if wanted == "json":
            text = json.dumps(transcript.raw or transcript.to_dict())
        else:
            try:
                text = write_formats(transcript, [wanted], _limits(limits))[0][wanted]
            except LaplasError as error:
                raise not_there(str(error)) from None
        return Response(
            text.encode("utf-8", "replace"),
            media_type=_TYPES[wanted],
            headers={"Content-Disposition": attachment(f"{self.name}.{wanted}")},
        )


def attachment(name: str) -> str:
    """Return the header Content-Disposition of a file that is saved under a name, of which nothing is taken for more."""
    shown = "".join(c for c in name if unicodedata.category(c)[0] != "C" and c not in '/\\:*?"<>|')
    shown = shown.lstrip(".")[-_LONGEST_NAME:] or "transcript"
    plain = re.sub(r"[^\w.-]", "_", shown, flags=re.ASCII)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(shown, safe='')}"


_LONGEST_NAME = 120


def _limits(rendered: Any) -> Any:
    try:
        return Output.read(["json"], rendered, None).captions
    except LaplasError:
        # Airflow shows them otherwise than they are written.
        return None
