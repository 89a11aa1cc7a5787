"""Secrets that are known, such as a call's key and the query of its URL: found in any text, however it is encoded. Pure."""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import unquote, unquote_plus

from airflow_provider_laplas.signatures import names_a_secret, names_nothing_secret

MASK = "***"
"""Replaces secrets."""

RUN = 8
"""
So many characters of a secret in a row are masked, wherever they are: a text may hold a part of it.

Fewer would mask much that is no secret: a query has words, dates and numbers in it.
"""

LONG_RUN = 20
"""Characters of a secret in a row that are no chance."""

SHORTEST = 4
"""
The shortest key or password that is known, in characters; one below :data:`RUN` counts only between other characters than
letters and digits. One of three is a word of every other sentence, so it is masked only where a URL tells what it is.
"""


def _escaped(backslash: str) -> re.Pattern[str]:
    return re.compile(
        rf"%([0-9a-f]{{2}})|{backslash}u([0-9a-f]{{4}})|{backslash}x([0-9a-f]{{2}})|{backslash}([\"'/\\bfnrt])"
        r"|&#(\d{1,6});|&#x([0-9a-f]{1,5});|&(amp|quot|lt|gt|apos);",
        re.IGNORECASE,
    )


# JSON in JSON has two backslashes or more for one. Read at once, they also swallow one that belongs to the secret, right
# before a character that is escaped itself: read one by one, they do not.
_ESCAPED_OFTEN, _ESCAPED_ONCE = _escaped(r"\\{1,8}"), _escaped(r"\\")
_LEVELS = 3
_NAMED = {"amp": "&", "quot": '"', "lt": "<", "gt": ">", "apos": "'"}
_SPACE = re.compile(r"[\x00-\x20\x7f]")
_ADDRESS = re.compile(r"(?:(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}:/{1,16}|(?<![:/])//)", re.IGNORECASE)


class Secrets:
    """
    Fixed strings that nothing may show. The case of ASCII letters does not count, and neither does how they are encoded.

    :param secrets: shorter ones than :data:`SHORTEST` are left out
    :param words: what is secret as a whole only, such as the host of a proxy
    """

    def __init__(self, secrets: Iterable[str | None] = (), *, words: Iterable[str] = ()) -> None:
        self._secrets = tuple(secret for secret in secrets if secret and len(secret) >= SHORTEST)
        self._words = tuple(words)

    @classmethod
    def of_url(cls, url: str) -> "Secrets":
        """Return what is secret in a URL: its ``user:password@``, and the values of its query and its fragment."""
        return cls(_in_url(url))

    @classmethod
    def of_values(cls, values: Any) -> "Secrets":
        """Return what is secret in the URLs, and under the names of secrets, in nested values."""
        return cls(_in_values(values))

    def __add__(self, other: "Secrets") -> "Secrets":
        if not other:
            return self
        return Secrets((*self._secrets, *other._secrets), words=(*self._words, *other._words))

    def __bool__(self) -> bool:
        return bool(self._secrets or self._words)

    def __repr__(self) -> str:
        return f"<{len(self._secrets)} secrets>"

    def are_in(self, text: str) -> bool:
        """
        Tell whether there is a secret in the text, or a long part of one.

        A short part may be there by chance: an id can have a word or a date in it.
        """
        parts = {
            form[begin : begin + LONG_RUN]
            for form in self._forms
            for begin in range(max(1, len(form) - LONG_RUN + 1))
            if len(form) >= RUN
        }
        return any(part in reading for reading, _ in _readings(text) for part in parts)

    def mask(self, text: str) -> str:
        """Return the text with :data:`MASK` for each secret. The time that it takes grows with the text's length."""
        if not self:
            return text
        hidden = bytearray(len(text))
        for reading, spans in _readings(text):
            for begin, end in self._found(reading):
                first, last = spans[begin][0], spans[end - 1][1]
                hidden[first:last] = b"\1" * (last - first)
        if 1 not in hidden:
            return text
        pieces, position = [], 0
        for run in re.finditer(b"\1+", hidden):
            pieces += [text[position : run.start()], MASK]
            position = run.end()
        return "".join([*pieces, text[position:]])

    def _found(self, reading: str) -> Iterator[tuple[int, int]]:
        runs = self._runs
        if runs:
            for begin in range(len(reading) - RUN + 1):
                if reading[begin : begin + RUN] in runs:
                    yield begin, begin + RUN
        if self._as_words is not None:
            for found in self._as_words.finditer(reading):
                yield found.span()

    @cached_property
    def _forms(self) -> set[str]:
        """The secrets as they may be read in a text."""
        written = {
            form for secret in self._secrets for form in (secret, unquote(secret), unquote_plus(secret))
        }
        written |= {form.replace(" ", "+") for form in written}
        written |= {encoded for secret in self._secrets if len(secret) >= RUN for encoded in _encoded(secret)}
        return {reading for form in written for reading, _ in _readings(form)}

    @cached_property
    def _runs(self) -> frozenset[str]:
        return frozenset(
            form[begin : begin + RUN] for form in self._forms for begin in range(len(form) - RUN + 1)
        )

    @cached_property
    def _as_words(self) -> re.Pattern[str] | None:
        words = {form for form in self._forms if SHORTEST <= len(form) < RUN}
        words |= {reading for word in self._words for reading, _ in _readings(word)}
        listed = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        return re.compile(f"(?<![a-z0-9])(?:{listed})(?![a-z0-9])") if listed else None


NO_SECRETS = Secrets()


def _readings(text: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Yield the text as it is and as it is once its escapes are read, and where in it each character comes from."""
    # As bytes, one in each character, because %C3%A9 is one letter.
    written = [_as_bytes(character) for character in text]
    spans = [(place, place + 1) for place, piece in enumerate(written) for _ in piece]
    text = "".join(written)
    yield _SPACE.sub(" ", text.lower()), spans
    for pattern in (_ESCAPED_OFTEN, _ESCAPED_ONCE):
        reading, places = text, spans
        for _ in range(_LEVELS):
            escapes = list(pattern.finditer(reading))
            if not escapes:
                break
            reading, places = _unescaped(reading, places, escapes)
            yield _SPACE.sub(" ", reading.lower()), places


def _unescaped(
    text: str, spans: list[tuple[int, int]], escapes: list[re.Match[str]]
) -> tuple[str, list[tuple[int, int]]]:
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    position = 0
    for escape in escapes:
        begin, end = escape.span()
        character = _character(escape)
        pieces += [text[position:begin], character]
        places += spans[position:begin]
        places += [(spans[begin][0], spans[end - 1][1])] * len(character)
        position = end
    return "".join([*pieces, text[position:]]), [*places, *spans[position:]]


def _character(escape: re.Match[str]) -> str:
    percent, unicode, byte, short, decimal, hexadecimal, named = escape.groups()
    if percent:
        return chr(int(percent, 16))
    if named:
        return _NAMED[named.lower()]
    if short:
        return " " if short in "bfnrt" else short
    return _as_bytes(chr(int(decimal) if decimal else int(unicode or byte or hexadecimal, 16)))


def _encoded(secret: str) -> Iterator[str]:
    """Yield a secret in hexadecimal digits and in Base64, in which it may stand behind up to two other characters."""
    written = secret.encode("utf-8", "surrogatepass")
    yield written.hex()
    for before in range(3):
        encoded = b64encode(b"\0" * before + written).decode().rstrip("=")
        # The first and the last character depend on what is beside it.
        yield encoded[before + (before > 0) : -1]


def _as_bytes(character: str) -> str:
    return character if character < "\x80" else character.encode("utf-8", "surrogatepass").decode("latin-1")


def _in_url(url: str) -> Iterator[str]:
    locator, _, fragment = url.strip().partition("#")
    address, _, query = locator.partition("?")
    # Of URLs in a chain the last one has the password.
    *_, rest = _ADDRESS.split(address)
    place = rest.partition("/")[0]
    # A password may contain a slash.
    whole = rest if "@" not in place and ":" in rest.rpartition("@")[0] else place
    userinfo = whole.rpartition("@")[0]
    user, colon, password = userinfo.partition(":")
    # A name alone is a token.
    yield password if colon else user
    yield from (part for part in (userinfo, user) if len(part) >= RUN)
    if colon:
        yield b64encode(unquote(userinfo).encode("utf-8", "replace")).decode()
    for item in re.split("[&;]", query) + re.split("[&;]", fragment):
        name, equals, value = item.partition("=")
        if not equals:
            name, value = "", item
        name = unquote(name).strip().lower()
        if name.endswith("-credential"):
            # Behind the key's id come the date, the region and the service.
            value = re.split("/|%2f", value, maxsplit=1, flags=re.IGNORECASE)[0]
        if not names_nothing_secret(name) and (len(value) >= RUN or names_a_secret(name)):
            yield value


def _in_values(values: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(values, str):
        if secret:
            yield values
        for text in {values, *values.split()} if "/" in values else ():
            yield from _in_url(text)
    elif isinstance(values, Mapping):
        for name, value in values.items():
            yield from _in_values(value, secret=secret or names_a_secret(str(name)))
    elif isinstance(values, list | tuple | set | frozenset):
        for value in values:
            yield from _in_values(value, secret=secret)
