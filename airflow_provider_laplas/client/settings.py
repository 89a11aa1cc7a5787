"""
The settings of a connection: fields, defaults and validation, and where a client gets them.

Pure, and imported by every Airflow process: keep imports light.
"""

import ipaddress
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack, get_type_hints
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import TypeAdapter, ValidationError

from airflow_provider_laplas.arguments import LONGEST, LONGEST_EXCHANGE, SHORTEST, is_number, nearest
from airflow_provider_laplas.errors import LaplasConfigurationError
from airflow_provider_laplas.media.settings import SHORTEST_PART, SMALLEST_UPLOAD
from airflow_provider_laplas.redaction import redacted, shown

log = logging.getLogger(__name__)

CONNECTION_TYPE = "laplas"
DEFAULT_CONN_ID = "laplas_default"

DEFAULT_BASE_URL = "https://api.apilaplas.com/v1"
"""The API's documented address."""

_MIB = 1024 * 1024
_LAST_PORT = 65535
_VERSION = r"v\d+"


def _extra(default: Any, json_type: str, label: str, description: str, *, private: bool = False) -> Any:
    """Declare a field of the connection's extra, with its entry in Airflow's connection form."""
    form: dict[str, Any] = {"label": label, "description": description, "type": json_type}
    if default is not None:
        # A switch that may hold a path as well is shown as text.
        form["default"] = str(default).lower() if json_type == "string" else default
    if private:
        form["format"] = "password"
    return field(default=default, kw_only=True, repr=not private, metadata={"form": form})


_LOWEST_RATE = 0.001

_BOUNDS = {
    "connect_timeout": (SHORTEST, LONGEST_EXCHANGE),
    "timeout": (SHORTEST, LONGEST_EXCHANGE),
    "max_reply_bytes": (1, 2**40),
    "min_upload_bytes_per_second": (1, 2**40),
    "max_requests_per_second": (0, 1_000_000),
    "price_per_minute": (0, 1_000_000),
    "max_upload_bytes": (SMALLEST_UPLOAD, 2**40),
    "max_part_seconds": (SHORTEST_PART, LONGEST),
}


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The validated settings of a connection."""

    base_url: str
    api_key: str = field(repr=False)
    connect_timeout: float = _extra(
        10.0, "number", "Connect timeout", "Seconds to establish a connection. Default 10."
    )
    timeout: float = _extra(
        60.0, "number", "Reply timeout", "Seconds for the whole reply, once the request is sent. Default 60."
    )
    verify: bool | str = _extra(
        True, "string", "Verify TLS", "true, false, or the path of a CA bundle. Default true."
    )
    proxy: str | None = _extra(
        None, "string", "Proxy", "URL of a proxy. Default: the environment's.", private=True
    )
    allow_http: bool = _extra(
        False,
        "boolean",
        "Allow plain http",
        "Allow sending the key unencrypted to other hosts. Default false.",
    )
    max_reply_bytes: int = _extra(
        64 * _MIB, "integer", "Largest reply", "Bytes; a larger reply is an error. Default 64 MiB."
    )
    min_upload_bytes_per_second: float = _extra(
        16.0 * 1024,
        "number",
        "Slowest upload",
        "Bytes per second; a slower upload is given up. Default 16384.",
    )
    max_requests_per_second: float = _extra(
        50.0,
        "number",
        "Requests per second",
        "Rate limit for the waits and batches of one process; 0 for no limit. Default 50.",
    )
    price_per_minute: float | None = _extra(
        None,
        "number",
        "Price per minute",
        "Price of a minute of audio, to estimate the cost in a task's usage. Default: no estimate.",
    )
    max_upload_bytes: int | None = _extra(
        None,
        "integer",
        "Largest upload",
        "Bytes that the API takes in one upload. With a task's media, larger recordings are sent in parts. Default: not known.",
    )
    max_part_seconds: float | None = _extra(
        None,
        "number",
        "Longest part",
        "Seconds of audio in one generation. With a task's media, longer recordings are sent in parts. Default: no limit.",
    )
    results_path: str | None = _extra(
        None,
        "string",
        "Results path",
        "Folder in object storage for finished replies. Default: Airflow's [laplas] results_path, else XCom.",
    )

    def __post_init__(self) -> None:
        if self.proxy is not None and not _is_proxy(self.proxy):
            raise LaplasConfigurationError(
                "The connection's extra `proxy` must be an http(s) URL, as in http://proxy.example:3128."
            )
        if isinstance(self.verify, str) and not Path(self.verify).exists():
            raise LaplasConfigurationError(
                f"The connection's extra `verify` names a file that does not exist: {redacted(self.verify)}"
            )
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not is_number(value, least, most):
                raise LaplasConfigurationError(
                    f"The connection's extra `{name}` must be from {least:,} to {most:,}, not {shown(value)}."
                )
        # A rate that is next to nothing would send nothing.
        if 0 < self.max_requests_per_second < _LOWEST_RATE:
            raise LaplasConfigurationError(
                f"The connection's extra `max_requests_per_second` must be 0, for no limit, or at least {_LOWEST_RATE}."
            )


class ClientFields(TypedDict, total=False):
    """The fields of :class:`ConnectionSettings` that apply to a client without Airflow."""

    connect_timeout: float
    timeout: float
    verify: bool | str
    proxy: str | None
    allow_http: bool
    max_reply_bytes: int
    min_upload_bytes_per_second: float
    max_requests_per_second: float
    max_upload_bytes: int | None


class SettingsSource(Protocol):
    """Provides a client's settings: on first use, and again when they may have changed."""

    def look_up(self) -> ConnectionSettings:
        """
        Return the settings. May block.

        :raises LaplasConfigurationError: if there are none, or they are invalid
        """

    async def alook_up(self) -> ConnectionSettings:
        """
        Do what :meth:`look_up` does, on the event loop.

        :raises LaplasTransportError: if the lookup fails for now
        """


@dataclass(frozen=True, slots=True)
class FixedSettings:
    """Settings that never change."""

    settings: ConnectionSettings

    def look_up(self) -> ConnectionSettings:
        """Return them."""
        return self.settings

    async def alook_up(self) -> ConnectionSettings:
        """Return them."""
        return self.settings


def read_arguments(
    api_key: str | None, base_url: str | None = None, **fields: Unpack[ClientFields]
) -> ConnectionSettings:
    """
    Read the settings from a client's arguments.

    :param base_url: like the host of a connection
    :raises LaplasConfigurationError: saying which one is wrong
    """
    if unknown := sorted(fields.keys() - ClientFields.__annotations__.keys()):
        raise TypeError(
            f"LaplasClient has no argument `{unknown[0]}`.{nearest(unknown[0], ClientFields.__annotations__)}"
        )
    return read_connection(host=base_url, schema=None, port=None, password=api_key, extra=dict(fields))


EXTRA_FIELDS: Mapping[str, Mapping[str, Any]] = {
    item.name: item.metadata["form"]
    | dict(zip(("minimum", "maximum"), _BOUNDS.get(item.name, ()), strict=False))
    for item in fields(ConnectionSettings)
    if "form" in item.metadata
}
"""Label, description, JSON type, default and bounds of every field of the extra, by its name."""

USUAL_FIELDS: Mapping[str, Any] = {
    "hidden-fields": ["login", "schema", "port"],
    "relabeling": {"password": "API key", "host": "Base URL"},
    "placeholders": {"host": DEFAULT_BASE_URL},
}
"""How Airflow's connection form shows the fields that every connection has."""


def read_connection(
    *,
    host: str | None,
    schema: str | None,
    port: int | None,
    password: str | None,
    extra: Mapping[str, Any],
) -> ConnectionSettings:
    """
    Read a connection.

    :param host: with or without scheme, ``/v1`` and trailing slash; empty for the API's documented address
    :param schema: the scheme, if the host has none. Default https
    :param extra: see :data:`EXTRA_FIELDS`; empty values mean the default, unknown names are ignored with a warning
    :raises LaplasConfigurationError: saying which field is wrong
    """
    values: dict[str, Any] = {}
    for name, value in extra.items():
        if name not in EXTRA_FIELDS:
            log.warning(
                "The connection's extra field `%s` is not known and has no effect.%s",
                name,
                nearest(name, EXTRA_FIELDS),
            )
        elif value is not None and value != "":
            values[name] = _typed(name, value)
    return ConnectionSettings(
        base_url=read_base_url(host, schema, port, allow_http=values.get("allow_http", False)),
        api_key=_read_key(password),
        **values,
    )


def read_base_url(host: str | None, schema: str | None, port: int | None, *, allow_http: bool = False) -> str:
    """
    Return the API's base URL without a trailing slash; a host without a version gets ``/v1``.

    :raises LaplasConfigurationError: if it is not a usable http(s) URL, or is plain http to another machine
    """
    host = (host or "").strip() or DEFAULT_BASE_URL
    if "://" not in host:
        host = f"{_scheme(schema)}://{host}"
    try:
        parts = urlsplit(host)
        own_port = parts.port
    except ValueError:
        raise LaplasConfigurationError("The connection's host is not a URL.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise LaplasConfigurationError("The connection's host must be an http(s) URL with a host name.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise LaplasConfigurationError(
            "The connection's host must not contain a user, a query or a fragment. Put the key in the password field."
        )
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
        raise LaplasConfigurationError(
            "The connection's host is plain http on another machine: the key would travel unencrypted. Use https, "
            "or set `allow_http` in the connection's extra."
        )
    if port is not None and not is_number(port, 0, _LAST_PORT, whole=True):
        raise LaplasConfigurationError(
            f"The connection's port must be from 1 to {_LAST_PORT}, not {shown(port)}."
        )
    netloc = parts.netloc if own_port or not port else f"{parts.netloc.rstrip(':')}:{port}"
    path = parts.path.rstrip("/")
    if not re.search(rf"/{_VERSION}$", path):
        path += f"/{schema if _is_version(schema) else 'v1'}"
    return urlunsplit(SplitResult(parts.scheme, netloc, path, "", ""))


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_version(schema: str | None) -> bool:
    # The path of a connection URI lands in `schema`: laplas://:key@host/v1.
    return bool(re.fullmatch(_VERSION, schema or ""))


def _scheme(schema: str | None) -> str:
    if not schema or _is_version(schema):
        return "https"
    if schema not in {"http", "https"}:
        raise LaplasConfigurationError("The connection's schema must be http or https.")
    return schema


def _is_loopback(hostname: str) -> bool:
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def _read_key(password: str | None) -> str:
    key = (password or "").strip()
    if not key:
        raise LaplasConfigurationError(
            "The connection has no API key. Put it in the connection's password field."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise LaplasConfigurationError(
            "The connection's API key contains spaces or other characters that are not allowed."
        )
    return key


def _typed(name: str, value: Any) -> Any:
    if name == "verify" and isinstance(value, str) and value.lower() not in {"true", "false"}:
        return value
    kind: Any = bool if name == "verify" else get_type_hints(ConnectionSettings)[name]
    try:
        if isinstance(value, bool) and name in _BOUNDS:
            raise LaplasConfigurationError(f"The connection's extra `{name}` must be a number, not {value}.")
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise LaplasConfigurationError(
            f"The connection's extra `{name}` is invalid: {error.errors()[0]['msg']}."
        ) from None
