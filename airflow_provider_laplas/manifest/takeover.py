"""What a batch takes over from an earlier try, an earlier run over the same folder, and the outputs in the folder."""

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from airflow_provider_laplas.api.resume import Action, Earlier, Occasion, ResumePolicy, resume
from airflow_provider_laplas.api.retry import ambiguous_submission
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import FIELDS, TRANSCRIBED, UNFINISHED, FileRecord, FileState
from airflow_provider_laplas.manifest.manifest import ABANDONED_AFTER, MOST_UNLISTED, Manifest


def take_over(
    manifest: Manifest,
    earlier: Manifest | None,
    outputs: Collection[str],
    policy: ResumePolicy,
    *,
    last_tries: int | None = None,
) -> None:
    """
    Take over the work of an earlier try, or of an earlier run over the same folder.

    :param manifest: the files to transcribe now; changed in place
    :param earlier: the manifest in the folder, if there is one
    :param outputs: the paths of the transcripts in the folder
    :param last_tries: Airflow's ``max_tries`` as of when this task last started; None if it has not, or that is unknown
    """
    if earlier is None:
        return
    mine = earlier.owner == manifest.owner
    if mine:
        manifest.began_at = earlier.began_at
        last_tries = earlier.max_tries if last_tries is None else last_tries
    occasion = Occasion.RETRY if last_tries == manifest.max_tries else Occasion.CLEAR
    if last_tries is None:
        occasion = Occasion.LATER_RUN
    listed = {entry.output: entry for entry in manifest.entries}
    for old in (*earlier.unlisted, *earlier.entries):
        state = state_after(old, occasion, policy, stored=old.output in outputs)
        entry = listed.get(old.output)
        if entry is None:
            # The file is no longer listed, but its transcript is paid for: keep it until it has been announced.
            untold = state in {FileState.COMPLETED, FileState.DUPLICATE} and not old.announced
            if untold or state is FileState.SUBMITTED or (mine and state is FileState.AMBIGUOUS):
                manifest.entries.append(replace(old, state=state, **_facts(old, state, occasion)))
            elif old.state is not FileState.PENDING:
                # It may be listed again: another run of the DAG may list other files when it is cleared.
                ambiguous = old.state is FileState.INTENT
                manifest.unlisted.append(replace(old, state=FileState.AMBIGUOUS) if ambiguous else old)
        elif state is not FileState.PENDING and _same_work(entry, old):
            taken = {name: getattr(old, name) for name in FIELDS}
            entry.transition(**taken | _facts(old, state, occasion) | {"state": state})
    del manifest.unlisted[:-MOST_UNLISTED]


def _facts(old: FileRecord, state: FileState, occasion: Occasion) -> dict[str, Any]:
    """Return the fields that change, besides the state, when an entry is taken over."""
    if state is FileState.SUBMITTED and occasion is Occasion.CLEAR:
        return {"deadline": None}
    if old.state in {FileState.REJECTED, FileState.SKIPPED}:
        return {"error": None, "formats": None}
    if old.state is FileState.INTENT and state is FileState.AMBIGUOUS:
        error = ambiguous_submission("An earlier try was cut off before the generation's id was saved.")
        return {"error": error.message, "completed_at": time.time()}
    return {}


def _same_work(entry: FileRecord, old: FileRecord) -> bool:
    """Return whether both are the same request, ignoring the version of audio that can no longer be read."""
    if entry.state is FileState.FAILED:
        begun = old.generation_id is not None or old.state in {FileState.INTENT, FileState.AMBIGUOUS}
        known = begun or old.state in TRANSCRIBED | {FileState.FAILED}
        return known and old.fingerprint.startswith(entry.fingerprint)
    return old.fingerprint == entry.fingerprint


def _earlier(record: FileRecord, *, stored: bool) -> Earlier:
    """Return how far an earlier try or run got with a file."""
    match record.state:
        case FileState.COMPLETED | FileState.REJECTED | FileState.SKIPPED | FileState.DUPLICATE:
            return Earlier.STORED if stored else Earlier.DELETED
        case FileState.INTENT | FileState.SUBMITTED | FileState.TIMED_OUT if record.generation_id is not None:
            return Earlier.SUBMITTED
        case FileState.INTENT | FileState.AMBIGUOUS:
            return Earlier.UNANSWERED
        case FileState.FAILED:
            return Earlier.FAILED
        case FileState.GONE:
            return Earlier.GONE
    return Earlier.NOTHING


_UNRESOLVED = {
    Earlier.UNANSWERED: FileState.AMBIGUOUS,
    Earlier.GONE: FileState.GONE,
    Earlier.FAILED: FileState.FAILED,
}


def state_after(record: FileRecord, occasion: Occasion, policy: ResumePolicy, *, stored: bool) -> FileState:
    """
    Return the state in which a file is taken over.

    :param stored: whether its transcript is in the folder
    """
    earlier = _earlier(record, stored=stored)
    match resume(earlier, occasion, policy):
        # Rejected and skipped files are checked again, because the checks may have changed.
        case Action.TAKE:
            return FileState.DUPLICATE if record.state is FileState.DUPLICATE else FileState.COMPLETED
        case Action.ATTACH:
            return FileState.SUBMITTED
        case Action.FAIL:
            return _UNRESOLVED[earlier]
    return FileState.PENDING


def resolve_intents(manifest: Manifest, policy: ResumePolicy) -> None:
    """Decide, during a try, on submissions that another writer started and whose result it did not record."""
    for entry in list(manifest.having(FileState.INTENT)):
        state = state_after(entry, Occasion.RETRY, policy, stored=False)
        entry.transition(state, **_facts(entry, state, Occasion.RETRY))


def check_owner(manifest: Manifest, earlier: Manifest | None) -> None:
    """
    Refuse to write into a folder that another task is using.

    :raises LaplasArgumentError: naming ``results_path``
    """
    if earlier is None or earlier.owner == manifest.owner:
        return
    busy = any(entry.state in UNFINISHED for entry in earlier.entries)
    if busy and time.time() - earlier.written_at < ABANDONED_AFTER:
        raise LaplasArgumentError(
            f"`results_path`: task {earlier.task} is at work in this folder. Wait for it, or use separate folders "
            "(max_active_runs=1 prevents runs of one DAG from overlapping).",
            argument="results_path",
        )


def adopt_outputs(manifest: Manifest, read: Callable[[str], float | None]) -> None:
    """
    Mark submitted files whose output is in the folder as completed. Blocking.

    Their writer was killed before it updated the manifest, and the API may no longer have the result. An output from
    before the submission does not count: it belongs to an earlier one, with other audio or options.

    :param read: returns the seconds of audio of the reply at a URI
    """
    submitted = list(manifest.having(FileState.SUBMITTED))
    stored = manifest.storage.list_files(manifest.folder) if submitted else {}
    for entry in submitted:
        info = stored.get(entry.output)
        if info is not None and info.modified != entry.replaces:
            entry.transition(
                FileState.COMPLETED,
                audio_seconds=read(manifest.uri_of(entry)),
                completed_at=info.modified,
                error=None,
            )
