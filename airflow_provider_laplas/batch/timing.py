"""Intervals and group sizes of a batch."""

from airflow_provider_laplas.manifest.summary import ABANDONED_AFTER

CONCURRENT_SUBMISSIONS = 16
"""Files that are submitted at a time. No more than that are ambiguous if the worker is killed."""

PATIENCE = 0.1
"""Seconds for which an intent waits for others, to be written with them: a write for each would cost four requests."""

LEASE_VALID = 5.0
"""Seconds for which a check of the lease is good."""

GRACE = 5.0
"""Seconds for which a task that is ended waits for answers to what it has submitted."""

SAVE_EVERY = 3.0
"""Seconds between two writes of the manifest while files finish."""

HEARTBEAT = ABANDONED_AFTER / 10
"""Seconds after which the manifest is written even if no file finished, to show that a task is running."""

REPORT_EVERY = 30.0
"""Seconds between two progress lines in the log."""

SHORTEST_RATE = 5.0
"""Seconds before a rate is logged."""
