"""Which parameters sign a URL, and which names are those of a secret. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit


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
    # Google Cloud CDN
    _Scheme(frozenset({"signature", "keyname", "expires"}), names=frozenset({"urlprefix"})),
    # Alibaba, version 1 and version 4
    _Scheme(frozenset({"signature", "ossaccesskeyid", "expires"}), names=frozenset({"security-token"})),
    _Scheme(frozenset({"x-oss-signature"}), prefix="x-oss-"),
    # Tencent
    _Scheme(
        frozenset({"q-signature", "q-ak"}),
        names=frozenset(
            {"q-sign-algorithm", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list"}
        ),
    ),
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


# A dash, however it is written in a URL.
_DASH = "(?:[-_. ]|%(?:25){0,4}2d)?"

SECRET_NAME = (
    # What people and servers call them, with any words around it.
    f"(?:access|account|api|connection|master|service|shared|storage){_DASH}(?:id|key|string)|authorization|cookie|credential|hmac|jwt|key{_DASH}pair|passphrase|passw(?:or)?d"
    f"|private{_DASH}key|secret|session{_DASH}id|signature|token"
    # Amazon's and Google's.
    f"|(?:amz|goog){_DASH}(?:algorithm|date|expires|signedheaders)"
    # Words that others contain, too.
    "|(?:(?<![a-z])|(?<=%3f)|(?<=u003f))(?:auth|pass|pwd|sig)(?![a-z])"
)
"""A regular expression, to be used without regard to case, of what is in a name of a secret."""

_SECRET_NAME = re.compile(SECRET_NAME, re.IGNORECASE)


def names_a_secret(name: str) -> bool:
    """
    Tell whether a name is that of a secret, such as ``access_token`` or ``X-Amz-Credential``.

    This decides what is shown, so it errs towards hiding; which audio is the same is decided by :func:`unsigned`.
    """
    return _SECRET_NAME.search(name) is not None


_NOT_SECRET = re.compile(
    "response-.*|x-(amz|goog)-(algorithm|date|expires|signedheaders)|expires|s[etrvp]|spr|content-type|filename|format|lang"
)


def names_nothing_secret(name: str) -> bool:
    """
    Tell whether a query's parameter of that name, in lower case, is known not to be secret, such as a date or a file's name.

    Its value is not looked for in texts: it may be a word of every other message.
    """
    return _NOT_SECRET.fullmatch(name) is not None


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
    # A name on a disk may hold bytes that are no text.
    return urlunsplit(parts._replace(query=urlencode(kept, errors="surrogatepass"), fragment=""))


def _is_left_out(name: str) -> bool:
    return name in _LEFT_OUT_BY_VERSION_1 or name.startswith(("x-amz-", "x-goog-"))


def _signature(names: set[str]) -> set[str]:
    """Return which of a URL's parameters sign it."""
    used = [scheme for scheme in _SCHEMES if scheme.is_used(names)]
    return {name for name in names if any(scheme.holds(name) for scheme in used)}


def _is_web_url(audio: str) -> bool:
    return audio.lower().startswith(("http://", "https://"))
