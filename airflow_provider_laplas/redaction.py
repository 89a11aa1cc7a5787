"""What may be shown of an address or of a text that came from outside, and what in an address is a signature."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

T = TypeVar("T")

MASK = "***"
"""Stands where something private was."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>`]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


# Of AWS (both versions), Google, CloudFront and Azure, then what others call theirs. A URL that differs only in these
# names the same audio.
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
    Return the URL without what may be secret: ``user:password@``, the query and the fragment.

    A signed URL carries its signature in the query. What cannot be read as a URL is masked whole.
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
    Return where something of the user's lies, as it may be shown: a path, an object-storage URI or a web URL.

    Of a web URL as :func:`redact_url` has it. Elsewhere only a password is secret: ``?`` and ``#`` are parts of a name.

    :param value: a text, or a list of such; what is neither is returned as it is
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
        # A password with a slash in it.
        return f"{scheme}://{MASK}@{path.rpartition('@')[2]}"
    return f"{scheme}://{MASK if ':' in user else user}{at}{host}{slash}{path}"


def redact(text: str, *, secrets: Iterable[str] = (), limit: int = 300) -> str:
    """
    Return a foreign text as one line that a log may hold.

    Every URL in it is redacted, every one of ``secrets`` masked, control characters become spaces, and what is
    longer than ``limit`` characters is cut.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    text = _URL.sub(lambda found: redact_url(found.group()), text)
    text = _CONTROL.sub(" ", text).encode("utf-8", "replace").decode()
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def unsigned(url: str) -> str:
    """Return a URL without the query parameters that sign it, which change with every signing."""
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
