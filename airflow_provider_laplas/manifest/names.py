"""What a file's output is called: by its source alone, and so that no storage or file system mixes two of them up. Pure."""

import hashlib
import re
from pathlib import PurePosixPath

# One version of Unicode that every Python has: a name must not change with Python's.
from unicodedata import ucd_3_2_0 as unicode
from urllib.parse import unquote, urlsplit

from airflow_provider_laplas.audio.sources import is_web_url
from airflow_provider_laplas.captions.formats import FORMATS
from airflow_provider_laplas.signatures import unsigned, unsigned_by_version_1

LONGEST_NAME = 200
"""Bytes of a name, without the format's suffix: file systems take 255."""

LONGEST_PATH = 700
"""Bytes of a path below the folder: S3 and Google Cloud Storage take 1,024 for a whole key."""

_HARMFUL = re.compile(r'[\x00-\x1f\x7f\xad<>:"\\|?*#%\[\]{}^`]')
# Emoji are newer than that Unicode, and common in titles.
_NOT_ASCII = re.compile("[^\x00-\x7f\U0001f300-\U0001f64f\U0001f680-\U0001f6d2]")
# Windows keeps these for devices, with any suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)
_HASHED = re.compile(r"-[0-9a-f]{16}$")
_SUFFIXES = tuple(f".{name}" for name in FORMATS)
_MANIFEST = "manifest"
_LONGEST_SOURCE = 4096
_MOST_BYTES = 255


def output_name(source: str, folder: str | None) -> str:
    """
    Return the path of a source's transcript below the results folder. It depends on nothing else.

    A file below a folder keeps its path: ``talks/a.mp3`` becomes ``talks/a.mp3.json``. A hash is added to the name of

    * an item of a list: two of them may have the same name in different places;
    * a name that some storage or file system does not take as it is (characters, length, reserved names), or that could
      be taken for another output's: what is harmful in it becomes ``_``;
    * a name with upper case letters, or in another Unicode form than NFKC: elsewhere it may be the same as another. It
      could be kept only if ``talk.mp3`` got a hash because there may be a ``Talk.mp3``.

    So the outputs of two sources differ, also where case and Unicode forms do not count.

    :param source: a web URL, whose signature does not count, a path or a URI
    :param folder: the folder that was listed, which the source lies in; None for an item of a list
    """
    if folder is not None:
        path = _below(source, folder)
        return f"{path if _is_harmless(path) else _hashed(path, path)}.json"
    plain = unsigned(source)
    return f"{_hashed(_title(plain), plain)}.json"


def legacy_output_name(source: str, folder: str | None) -> str | None:
    """
    Return what version 0.1 called a source's transcript; None where the source could not have one of its own there.

    Paths of a list that differ after a ``#`` or ``?`` share a name: compare the source, too.
    """
    if folder is not None:
        path = _below(source, folder)
        # It has written elsewhere.
        return None if {"", ".", ".."} & set(path.split("/")) else f"{path}.json"
    plain = unsigned_by_version_1(source)
    if plain is None:
        return None
    stem = PurePosixPath(urlsplit(plain).path if "://" in plain else plain).name or "audio"
    return f"{stem}-{_digest(plain)[:10]}.json"


def may_be_called(source: str, output: str) -> bool:
    """
    Tell whether a source's transcript may have this path below a results folder, whichever folder was listed.

    A source that was redacted does not tell what its name was hashed from: then it is False.
    """
    if len(source) > _LONGEST_SOURCE:
        return False
    folders = (source[:at] for at, character in enumerate(source) if character == "/")
    return any(
        output in {output_name(source, folder), legacy_output_name(source, folder)}
        for folder in (None, *folders)
    )


def fits(output: str) -> bool:
    """Tell whether file systems take an output's name, which version 0.1 did not see to."""
    return all(len(segment.encode("utf-8", "surrogatepass")) <= _MOST_BYTES for segment in output.split("/"))


def _below(source: str, folder: str) -> str:
    return source.removeprefix(folder.rstrip("/") + "/")


def _title(plain: str) -> str:
    """Return the last part of a path, or of a URL's path, which can be read there, too."""
    path = plain
    if is_web_url(plain):
        path = plain.partition("://")[2].partition("?")[0].partition("/")[2]
    title = path.rstrip("/").rpartition("/")[2]
    return (unquote(title).replace("/", "_") if is_web_url(plain) else title) or "audio"


def _is_harmless(path: str) -> bool:
    *folders, name = path.split("/")
    return (
        _safe(name) == name
        and all(_safe_folder(folder) == folder for folder in folders)
        and _folded(path) == path
        and _HASHED.search(path) is None
        and path != _MANIFEST
        and len(path.encode()) <= LONGEST_PATH
    )


def _hashed(path: str, whole: str) -> str:
    """Return a path that can be read, with a hash of what it stands for."""
    *folders, name = path.split("/")
    safe = [_safe_folder(folder) for folder in folders]
    # A name's end says more than its middle, but its begin is what people sort by.
    safe.append(f"{_cut(_safe(unicode.normalize('NFC', name)), LONGEST_NAME - 17)}-{_digest(whole)[:16]}")
    while len("/".join(safe).encode()) > LONGEST_PATH:
        del safe[0]
    return "/".join(safe)


def _folded(text: str) -> str:
    # By way of upper case, as some file systems compare: Turkish has an i of its own, whose upper case is I.
    return unicode.normalize("NFKC", text).upper().casefold()


def _safe_folder(segment: str) -> str:
    # Where case does not count, a folder is listed as it was called first.
    text = _safe(_folded(segment))
    # There may be such an output, and no folder can lie there, too.
    return _safe(f"{_cut(text, LONGEST_NAME - 1)}_") if text.endswith(_SUFFIXES) else text


def _safe(segment: str) -> str:
    """Return the segment of a path, with what is harmful replaced."""
    text = _cut(_NOT_ASCII.sub(_visible, _HARMFUL.sub("_", segment)), LONGEST_NAME)
    if not text or text[0] in " .~" or _DEVICE.match(text):
        text = f"_{text[1:] if text[:1] in {' ', '.', '~'} else text}"
    return f"{text[:-1]}_" if text[-1] in " ." else text


def _visible(found: re.Match[str]) -> str:
    # Neither control, format and private characters nor unusual spaces.
    character = found.group()
    return "_" if unicode.category(character)[0] in "CZ" else character


def _cut(text: str, limit: int) -> str:
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _digest(text: str) -> str:
    # A local name can hold bytes that are no text.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
