"""Intervals and group sizes of a batch."""

from airflow_provider_laplas.manifest.manifest import ABANDONED_AFTER

GROUP = 100
"""Files that are submitted together, after their intents are written."""

CONCURRENT_SUBMISSIONS = 16

SAVE_EVERY = 3.0
"""Seconds between two writes of the manifest while files finish."""

HEARTBEAT = ABANDONED_AFTER / 5
"""Seconds after which the manifest is written even if no file finished, to show that a task is running."""

REPORT_EVERY = 30.0
"""Seconds between two progress lines in the log."""

SHORTEST_RATE = 5.0
"""Seconds before a rate is logged."""
