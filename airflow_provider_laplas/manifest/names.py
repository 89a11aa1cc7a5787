"""What a file's output is called: by its source alone, and so that no storage or file system mixes two of them up. Pure."""

import hashlib
import re
import unicodedata
from urllib.parse import urlsplit

from airflow_provider_laplas.audio.sources import is_web_url
from airflow_provider_laplas.redaction import unsigned

LONGEST_NAME = 200
"""Bytes of a name, without the format's suffix: file systems take 255."""

LONGEST_PATH = 700
"""Bytes of a path below the folder: S3 and Google Cloud Storage take 1,024 for a whole key."""

_HARMFUL = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*#%\[\]{}^`]')
# Windows keeps these for devices, with any suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
_HASHED = re.compile(r"-[0-9a-f]{16}$")
_MANIFEST = "manifest"


def output_name(source: str, folder: str | None) -> str:
    """
    Return the path of a source's transcript below the results folder. It depends on nothing else.

    A file below a folder keeps its path: ``talks/a.mp3`` becomes ``talks/a.mp3.json``. A hash is added to the name of

    * an item of a list: two of them may have the same name in different places;
    * a name that some storage or file system does not take as it is (characters, length, reserved names): what is
      harmful in it becomes ``_``;
    * a name with upper case letters, or in another Unicode form than NFC: elsewhere it may be the same as another.

    So the outputs of two sources differ, also where case and Unicode forms do not count.

    :param source: a web URL, whose signature does not count, a path or a URI
    :param folder: the folder that was listed, which the source lies in; None for an item of a list
    """
    if folder is not None:
        path = source.removeprefix(folder.rstrip("/") + "/")
        return f"{path if _is_harmless(path) else _hashed(path, path)}.json"
    plain = unsigned(source)
    path = urlsplit(plain).path if is_web_url(plain) else plain
    return f"{_hashed(path.rstrip('/').rpartition('/')[2] or 'audio', plain)}.json"


def legacy_output_name(source: str, folder: str | None) -> str:
    """Return what version 0.1 called a source's transcript."""
    if folder is not None:
        return f"{source.removeprefix(folder.rstrip('/') + '/')}.json"
    plain = unsigned(source)
    stem = (urlsplit(plain).path if "://" in plain else plain).rstrip("/").rpartition("/")[2] or "audio"
    return f"{stem}-{_digest(plain)[:10]}.json"


def _is_harmless(path: str) -> bool:
    segments = path.split("/")
    return (
        all(_safe(segment) == segment for segment in segments)
        and unicodedata.normalize("NFC", path).casefold() == path
        and _HASHED.search(path) is None
        and path != _MANIFEST
        and len(path.encode()) <= LONGEST_PATH
    )


def _hashed(path: str, whole: str) -> str:
    """Return a path that can be read, with a hash of what it stands for."""
    safe = [_safe(segment) for segment in path.split("/")]
    while len("/".join(safe).encode()) > LONGEST_PATH and len(safe) > 1:
        del safe[0]
    # A name's end says more than its middle, but its begin is what people sort by.
    safe[-1] = f"{_cut(safe[-1], LONGEST_NAME - 17)}-{_digest(whole)[:16]}"
    return "/".join(safe)


def _safe(segment: str) -> str:
    """Return the segment of a path, with what is harmful replaced."""
    text = "".join(c if c.isprintable() else "_" for c in _HARMFUL.sub("_", segment))
    text = _cut(text, LONGEST_NAME)
    if not text or text[0] in " .~" or _DEVICE.match(text):
        text = f"_{text[1:] if text[:1] in {' ', '.', '~'} else text}"
    return f"{text[:-1]}_" if text[-1] in " ." else text


def _cut(text: str, limit: int) -> str:
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _digest(text: str) -> str:
    # A local name can hold bytes that are no text.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
