"""The argument ``audio``: what is valid, and how it is prepared for submission."""

import mimetypes
import os
import time
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from airflow_provider_laplas.api.calls import Upload, unreadable
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import redact, redact_url, redacted
from airflow_provider_laplas.storage import Storage, is_local

AUDIO_SUFFIXES = frozenset(
    [
        ".aac",
        ".aif",
        ".aiff",
        ".amr",
        ".flac",
        ".m4a",
        ".m4b",
        ".mka",
        ".mkv",
        ".mov",
        ".mp2",
        ".mp3",
        ".mp4",
        ".mpeg",
        ".mpga",
        ".oga",
        ".ogg",
        ".opus",
        ".wav",
        ".webm",
        ".wma",
    ]
)
"""Suffixes of the audio and video files that are listed in a folder."""


def check_audio(audio: Any, argument: str = "audio") -> str:
    """
    Return ``audio`` as a string if it is an http(s) URL, a local path or an object-storage URI.

    Nothing is opened or requested.

    :raises LaplasArgumentError: naming ``argument``
    """
    if isinstance(audio, os.PathLike) or hasattr(audio, "protocol"):
        audio = str(audio)
    if not isinstance(audio, str):
        raise LaplasArgumentError(
            f"`{argument}` must be an http(s) URL, a path or an object-storage URI, not {type(audio).__name__}.",
            argument=argument,
        )
    if not audio.strip() or audio == "None":
        raise LaplasArgumentError(
            f"`{argument}` is {audio!r}: it must be an http(s) URL, a path or an object-storage URI.",
            argument=argument,
        )
    if is_web_url(audio):
        try:
            host = urlsplit(audio).hostname
        except ValueError:
            host = None
        if not host or any(character.isspace() for character in audio):
            raise LaplasArgumentError(
                f"`{argument}` is not a usable URL: {redact_url(audio)}", argument=argument
            )
    return audio


def is_web_url(audio: str) -> bool:
    """Return whether ``audio`` is an http(s) URL, which the API fetches itself."""
    return audio.lower().startswith(("http://", "https://"))


def open_upload(audio: str | os.PathLike[str], storage: Storage) -> Upload:
    """
    Prepare the upload of a local file or an object. Only its metadata is read.

    :param audio: a local path, or a URI that ``storage`` supports
    :param storage: opens URIs
    :raises LaplasArgumentError: naming ``audio``, if the file does not exist or is empty
    """
    text = check_audio(audio)
    shown = redacted(text)
    try:
        path = storage.path(text) if "://" in text else Path(text)
        found = path.stat() if path.is_file() else None
    except FileNotFoundError:
        found = None
    except PermissionError:
        raise LaplasArgumentError(
            f"`audio` cannot be read, permission denied: {shown}", argument="audio"
        ) from None
    except (ImportError, ValueError) as error:
        raise LaplasArgumentError(
            f"`audio` is in a storage that cannot be read here: {shown} ({redact(str(error))}). Install its "
            "provider, such as apache-airflow-providers-amazon[s3fs] for s3:// or apache-airflow-providers-google for "
            "gs://.",
            argument="audio",
        ) from None
    except Exception as error:  # noqa: BLE001
        raise unreadable(error) from None
    if found is None:
        raise LaplasArgumentError(f"`audio` is not a file on this worker: {shown}", argument="audio")
    size = int(found.st_size)
    if size == 0:
        raise LaplasArgumentError(f"`audio` is empty: {shown}", argument="audio")
    return Upload(
        name=path.name,
        size=size,
        content_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        open=lambda: _open(path),
        version=_version(found),
    )


def check_place(place: str) -> str:
    """
    Return ``place`` if it is a folder, or a path with a glob (``*``, ``?``) in its last part.

    :raises LaplasArgumentError: naming ``audio``
    """
    folder, _, last = place.rpartition("/")
    if _is_glob(folder) or "**" in last:
        raise LaplasArgumentError(
            f"`audio` may have * and ? in its last part only, and no **: {redacted(place)}. To search "
            "subfolders too, give a folder without a glob.",
            argument="audio",
        )
    return place


def list_audio(place: str, storage: Storage, *, min_age: float = 0.0) -> tuple[str, list[str]]:
    """
    List the audio files in a folder and its subfolders, or all files that a glob in object storage matches.

    :param place: as for :func:`check_place`
    :param min_age: seconds; files modified more recently are left out, as they may still be being written
    :return: the folder to which the outputs' paths are relative, and the files' URIs, sorted
    :raises LaplasArgumentError: naming ``audio``, if it is a single file or a local folder that does not exist; in
        object storage, a missing folder is the same as an empty one
    """
    folder, _, last = check_place(place).rpartition("/")
    pattern = last if _is_glob(last) else ""
    folder = folder if pattern else place.rstrip("/")
    root = storage.path(folder)
    if not pattern and root.is_file():
        raise LaplasArgumentError(
            f"`audio` is one file: give a list of one instead of {redacted(place)}.", argument="audio"
        )
    if is_local(root) and not root.is_dir():
        raise LaplasArgumentError(
            f"`audio` is not a folder on this worker: {redacted(folder)}", argument="audio"
        )
    paths = root.glob(pattern) if pattern else root.rglob("*")
    found = [path for path in paths if pattern or path.suffix.lower() in AUDIO_SUFFIXES]
    files = [path for path in found if path.is_file()]
    if min_age:
        latest = time.time() - min_age
        files = [path for path in files if path.fs.modified(path.path).timestamp() <= latest]
    return str(root), sorted(map(str, files))


def open_source(audio: Any, storage: Storage) -> str | Upload:
    """
    Return the argument for :func:`~airflow_provider_laplas.api.calls.submit`: a web URL unchanged, else an upload.

    :raises LaplasArgumentError: naming ``audio``
    """
    if isinstance(audio, Upload):
        return audio
    audio = check_audio(audio)
    return audio if is_web_url(audio) else open_upload(audio, storage)


def _is_glob(text: str) -> bool:
    return "*" in text or "?" in text


def _version(found: Any) -> str:
    """Return an object's ETag or MD5 hash if its storage has one, else the modification time."""
    if isinstance(found, dict):
        for name in ("ETag", "etag", "md5Hash"):
            if found.get(name):
                return str(found[name])
    return str(getattr(found, "st_mtime_ns", None) or found.st_mtime)


def _open(path: Any) -> BinaryIO:
    file: BinaryIO = path.open("rb")
    return file
