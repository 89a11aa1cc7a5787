"""The argument ``audio``: what is valid, and how it is prepared for submission."""

import fnmatch
import hashlib
import io
import math
import mimetypes
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.backends import READ_AT_ONCE, FileInfo
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasConfigurationError, LaplasStorageError
from airflow_provider_laplas.redaction import holds_password, redacted
from airflow_provider_laplas.storage import Storage, is_local, local_path
from airflow_provider_laplas.transcript.values import valid_text

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
        if re.match(r"https?:/[^/]", audio, re.IGNORECASE):
            raise LaplasArgumentError(
                f"`{argument}` is a URL that was made a Path, which takes a slash away: give a string. ({redacted(audio)})",
                argument=argument,
            )
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
    # Templates leave white space around a URL; in the name of a file it has a meaning.
    text: str = audio.strip() if is_web_url(audio.strip()) else audio
    if is_web_url(text):
        try:
            host = urlsplit(text).hostname
        except ValueError:
            host = None
        if not host or any(character.isspace() for character in text) or valid_text(text) != text:
            raise LaplasArgumentError(
                f"`{argument}` is not a usable URL: {redacted(text)}", argument=argument
            )
    return text


def is_web_url(audio: str) -> bool:
    """Return whether ``audio`` is an http(s) URL, which the API fetches itself."""
    return audio.lower().startswith(("http://", "https://"))


def open_upload(audio: str | os.PathLike[str], storage: Storage, info: FileInfo | None = None) -> Upload:
    """
    Prepare the upload of a local file or an object. Only its metadata is read.

    :param audio: a local path, or a URI that ``storage`` supports
    :param storage: opens URIs
    :param info: from a listing made just now. Default: the storage is asked
    :raises LaplasArgumentError: naming ``audio``, if the file does not exist or is empty
    :raises LaplasStorageError: if its storage does not work
    """
    text = check_audio(audio)
    shown = redacted(text)
    try:
        found = info or storage.info(text)
    except FileNotFoundError:
        raise _not_there(text) from None
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
        # A name on a disk need not be UTF-8, but one in a form must be.
        name=valid_text(name),
        size=found.size,
        content_type=_content_type(name),
        open=lambda: storage.open(text, found),
        version=found.version,
        etag=found.etag,
    )


def _not_there(audio: str) -> LaplasArgumentError:
    shown = redacted(audio)
    if is_local(audio) and Path(local_path(audio)).is_dir():
        return LaplasArgumentError(
            f"`audio` is a folder, where a file is wanted: {shown}. Give its files; a batch takes folders.",
            argument="audio",
        )
    return LaplasArgumentError(f"`audio` is a file that does not exist here: {shown}", argument="audio")


def _content_type(name: str) -> str:
    # Not of the name as it is: guess_type parses it as a URL.
    return mimetypes.guess_type(f"audio{PurePosixPath(name).suffix}")[0] or "application/octet-stream"


def check_place(place: str) -> str:
    """
    Return ``place`` if it is a folder, or a path with a glob (``*``, ``?``) in its last part.

    :raises LaplasArgumentError: naming ``audio``
    """
    if holds_password(place):
        raise LaplasArgumentError(
            "`audio` must not contain a password: name the storage's connection, as in s3://connection_id@bucket/folder.",
            argument="audio",
        )
    folder, _, last = place.rpartition("/")
    if _is_glob(folder) or "**" in last:
        raise LaplasArgumentError(
            f"`audio` may have * and ? in its last part only, and no **: {redacted(place)}. To search "
            "subfolders too, give a folder without a glob.",
            argument="audio",
        )
    return place


def list_audio(place: str, storage: Storage, *, min_age: float = 0.0) -> tuple[str, dict[str, FileInfo]]:
    """
    List the audio files in a folder and its subfolders, or all files that a glob matches.

    It takes one listing, and no request for a single file.

    :param place: as for :func:`check_place`
    :param min_age: seconds; files modified more recently are left out, as they may still be being written
    :return: the folder, and the information on each file by its path below the folder, sorted
    :raises LaplasArgumentError: naming ``audio``, if it is a single file or a local folder that does not exist; in
        object storage, a missing folder is the same as an empty one
    """
    folder, _, last = check_place(place).rpartition("/")
    pattern = last if _is_glob(last) else ""
    folder = (folder if pattern else place).rstrip("/") or "/"
    found = storage.list_files(folder, recursive=not pattern)
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
    if not storage.has_root(folder):
        raise LaplasArgumentError(
            f"`audio` is in a bucket that does not exist: {redacted(folder)}", argument="audio"
        )
    if is_local(folder) and not Path(local_path(folder)).is_dir():
        raise LaplasArgumentError(
            f"`audio` is a folder that does not exist here: {redacted(folder)}", argument="audio"
        )


def _matching(pattern: str) -> Callable[[str], bool]:
    # Only * and ? are for patterns; a bracket is a part of a name.
    matches = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
    return lambda name: "/" not in name and matches(name) is not None


def _has_audio_name(name: str) -> bool:
    path = PurePosixPath(name)
    # A Mac leaves what it knows of x.mp3 in ._x.mp3.
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith("._")


def open_source(audio: Any, storage: Storage, info: FileInfo | None = None) -> str | Upload:
    """
    Return the argument for :func:`~airflow_provider_laplas.api.calls.submit`: a web URL unchanged, else an upload.

    :param info: what a listing said of a file just now. Default: the storage is asked
    :raises LaplasArgumentError: naming ``audio``
    :raises LaplasStorageError: where its storage does not work
    """
    if isinstance(audio, Upload):
        return audio
    audio = check_audio(audio)
    return audio if is_web_url(audio) else open_upload(audio, storage, info)


def open_listed(audio: str, fingerprint: str, storage: Storage) -> Upload:
    """
    Return the upload of a file that was listed earlier, as it is now, with one request if it is small.

    :param fingerprint: what :func:`~airflow_provider_laplas.audio.fingerprint.fingerprint` made of it then
    :raises LaplasArgumentError: naming ``audio``, if it is gone, empty or may not be read
    :raises LaplasStorageError: if its storage does not work
    """
    size, _, version = fingerprint.partition("-")[2].partition("-")
    if is_local(audio) or not size.isdigit() or int(size) > READ_AT_ONCE:
        return open_upload(audio, storage)
    upload = open_upload(audio, storage, FileInfo(int(size), 0.0, version))
    with _opened(upload, audio) as file:
        content = file.read()
    if len(content) != upload.size or hashlib.md5(content, usedforsecurity=False).hexdigest() not in version:
        # It may have been replaced since. Where the version is no hash of the content, that is asked.
        upload = open_upload(audio, storage)
        if upload.size != len(content) or upload.version != version:
            return upload
    return replace(upload, open=lambda: io.BytesIO(content))


def _opened(upload: Upload, audio: str) -> BinaryIO:
    try:
        return upload.open()
    except FileNotFoundError:
        raise _not_there(audio) from None


def _is_glob(text: str) -> bool:
    return "*" in text or "?" in text
