"""Downloads recordings from untrusted URLs.

The address is checked when its socket is created, which covers redirects, all notations of an address, and a
host name whose address changes between two lookups (DNS rebinding).
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
from yarl import URL

from airflow_provider_laplas.local.errors import NO_ROOM, Abandoned, FieldError, JobError, is_full
from airflow_provider_laplas.local.settings import Settings

CHUNK = 64 * 1024
_ON_THE_WIRE = re.compile(r"[!-~]+")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# All of the public IPv6 address space so far; some other ranges embed IPv4 addresses.
_IPV6_UNICAST = ipaddress.ip_network("2000::/3")


class _Gate:
    """Creates the sockets of one download, only to public addresses unless `allow_private`."""

    def __init__(self, *, allow_private: bool) -> None:
        self.allow_private = allow_private
        self.refused = False

    def __call__(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self.allow_private and not is_public(str(address[0])):
            # Recorded here, because the connector may combine the failures of several addresses.
            self.refused = True
            raise PermissionError
        return socket.socket(family=family, type=kind, proto=protocol)


def is_public(address: str) -> bool:
    """Return whether `address` is an IP address on the public internet."""
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


def check_url(url: str, *, allow_private: bool) -> None:
    """Raise FieldError for a URL that is invalid, not http(s), or a private address. Makes no DNS lookup."""
    try:
        parsed = _parse(url)
        host, scheme = parsed.host, parsed.scheme
        _ = parsed.port
    except ValueError:
        raise FieldError("url", "Not a URL") from None
    if scheme not in {"http", "https"} or not host:
        raise FieldError("url", "Not an http(s) URL")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    if not allow_private and not is_public(host):
        raise FieldError("url", "A private address is only allowed with --allow-private-urls")


def _parse(url: str) -> URL:
    # A signed URL is valid only if unchanged, so it is not requoted unless it has characters that must be quoted.
    return URL(url, encoded=_ON_THE_WIRE.fullmatch(url) is not None)


def fetch(url: str, target: Path, settings: Settings, abandoned: Callable[[], bool]) -> None:
    """Download `url` to `target`, within the limits of `settings`. Blocks; for worker threads.

    Raises JobError named DownloadError if the download fails, without the URL in its message, and Abandoned soon
    after `abandoned()` becomes true.
    """
    asyncio.run(_fetch_unless(url, target, settings, abandoned))


async def _fetch_unless(url: str, target: Path, settings: Settings, abandoned: Callable[[], bool]) -> None:
    async def watch() -> None:
        # Polled, because other threads change it, in part through the store.
        while not abandoned():  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    download = asyncio.ensure_future(_fetch(url, target, settings))
    watcher = asyncio.ensure_future(watch())
    done, pending = await asyncio.wait({download, watcher}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if download not in done:
        raise Abandoned
    download.result()


async def _fetch(url: str, target: Path, settings: Settings) -> None:
    gate = _Gate(allow_private=settings.allow_private_urls)
    try:
        await _stream(url, target, settings, gate)
    except TimeoutError:
        raise _failed(f"it takes longer than {settings.download_timeout:g} s, or stalls") from None
    except aiohttp.TooManyRedirects:
        raise _failed(f"it redirects more than {settings.max_redirects} times") from None
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        raise _failed("it is, or redirects to, something that is not an http(s) URL") from None
    except aiohttp.ClientPayloadError:
        raise _failed("the connection was cut before the end") from None
    except aiohttp.ClientConnectorDNSError:
        raise _failed("its host name cannot be resolved") from None
    except aiohttp.ClientSSLError:
        raise _failed("its certificate is not trusted, or TLS failed") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if is_full(error):
            raise JobError("DownloadError", NO_ROOM, 503) from None
        if gate.refused:
            raise _failed(
                "it leads to a private address, which is only allowed with --allow-private-urls"
            ) from None
        raise _failed("its host cannot be reached, or does not answer like a web server") from None


async def _stream(url: str, target: Path, settings: Settings, gate: _Gate) -> None:
    timeout = aiohttp.ClientTimeout(total=settings.download_timeout, sock_read=60)
    # Without compression, so that the size limit applies to the bytes received.
    headers = {"Accept-Encoding": "identity", "User-Agent": "laplas-local"}
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=gate),
            timeout=timeout,
            auto_decompress=False,
            requote_redirect_url=False,
        ) as session,
        session.get(_parse(url), headers=headers, max_redirects=settings.max_redirects) as response,
    ):
        if not response.ok:
            raise _failed(f"it answers with status {response.status}")
        if (response.content_length or 0) > settings.max_download:
            raise _too_big(settings)
        size = 0
        with target.open("wb") as file:
            async for chunk in response.content.iter_chunked(CHUNK):
                size += len(chunk)
                if size > settings.max_download:
                    raise _too_big(settings)
                file.write(chunk)
        if not size:
            raise _failed("it is empty")


def _too_big(settings: Settings) -> JobError:
    return _failed(f"it is larger than {settings.max_download} bytes")


def _failed(reason: str) -> JobError:
    return JobError("DownloadError", f"The url cannot be downloaded: {reason}")
