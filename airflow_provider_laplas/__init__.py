"""Asynchronous speech-to-text for Apache Airflow, with the Laplas API."""

__version__ = "0.1.0"
