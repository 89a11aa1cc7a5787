"""The host name that a process of a cluster gives itself, as if it had a machine of its own."""

import os
import socket

VARIABLE = "AIRFLOW_STACK_HOSTNAME"


def hostname() -> str:
    """Return the name that the process was started with, or the machine's; for ``[core] hostname_callable``."""
    return os.environ.get(VARIABLE) or socket.gethostname()
