"""
A report on a collection of transcripts: one HTML page that needs nothing else. Pure: figures in, a text out.

The page has no script and loads nothing, follows the reader's light or dark colour scheme, and shows every name as it
is: nothing in one is markup, and none is a link.
"""

from airflow_provider_laplas.report.page import CHART_DAYS, render
from airflow_provider_laplas.report.stats import CollectionStats, DayStats, LanguageStats, NewestFile

__all__ = ["CHART_DAYS", "CollectionStats", "DayStats", "LanguageStats", "NewestFile", "render"]
