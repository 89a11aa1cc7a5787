"""
The kinds of storage behind :class:`~airflow_provider_laplas.storage.Storage`: disks, and whatever fsspec reaches.

No name is read as a pattern or parsed as a URL, and nothing is answered from a listing that was made earlier.
"""

from airflow_provider_laplas.backends.base import READ_AT_ONCE, THREADS, Backend, FileInfo
from airflow_provider_laplas.backends.disk import Disk
from airflow_provider_laplas.backends.objects import Objects

__all__ = ["READ_AT_ONCE", "THREADS", "Backend", "Disk", "FileInfo", "Objects"]
