"""What the argument ``audio`` may be, and how it becomes something that can be submitted."""

import fnmatch
import math
import mimetypes
import os
import re
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.backends import FileInfo
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasConfigurationError, LaplasStorageError
from airflow_provider_laplas.redaction import redact_url, redacted
from airflow_provider_laplas.storage import Storage, is_local, local_path

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
"""Names of audio and video files, as they are looked for in a folder."""


def check_audio(audio: Any, argument: str = "audio") -> str:
    """
    Return ``audio`` as text, if it can name audio: an http(s) URL, a local path or an object-storage URI.

    Nothing is opened or asked for.

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
    """Tell whether the API fetches the audio itself, rather than being sent it."""
    return audio.lower().startswith(("http://", "https://"))


def open_upload(audio: str | os.PathLike[str], storage: Storage, info: FileInfo | None = None) -> Upload:
    """
    Prepare the upload of a local file or of an object; nothing but its size is read yet.

    :param audio: a local path, or a URI that the storage takes
    :param storage: where URIs lead
    :param info: what a listing said of it just now. Default: the storage is asked
    :raises LaplasArgumentError: naming ``audio``, where there is no such file or it is empty
    :raises LaplasStorageError: where its storage does not work
    """
    text = check_audio(audio)
    shown = redacted(text)
    try:
        found = info or storage.info(text)
    except FileNotFoundError:
        raise LaplasArgumentError(
            f"`audio` is not a file on this worker: {shown}", argument="audio"
        ) from None
    except LaplasConfigurationError as error:
        raise LaplasArgumentError(f"`audio` cannot be read: {error}", argument="audio") from None
    except LaplasStorageError as error:
        if error.permission is None:
            raise
        raise LaplasArgumentError(f"`audio` may not be read: {error}", argument="audio") from None
    if found.size == 0:
        raise LaplasArgumentError(f"`audio` is empty: {shown}", argument="audio")
    name = text.rpartition("/")[2]
    return Upload(
        name=name,
        size=found.size,
        content_type=_content_type(name),
        open=lambda: storage.open(text, found),
        version=found.version,
    )


def _content_type(name: str) -> str:
    # Not of the name as it is: guess_type parses it as a URL.
    return mimetypes.guess_type(f"audio{PurePosixPath(name).suffix}")[0] or "application/octet-stream"


def check_place(place: str) -> str:
    """
    Return a folder, or a glob (``*``, ``?``) in the last part of its path.

    :raises LaplasArgumentError: naming ``audio``
    """
    folder, _, last = place.rpartition("/")
    if _is_glob(folder) or "**" in last:
        raise LaplasArgumentError(
            f"`audio` may have * and ? in its last part only, and no **: {redacted(place)}. A folder alone is "
            "searched with all its folders.",
            argument="audio",
        )
    return place


def list_audio(place: str, storage: Storage, *, min_age: float = 0.0) -> tuple[str, dict[str, FileInfo]]:
    """
    List a folder, or what a glob matches in it; what has no audio's name is left out of a folder.

    One recursive listing tells all: no file is asked for.

    :param place: as for :func:`check_place`
    :param min_age: seconds; what was changed less than so long ago may still be being written, and is left out
    :return: the folder, and what was listed of each file by its path below it, in order
    :raises LaplasArgumentError: naming ``audio``, where it is one file, or a local folder that does not exist; in object
        storage that is the same as an empty one
    """
    folder, _, last = check_place(place).rpartition("/")
    pattern = last if _is_glob(last) else ""
    folder = (folder if pattern else place).rstrip("/") or "/"
    found = storage.list_files(folder)
    if not found:
        _check_folder(folder, storage)
    chosen = _matching(pattern) if pattern else _has_audio_name
    latest = time.time() - min_age if min_age else math.inf
    return folder, {
        name: info for name, info in sorted(found.items()) if chosen(name) and info.modified <= latest
    }


def _check_folder(folder: str, storage: Storage) -> None:
    if storage.exists(folder):
        raise LaplasArgumentError(
            f"`audio` is one file: give a list of one instead of {redacted(folder)}.", argument="audio"
        )
    if is_local(folder) and not Path(local_path(folder)).is_dir():
        raise LaplasArgumentError(
            f"`audio` is not a folder on this worker: {redacted(folder)}", argument="audio"
        )


def _matching(pattern: str) -> Callable[[str], bool]:
    # Only * and ? are for patterns; a bracket is a part of a name.
    matches = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
    return lambda name: "/" not in name and matches(name) is not None


def _has_audio_name(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES


def open_source(audio: Any, storage: Storage, info: FileInfo | None = None) -> str | Upload:
    """
    Return what :func:`~airflow_provider_laplas.api.calls.submit` takes: a web URL as it is, all else as an upload.

    :param info: what a listing said of a file just now. Default: the storage is asked
    :raises LaplasArgumentError: naming ``audio``
    :raises LaplasStorageError: where its storage does not work
    """
    if isinstance(audio, Upload):
        return audio
    audio = check_audio(audio)
    return audio if is_web_url(audio) else open_upload(audio, storage, info)


def _is_glob(text: str) -> bool:
    return "*" in text or "?" in text
