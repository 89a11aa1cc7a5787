"""Redaction of URLs and external text for logs and the UI, and removal of signatures from URLs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

T = TypeVar("T")

MASK = "***"
"""Replaces secrets."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>`]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class _Scheme:
    """
    A way to sign a URL.

    :ivar signs: names that are all there in such a URL
    :ivar either: names of which one is there; empty where none has to be
    :ivar names: what else belongs to the signature
    :ivar prefix: as names begin that belong to the signature, too
    """

    signs: frozenset[str]
    either: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    prefix: str = " "

    def is_used(self, names: set[str]) -> bool:
        return self.signs <= names and (not self.either or bool(self.either & names))

    def holds(self, name: str) -> bool:
        return name in self.signs | self.either | self.names or name.startswith(self.prefix)


_SCHEMES = (
    # AWS, version 4
    _Scheme(frozenset({"x-amz-signature"}), prefix="x-amz-"),
    # AWS, version 2, which adds a token where the key is a temporary one
    _Scheme(
        frozenset({"signature", "awsaccesskeyid", "expires"}),
        names=frozenset({"x-amz-security-token"}),
    ),
    # Google, version 4 and version 2
    _Scheme(frozenset({"x-goog-signature"}), prefix="x-goog-"),
    _Scheme(frozenset({"signature", "googleaccessid", "expires"})),
    # CloudFront
    _Scheme(
        frozenset({"signature", "key-pair-id"}),
        frozenset({"policy", "expires"}),
        frozenset({"hash-algorithm"}),
    ),
    # Azure
    _Scheme(
        frozenset({"sig", "sv"}),
        frozenset({"se", "si"}),
        frozenset(
            {
                *("skoid", "sktid", "skt", "ske", "sks", "skv", "skdutid", "saoid", "suoid", "scid"),
                *("sp", "spr", "sip", "sr", "srt", "ss", "st", "ses", "sdd"),
            }
        ),
    ),
)


_LEFT_OUT_BY_VERSION_1 = frozenset(
    [
        *("awsaccesskeyid", "expires", "googleaccessid", "key-pair-id", "policy", "signature"),
        *(
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
        ),
        *("access_token", "auth", "exp", "hmac", "token"),
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


def unsigned(audio: str) -> str:
    """
    Return a web URL without the query parameters that sign it, which change with every signing, and without fragment.

    Only the parameters of a known scheme count, and only where it is used: ``token``, ``sig`` or ``exp`` alone can say
    which audio it is. All else stays to the letter. What is no web URL is returned as it is: ``?`` and ``#`` are parts of
    a name.
    """
    if not _is_web_url(audio):
        return audio
    address, question, query = audio.partition("#")[0].partition("?")
    items = [(unquote(item.partition("=")[0]).lower(), item) for item in query.split("&")]
    signature = _signature({name for name, _ in items})
    kept = [item for name, item in items if name not in signature]
    return f"{address}{question}{'&'.join(kept)}" if kept else address


def unsigned_by_version_1(audio: str) -> str | None:
    """
    Return what version 0.1 made of a URL or path, whose work is to be recognised.

    :return: None for a URL that it could not tell from other audio's: it left out ``token`` and the like wherever it was
    """
    try:
        parts = urlsplit(audio)
    except ValueError:
        return audio
    items = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in items if not _is_left_out(name.lower())]
    if _is_web_url(audio):
        names = {name.lower() for name, _ in items}
        if {name for name in names if _is_left_out(name)} - _signature(names):
            return None
    return urlunsplit(parts._replace(query=urlencode(kept), fragment=""))


def _is_left_out(name: str) -> bool:
    return name in _LEFT_OUT_BY_VERSION_1 or name.startswith(("x-amz-", "x-goog-"))


def _signature(names: set[str]) -> set[str]:
    """Return which of a URL's parameters sign it."""
    used = [scheme for scheme in _SCHEMES if scheme.is_used(names)]
    return {name for name in names if any(scheme.holds(name) for scheme in used)}


def _is_web_url(audio: str) -> bool:
    return audio.lower().startswith(("http://", "https://"))
