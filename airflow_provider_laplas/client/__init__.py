"""
The HTTP client, independent of Airflow: :class:`LaplasClient`.

================  =====================================================================
``client``        :class:`LaplasClient`, blocking or on an event loop
``rate_limited``  many waits on one client, within one rate limit
``rate_limiter``  that rate limit
``settings``      the settings of a connection, and where a client gets them
``sender``        sends single calls, and manages settings and connections
``http``          one exchange over requests or aiohttp
``multipart``     the request body, streamed
================  =====================================================================

requests and aiohttp are slow to import, so they are imported on first access to :class:`LaplasClient`.
"""

from typing import TYPE_CHECKING

from airflow_provider_laplas.lazy_names import lazy_names

if TYPE_CHECKING:
    from airflow_provider_laplas.client.client import LaplasClient

__all__ = ["LaplasClient"]

__getattr__ = lazy_names(__name__, client=["LaplasClient"])
