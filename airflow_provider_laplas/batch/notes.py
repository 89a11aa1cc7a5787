"""Updates of the manifest that the worker and the trigger share."""

import logging
import time

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.manifest import Manifest

log = logging.getLogger(__name__)


def end(entry: FileRecord, state: FileState, error: LaplasError) -> None:
    """Mark a file as ended with an error."""
    METRICS.failed(error)
    entry.transition(state, error=error.message, completed_at=time.time())
    log.warning("%s: %s", entry.source, error)


async def try_to_save(manifest: Manifest) -> Exception | None:
    """Write the manifest; return the error if that fails."""
    try:
        await manifest.storage.off_loop(manifest.uri, manifest.save)
    except Exception as error:  # noqa: BLE001
        return error
    return None
