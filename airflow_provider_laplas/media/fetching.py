"""
Downloads recordings from the web, so that they can be treated as files. Blocking.

Whoever may choose a URL would choose what the worker reads. So the address is checked when its socket is created, which
covers redirects, all notations of an address, and a host name whose address changes between two lookups (DNS rebinding).
"""

import asyncio
import hashlib
import ipaddress
import mimetypes
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote

import aiohttp
from yarl import URL

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasStorageError
from airflow_provider_laplas.media.settings import MediaSettings
from airflow_provider_laplas.media.temporary import temporary_file
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.transcript.values import valid_text

MOST_REDIRECTS = 5

CONNECT = 30.0
"""Seconds until a connection stands."""

STALL = 60.0
"""Seconds in which an answer has to begin, and in which :data:`LEAST` have to come from there on."""

LEAST = 65_536
"""Bytes: of a server that sends one now and then, nobody waits for the end."""

_CHUNK = 256 * 1024
_LONGEST_NAME = 200
_UNKNOWN_TYPE = "application/octet-stream"
_ON_THE_WIRE = re.compile(r"[!-~]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# All of the public IPv6 address space so far; some other ranges embed IPv4 addresses.
_IPV6_UNICAST = ipaddress.ip_network("2000::/3")


@contextmanager
def fetched(url: str, settings: MediaSettings) -> Iterator[Upload]:
    """
    Download a web URL, and give it as an upload, which can be used until the context ends.

    Only from public addresses, unless ``allow_private_urls``; with at most five redirects; and without a proxy. It is
    given up if there is no connection within 30 seconds, or hardly anything comes for 60. The upload's version is a hash of its
    content; its name is the last part of the URL's path.

    :param url: http or https
    :raises LaplasArgumentError: naming ``audio``, if it cannot be downloaded, is empty, or larger than
        ``max_fetch_bytes``. Nothing was submitted
    :raises LaplasStorageError: the same, if another try may succeed, as its server is not there, is overloaded, or cut the
        connection; or there is no space for it
    """
    download = _Download(url, settings)
    with temporary_file(settings.temporary_folder, download.write) as file:
        yield Upload(
            name=_name(url),
            size=file.size,
            content_type=download.content_type,
            open=file.open,
            version=download.content.hexdigest(),
        )


def is_public(address: str) -> bool:
    """Return whether ``address`` is an IP address on the public internet."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        # This includes `2130706433` and `0x7f.1`, which the operating system reads as 127.0.0.1.
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is None and parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is None and parsed not in _IPV6_UNICAST:
            return False
        parsed = inner or parsed
    return parsed.is_global and not parsed.is_multicast


# The first one that fits counts. With each, whether another try may help.
_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, bool], ...] = (
    (aiohttp.ConnectionTimeoutError, "there was no connection within {connect:g} s", True),
    (TimeoutError, "less than {least:,} bytes came within {stall:g} s", True),
    (aiohttp.TooManyRedirects, "it redirects more than {redirects} times", False),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        "it is, or redirects to, something that is not an http(s) URL",
        False,
    ),
    (aiohttp.ClientPayloadError, "the connection was cut before the end", True),
    (aiohttp.ClientConnectorDNSError, "its host name cannot be resolved", True),
    (aiohttp.ClientSSLError, "its certificate is not trusted, or TLS failed", False),
)
_SERVER_ERRORS = 500
_TRY_AGAIN = frozenset({408, 425, 429})


class _Gate:
    """Creates the sockets of one download, only to public addresses unless ``allow_private``."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self.refused = False

    def __call__(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._allow_private and not is_public(str(address[0])):
            # Recorded here, because the connector may combine the failures of several addresses.
            self.refused = True
            raise PermissionError
        return socket.socket(family=family, type=kind, proto=protocol)


class _FailedError(Exception):
    """
    Why a download failed, in half a sentence.

    :ivar passing: whether another try may succeed
    """

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


class _Download:
    """
    One download.

    :ivar content: the hash of what has come
    :ivar content_type: a MIME type, as the server says, or else the URL
    """

    def __init__(self, url: str, settings: MediaSettings) -> None:
        self._url = url
        self._most = settings.max_fetch_bytes
        self._gate = _Gate(allow_private=settings.allow_private_urls)
        self.content = hashlib.sha256()
        self.content_type = _UNKNOWN_TYPE

    def write(self, file: BinaryIO) -> None:
        """Write it to a file."""
        try:
            asyncio.run(self._fetch(file))
        except _FailedError as failed:
            message = (
                f"`audio` cannot be downloaded: {failed}. Nothing was submitted. ({redacted(self._url)})"
            )
            if failed.passing:
                raise LaplasStorageError(message) from None
            raise LaplasArgumentError(message, argument="audio") from None

    async def _fetch(self, file: BinaryIO) -> None:
        try:
            await self._stream(file)
        except _WriteError as error:
            raise error.cause from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> _FailedError:
        for kinds, text, passing in _REASONS:
            if isinstance(error, kinds):
                text = text.format(connect=CONNECT, least=LEAST, stall=STALL, redirects=MOST_REDIRECTS)  # noqa: PLW2901
                return _FailedError(text, passing=passing)
        if self._gate.refused:
            return _FailedError("it leads to a private address, which only `media.allow_private_urls` allows")
        return _FailedError(
            "its host cannot be reached, or does not answer like a web server",
            passing=not isinstance(error, ValueError),
        )

    async def _stream(self, file: BinaryIO) -> None:
        # Without compression, so that the limit applies to the bytes that come.
        headers = {"Accept-Encoding": "identity", "User-Agent": "airflow-provider-laplas"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT)
        # A signed URL is valid only if unchanged, so it is not quoted again unless it has to be.
        url = URL(self._url, encoded=_ON_THE_WIRE.fullmatch(self._url) is not None)
        async with (
            asyncio.timeout(STALL) as patience,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=self._gate),
                timeout=timeout,
                auto_decompress=False,
                requote_redirect_url=False,
            ) as session,
            # The one that is too much is counted, too.
            session.get(url, headers=headers, max_redirects=MOST_REDIRECTS + 1) as response,
        ):
            if not response.ok:
                status = response.status
                raise _FailedError(
                    f"it answers with status {status}",
                    passing=status >= _SERVER_ERRORS or status in _TRY_AGAIN,
                )
            self._check_size(response.content_length or 0)
            self.content_type = _content_type(response.content_type, self._url)
            size = enough = 0
            async for chunk in response.content.iter_chunked(_CHUNK):
                if size >= enough:
                    patience.reschedule(asyncio.get_running_loop().time() + STALL)
                    enough = size + LEAST
                size += len(chunk)
                self._check_size(size)
                self.content.update(chunk)
                try:
                    file.write(chunk)
                except OSError as error:
                    raise _WriteError(error) from error
            if not size:
                raise _FailedError("it is empty")

    def _check_size(self, size: int) -> None:
        if size > self._most:
            raise _FailedError(f"it is larger than {self._most:,} bytes (`media.max_fetch_bytes`)")


class _WriteError(Exception):
    """The temporary file cannot be written; the server is not to blame."""

    def __init__(self, cause: OSError) -> None:
        super().__init__()
        self.cause = cause


def _name(url: str) -> str:
    path = PurePosixPath(unquote(URL(url).raw_path, errors="replace"))
    # Its end has the suffix.
    name = "".join(character for character in valid_text(path.name) if character.isprintable())
    return name[-_LONGEST_NAME:] or "audio"


def _content_type(said: str, url: str) -> str:
    # A storage says that of whatever it does not know.
    if said not in {_UNKNOWN_TYPE, "binary/octet-stream"}:
        return said
    return mimetypes.guess_type(f"audio{PurePosixPath(_name(url)).suffix}")[0] or _UNKNOWN_TYPE
