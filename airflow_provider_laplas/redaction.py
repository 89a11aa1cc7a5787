"""Redaction of URLs and external text for logs and the UI, and removal of signatures from URLs."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

T = TypeVar("T")

MASK = "***"
"""Replaces secrets."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>`]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


# Query parameters of AWS (both versions), Google, CloudFront and Azure, then common names elsewhere. URLs that differ
# only in these name the same audio.
_SIGNATURE_PREFIXES = ("x-amz-", "x-goog-")
_SIGNATURE_NAMES = frozenset(
    [
        "awsaccesskeyid",
        "expires",
        "googleaccessid",
        "key-pair-id",
        "policy",
        "signature",
        "se",
        "sig",
        "sip",
        "skoid",
        "sks",
        "skt",
        "sktid",
        "ske",
        "skv",
        "sp",
        "spr",
        "sr",
        "srt",
        "ss",
        "st",
        "sv",
        "access_token",
        "auth",
        "exp",
        "hmac",
        "token",
    ]
)


def redact_url(url: str) -> str:
    """
    Return the URL without its possible secrets: ``user:password@``, the query and the fragment.

    Signed URLs have their signature in the query. Text that cannot be parsed as a URL is masked entirely.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASK
    userinfo = f"{MASK}@" if "@" in parts.netloc else ""
    if ":" in host:
        host = f"[{host}]"
    shown = SplitResult(
        parts.scheme,
        f"{userinfo}{host}{port}",
        parts.path,
        MASK if parts.query else "",
        MASK if parts.fragment else "",
    )
    return urlunsplit(shown)


def redacted(value: T) -> T:
    """
    Return a path, an object-storage URI or a web URL without its secrets.

    Web URLs are redacted by :func:`redact_url`. Elsewhere only a password is secret: ``?`` and ``#`` belong to a name.

    :param value: a string, or a list of strings; anything else is returned unchanged
    """
    shown: Any = value
    if isinstance(value, list | tuple):
        shown = [redacted(item) for item in value]
    elif isinstance(value, str):
        shown = _redacted_location(value)
    return cast("T", shown)


def _redacted_location(location: str) -> str:
    scheme, separator, rest = location.partition("://")
    if not separator:
        return location
    # Storages can be chained, as in simplecache::https://…
    if scheme.lower().rpartition("::")[2] in {"http", "https"}:
        return redact_url(location)
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    if not at and "@" in path and re.search(r":(?!\d+$)", place):
        # A password that contains a slash.
        return f"{scheme}://{MASK}@{path.rpartition('@')[2]}"
    return f"{scheme}://{MASK if ':' in user else user}{at}{host}{slash}{path}"


def redact(text: str, *, secrets: Iterable[str] = (), limit: int = 300) -> str:
    """
    Return an external text as one line that is safe to log.

    URLs in it are redacted, ``secrets`` are masked, control characters become spaces, and the text is cut to ``limit``
    characters.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    text = _URL.sub(lambda found: redact_url(found.group()), text)
    text = _CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def unsigned(url: str) -> str:
    """Return a URL without its signature's query parameters, so that it is the same each time it is signed."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _SIGNATURE_NAMES and not name.lower().startswith(_SIGNATURE_PREFIXES)
    ]
    return urlunsplit(parts._replace(query=urlencode(kept), fragment=""))
