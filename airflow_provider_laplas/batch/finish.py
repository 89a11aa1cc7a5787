"""How a batch ends: its manifest is written, and holds all that its writers have noted."""

import time

from airflow_provider_laplas.api.retry import ambiguous_submission
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import TRANSCRIBED, WITHOUT_TRANSCRIPT, FileRecord, FileState
from airflow_provider_laplas.manifest.journal import Segment
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.manifest.parts import part_outputs
from airflow_provider_laplas.manifest.state import BatchState, Tally
from airflow_provider_laplas.manifest.summary import leave
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted

MOST_UNLISTED = 10_000
"""How many of the files are remembered that are not listed any more: the newest ones."""


_LACKING = {FileState.FAILED, FileState.SPLIT}
_OPEN = WITHOUT_TRANSCRIPT | {FileState.INTENT, FileState.AMBIGUOUS}


def gather(state: BatchState) -> tuple[Manifest, list[Segment]]:
    """
    Return what all writers have noted, and the segments that the manifest does not hold yet. Blocking.

    :raises LaplasArgumentError: if somebody else has taken the lease, or the journal is gone
    """
    state.note()
    state.check()
    manifest, new = persistently(Manifest.gather, state.uri, state.storage)
    if manifest is None:
        raise LaplasArgumentError(
            f"The batch's journal is missing: {redacted(state.uri)}. Clear the task to start again.",
            argument="results_path",
        )
    manifest.owner, manifest.max_tries = dict(state.lease.owner), state.max_tries
    manifest.began_lease = state.tally.began_lease
    manifest.stopped = state.tally.stopped
    return manifest, new


def write(state: BatchState, manifest: Manifest, new: list[Segment]) -> None:
    """Write the manifest, and leave the batch to whoever comes next. Blocking."""
    # Its own lease, so that what writers of earlier ones still write is known to be late.
    manifest.folded[str(state.lease.number)] = state.journal.number
    # A file that was never submitted is forgotten once it is no longer listed; not the ids that are known of one.
    unlisted = [each for each in manifest.unlisted if each.state is not FileState.PENDING or each.other_ids]
    manifest.unlisted = unlisted[-MOST_UNLISTED:]
    if manifest.parts:
        manifest.parts = _remembered(manifest)
    manifest.fold(new, state.lease, state.storage)
    leave(state.lease, state.storage, state.tally)


def _remembered(manifest: Manifest) -> list[FileRecord]:
    """Return the parts that belong to a file as it is now; of others what is open, unknown or of this run."""
    files = {record.output: record for record in (*manifest.entries, *manifest.unlisted)}
    wanted = {
        output
        for name in {str(part.part_of) for part in manifest.parts} & files.keys()
        for output in part_outputs(files[name])
    }
    return [
        part
        for part in manifest.parts
        if part.output in wanted or part.state in _OPEN or part.lease >= manifest.began_lease
    ]


def take_late(state: BatchState, manifest: Manifest, timeout: float) -> bool:
    """
    Take up what writers have noted that had lost their lease, and return whether there was anything.

    :param timeout: seconds for each generation
    """
    unanswered = {FileState.SUBMITTED, FileState.INTENT}
    late = [*manifest.having(*unanswered), *(p for p in manifest.parts if p.listed and p.state in unanswered)]
    if not late:
        return False
    state.tally = tally_of(manifest)
    _take_up_files(state, manifest, {record.part_of for record in late if record.part_of is not None})
    for record in late:
        state.replace(record)
        if record.generation_id is None:
            error = ambiguous_submission("Another try was cut off before the generation's id was saved.")
            state.transition(record, FileState.AMBIGUOUS, error=error.message, completed_at=time.time())
        elif record.deadline is None:
            state.touch(record, deadline=time.time() + timeout)
    return True


def _take_up_files(state: BatchState, manifest: Manifest, outputs: set[str]) -> None:
    """Go on with the files of which a part is late, and which have failed for that."""
    files = {
        each.output: each for each in manifest.entries if each.output in outputs and each.state in _LACKING
    }
    for file in files.values():
        state.replace(file)
        state.transition(file, FileState.SPLIT, error=None, completed_at=None)
    for part in manifest.parts:
        if part.part_of in files and part.listed:
            state.replace(part)


def tally_of(manifest: Manifest) -> Tally:
    """Count a manifest's files."""
    tally = Tally(manifest.began_lease, stopped=manifest.stopped)
    for record in (*manifest.entries, *manifest.parts):
        if record.part_of is None or record.listed or record.state in TRANSCRIBED:
            tally.add(record)
    return tally
