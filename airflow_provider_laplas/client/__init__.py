"""
The API over a socket, without Airflow: :class:`LaplasClient`.

================  =====================================================================
``client``        :class:`LaplasClient`, blocking and on an event loop
``rate_limited``  many waits on one client, within one budget of requests
``rate_limiter``  that budget
``settings``      what a connection means, and where a client looks it up
``http``          one request over requests or over aiohttp
``multipart``     its body, streamed
================  =====================================================================

requests and aiohttp cost a good part of a second to import, so they are imported when the client is first asked for.
"""

from typing import TYPE_CHECKING

from airflow_provider_laplas.lazy_names import lazy_names

if TYPE_CHECKING:
    from airflow_provider_laplas.client.client import LaplasClient

__all__ = ["LaplasClient"]

__getattr__ = lazy_names(__name__, client=["LaplasClient"])
