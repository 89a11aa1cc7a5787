"""
A report on a collection of transcripts: one self-contained HTML page. Pure: figures in, HTML out.

The page has no scripts and loads nothing, and follows the reader's light or dark colour scheme. Names are escaped and
never become links.
"""

from airflow_provider_laplas.report.page import CHART_DAYS, render
from airflow_provider_laplas.report.stats import CollectionStats, DayStats, LanguageStats, NewestFile

__all__ = ["CHART_DAYS", "CollectionStats", "DayStats", "LanguageStats", "NewestFile", "render"]
