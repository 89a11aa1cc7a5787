"""How often, and how many at a time."""

from airflow_provider_laplas.manifest.manifest import ABANDONED_AFTER

GROUP = 100
"""Files whose intents are written, and that are then submitted, together."""

CONCURRENT_SUBMISSIONS = 16

SAVE_EVERY = 3.0
"""Seconds between two writings of the manifest while files finish."""

HEARTBEAT = ABANDONED_AFTER / 5
"""Seconds after which the manifest is written though nothing finished: it shows that a task is at work."""

REPORT_EVERY = 30.0
"""Seconds between two lines of progress in the log."""

SHORTEST_RATE = 5.0
"""Seconds from which on a rate is told."""
