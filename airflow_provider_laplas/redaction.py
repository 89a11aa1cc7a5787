"""What may be shown of addresses, values and foreign texts: all ways out of the package go through here. Pure."""

import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from functools import cached_property
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from airflow_provider_laplas.known_secrets import MASK, NO_SECRETS, RUN, Secrets
from airflow_provider_laplas.signatures import SECRET_NAME, names_a_secret

T = TypeVar("T")

BOUND = 4096
"""
Characters of a foreign text that are looked at; what is shown of it is a tenth of that.

Masking them takes milliseconds, which an event loop can do without; a reply may have millions.
"""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

# Parts of URLs as they are written in URLs, in JSON and in HTML. All repetitions have bounds, so that no text takes
# more than its length times a constant.
_COLON = r"(?::|%(?:25){0,4}3a|\\{1,8}u003a|&#(?:58|x3a);)"
_SLASH = r"(?:/|\\{1,8}(?:u002f|/)?|%(?:25){0,4}(?:2f|5c)|&#(?:47|x2f);)"
_EQUALS = r"(?:=|%(?:25){0,4}3d|\\{1,8}u003d|&#(?:61|x3d);)"
_QUESTION = r"(?:\?|%(?:25){0,4}3f|\\{1,8}u003f|&#(?:63|x3f);)"
_AT = r"(?:@|%(?:25){0,4}40|\\{1,8}u0040|&#(?:64|x40);)"
_QUOTE = r"(?:\\{0,8}[\"']|&(?:quot|apos|#34|#39|#x22|#x27);|%(?:25){0,4}2[27]|\\{1,8}u002[27])"
# To the next quote, whichever it is; in JSON and Python to the one that is not escaped.
_QUOTED = rf"""(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|{_QUOTE}(?:(?!{_QUOTE}).)*(?:{_QUOTE})?)"""


class _Pattern:
    """A pattern that is compiled at its first use: every DAG file imports this module."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self._pattern, re.IGNORECASE | re.DOTALL)


# Up to the last @, as a password may have any character in it, or up to a quote; and all of a query.
_URL = _Pattern(
    rf"(?P<separator>{_COLON}{_SLASH}{{1,16}}|(?<![:/\\]){_SLASH}{{2,16}})"
    r"(?P<rest>(?:[^\s?#]{0,2048}@)?[^\s\"'<>`?#]*(?:[?#]\S*)?)"
)
_SECRET_PART = _Pattern(f"{_AT}|{_QUESTION}|#|%(?:25){{0,4}}23")
_NESTED = _Pattern(_COLON + _SLASH)
_USERINFO = _Pattern(
    rf"(?<![\w.+%~-])[\w.+%~-]{{1,64}}?{_COLON}(?![/\\])[^\s@/\"'?]{{1,128}}?{_AT}(?=[\w\[])"
)
_HARMLESS_TEXT = re.compile(r"[\w./+~-]*")
_NAME = _Pattern(SECRET_NAME)
# After the name of a secret: as in a query, as in JSON and in Python, as in headers.
_NAMED = (
    _Pattern(rf"((?:{SECRET_NAME})[\w.%\]~-]{{0,40}}?\s{{0,3}}{_EQUALS}\s{{0,3}})(?:{_QUOTED}|[^\s\"'<>&]+)"),
    _Pattern(
        rf"((?:{SECRET_NAME})[\w.-]{{0,40}}{_QUOTE}\s{{0,3}}(?:{_COLON}|,)[\s+]{{0,3}})(?:b?{_QUOTED}|[^\s,\"'}}\]]+)"
    ),
    _Pattern(r"(cookie\s{0,3}:\s{0,3})[^\n]+"),
    _Pattern(rf"(<[\w.-]{{0,40}}(?:{SECRET_NAME})[\w.-]{{0,40}}>)[^<]+"),
    _Pattern(
        rf"((?:{SECRET_NAME})[\w-]{{0,40}}\s{{0,3}}:\s{{0,3}}(?:(?:bearer|basic|token)\s{{1,3}})?)"
        r"(?=\S{0,512}[0-9=_])\S{8,}"
    ),
)
# A query, with or without the URL that it belongs to.
_QUERY = _Pattern(rf"({_QUESTION})(?=[\w.~%\[\]+-]{{1,80}}?{_EQUALS})\S+")
_BEARER = _Pattern(r"\b((?:bearer|basic)(?:\s{1,3}|%20|\+))(?=\S{0,512}(?-i:[0-9=_A-Z]))\S{8,}")
# A path with a query that has no name in it.
_PATH = _Pattern(r"((?<![\w/.])/[^\s?\"'<>]{0,256}\?)(?!\*\*\*)\S+")

# A value that looks like a signature, after whatever name: a server may have cut the name. Words and numbers with dashes or
# points between them, times, and the ids of generations do not.
_WORDS = r"(?:[a-z]{1,40}|[0-9]{1,20})(?:[-_.](?:[a-z]{1,40}|[0-9]{1,20}|mp[34]|m4a)){0,20}(?![\w+/~%=-])"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w+/~%=-])"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{4,15}(?:Z|[+-][0-9:]{4,5})?(?![\w+/~%=-])"
_RANDOM = _Pattern(
    rf"({_EQUALS})(?!{_WORDS}|{_UUID}|{_TIME})(?=\S{{0,512}}[0-9])(?=\S{{0,512}}[a-z])[\w+/.~%=-]{{8,}}"
)
# What nobody can read, but everybody can decode.
_ESCAPES = _Pattern(
    r"(?:%(?:25){0,4}[0-9a-f]{2}){6,}|(?:\\{1,8}[ux][0-9a-f]{2,4}){6,}|(?:&#x?[0-9a-f]{1,6};){6,}"
)

# Storages whose files may have ? and # in their names.
_STORAGES = frozenset(
    {
        *("file", "local", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "wasb", "wasbs", "hdfs"),
        *("memory", "oss", "webhdfs"),
    }
)
_PLACE = _Pattern(
    r"(?P<chain>(?:[\w.+-]+::)*)(?P<scheme>[a-z][a-z0-9+.-]*|)(?P<separator>:/{1,16}|//)(?P<rest>.*)"
)


def redacted(value: T) -> T:
    """
    Return an argument of the user's as it may be shown.

    It may be a path, a URI, a URL, a text that has some in it, or any of these in nested lists, tuples, sets and dicts. Of
    a web URL, ``user:password@``, the query and the fragment are secret. In the URI of a storage only a password and what
    looks like a signature are: ``?`` and ``#`` belong to a name. In a dict, all under the name of a secret is.

    :return: the value itself, where there is nothing to hide in it
    """
    return cast("T", _shown(value))


def holds_password(uri: str) -> bool:
    """Tell whether the URI of a storage has a password in it, in place of the id of a connection."""
    shown_uri = redacted(uri)
    return shown_uri == MASK != uri or f"{MASK}@" in shown_uri


def redact(text: str, *, secrets: Secrets = NO_SECRETS, limit: int = 300) -> str:
    """
    Return an external text as one line that is safe to log.

    What is known to be secret is masked first, then what looks like it: pairs of a name and a value, headers, URLs. Only
    the first :data:`BOUND` characters are looked at, and of these ``limit`` are shown.

    :param secrets: what is secret where the text comes from
    """
    cut = len(text) > BOUND
    # As it came, and before anything is cut off that would tell what it is.
    shown = secrets.mask(text[:BOUND])
    shown = _CONTROL.sub(" ", shown).encode("utf-8", "replace").decode()
    shown = secrets.mask(" ".join(shown.split()))
    if cut:
        shown = _whole_words(shown)
    shown = _PATH.compiled.sub(rf"\1{MASK}", _without_addresses(_without_pairs(shown)))
    shown = _ESCAPES.compiled.sub(MASK, _RANDOM.compiled.sub(rf"\1{MASK}", shown))
    if cut or len(shown) > limit:
        return shown[: limit - 1] + "…"
    return shown


def shown(value: Any, *, limit: int = 60) -> str:
    """Return how an argument that is wrong is written in the error about it."""
    try:
        # One more, as what is cut is treated as such.
        text = repr(redacted(value[: BOUND + 1] if isinstance(value, str) else value))
    except ValueError:
        # Python writes no number with more than 4,300 digits.
        return "a number of thousands of digits"
    return redact(text, limit=limit)


def _whole_words(text: str) -> str:
    """Return a text that was cut without what may be the first part of a secret."""
    words, _, last = text.rpartition(" ")
    if len(last) < BOUND // 2:
        return words
    # One word of thousands of characters: what is in it before anything that could be a URL or a pair.
    harmless = re.match(r"[\w.-]*", last)
    return f"{words} {harmless.group()[: -12 * RUN] if harmless else ''}".strip()


def _without_pairs(text: str) -> str:
    if _HARMLESS_TEXT.fullmatch(text):
        return text
    named = _NAMED if _NAME.compiled.search(text) else ()
    for pattern in (_QUERY, *named, _BEARER):
        text = pattern.compiled.sub(rf"\1{MASK}", text)
    return text


def _without_addresses(text: str) -> str:
    if _HARMLESS_TEXT.fullmatch(text):
        return text
    return _USERINFO.compiled.sub(f"{MASK}@", _URL.compiled.sub(_masked_address, text))


def _masked_address(found: re.Match[str]) -> str:
    separator, rest = found["separator"], found["rest"]
    if not _SECRET_PART.compiled.search(rest) and not _NESTED.compiled.search(rest):
        return found.group()
    if not re.fullmatch(":?/+", separator) or _SECRET_PART.compiled.search(
        re.split("[?#]", rest)[0].replace("@", "")
    ):
        # Encoded in some way.
        return f"{separator}{MASK}"
    address = _shown_address(rest)
    return f"{separator}{MASK if address is None else address}"


def _shown_address(rest: str) -> str | None:
    """Return what follows a URL's ``://`` without its secrets, None where it cannot be told what is secret in it."""
    try:
        parts = urlsplit(f"http://{rest}")
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    before, at, _ = parts.path.rpartition("@")
    # A password with a slash, or an encoded one.
    if (at and ":" in f"{parts.netloc.rpartition('@')[2]}{before}") or "%" in host:
        return None
    # A URL in the path has secrets of its own.
    path = f"/{MASK}" if _NESTED.compiled.search(parts.path) else _without_pairs(parts.path)
    userinfo = f"{MASK}@" if "@" in parts.netloc else ""
    if ":" in host:
        host = f"[{host}]"
    query = f"?{MASK}" if parts.query else ""
    return f"{userinfo}{host}{port}{path}{query}{f'#{MASK}' if parts.fragment else ''}"


_PAIR = 2
_SURROGATES = re.compile("[\ud800-\udfff]")
_HARMLESS = (bool, int, float, complex, date, time, timedelta, type, type(None))


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return _shown_text(value)
    if isinstance(value, Mapping):
        return _shown_mapping(value)
    if isinstance(value, list | tuple | set | frozenset):
        items = [_shown(item) for item in value]
        if isinstance(value, list | tuple) and len(value) == _PAIR and isinstance(value[0], str):
            # As headers and parameters are written, too.
            items[1] = _shown_entry(value[0], value[1])
        if all(one is other for one, other in zip(items, value, strict=True)):
            return value
        return next(kind for kind in (list, tuple, set, frozenset) if isinstance(value, kind))(items)
    if isinstance(value, _HARMLESS) or callable(value):
        return value
    return _shown_object(value)


def _shown_mapping(value: Mapping[Any, Any]) -> Any:
    entries = {_shown(name): _shown_entry(name, item) for name, item in value.items()}
    same = len(entries) == len(value) and all(
        name in entries and entries[name] is item for name, item in value.items()
    )
    return value if same else entries


def _shown_entry(name: Any, value: Any) -> Any:
    harmless = isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) < 10**RUN)
    empty = isinstance(value, str) and not value
    return MASK if names_a_secret(str(name)) and not harmless and not empty else _shown(value)


def _shown_object(value: Any) -> Any:
    """Return an object if Airflow may show what it is as a string, else that string without its secrets."""
    try:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
    except Exception:  # noqa: BLE001
        return MASK
    shown_text = _shown_text(text)
    return value if shown_text == text else shown_text


def _shown_text(text: str) -> str:
    # Templates leave white space around what they render.
    stripped = text.strip()
    # Airflow takes no name of a file that is not UTF-8.
    shown_text = _SURROGATES.sub("\ufffd", _shown_place(stripped))
    return text if shown_text == stripped else shown_text


def _shown_place(text: str) -> str:
    found = _PLACE.compiled.fullmatch(text)
    if found is None:
        return _without_addresses(_without_pairs(text))
    chain, scheme, separator, rest = found.group("chain", "scheme", "separator", "rest")
    if scheme.lower() in _STORAGES:
        return f"{chain}{scheme}{separator}{_shown_object_name(rest)}"
    is_web = scheme.lower() in {"http", "https"}
    if (
        not is_web
        and not _SECRET_PART.compiled.search(rest)
        and not _NESTED.compiled.search(rest)
        and _without_pairs(rest) == rest
    ):
        return text
    address = _shown_address(rest)
    return MASK if address is None else f"{chain}{scheme.lower()}{separator}{address}"


def _shown_object_name(rest: str) -> str:
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    if not at and "@" in path and ":" in place:
        # A password that contains a slash.
        return f"{MASK}@{path.rpartition('@')[2]}"
    return f"{MASK if ':' in user else user}{at}{host}{slash}{_without_pairs(path)}"
