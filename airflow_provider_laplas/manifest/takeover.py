"""What a batch takes over from an earlier try, an earlier run over the same folder, and the outputs in the folder."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_laplas.api.resume import Action, Earlier, Occasion, ResumePolicy, resume
from airflow_provider_laplas.api.retry import ambiguous_submission
from airflow_provider_laplas.backends import FileInfo
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import (
    FAILED_STATES,
    MOST_OTHER_IDS,
    TRANSCRIBED,
    UNFINISHED,
    WITHOUT_TRANSCRIPT,
    FileRecord,
    FileState,
)
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.manifest.parts import part_outputs, part_records


def take_over(
    entries: Iterable[FileRecord],
    earlier: Manifest,
    outputs: Collection[str],
    policy: ResumePolicy,
    occasion: Occasion,
    *,
    mine: bool,
    lease: int,
) -> list[FileRecord]:
    """
    Return what is to be done about the files now, given what an earlier try or run over the same folder has done.

    :param entries: the files to be transcribed now
    :param outputs: the transcripts that are in the folder
    :param mine: whether the earlier work is this very task's
    :param lease: the number of the lease that is held now
    :return: those files, then those that are not listed any more, then the parts of files
    """
    listed = {entry.output: entry for entry in entries}
    unlisted = []
    for old in (*earlier.unlisted, *earlier.entries):
        state = state_after(old, occasion, policy, stored=old.output in outputs)
        entry = listed.get(old.output)
        if (
            entry is not None
            and occasion is Occasion.LATER_RUN
            and entry.state is old.state is FileState.FAILED
        ):
            # It still cannot be read, which an earlier run has reported.
            state = FileState.FAILED
        if entry is None:
            # The file is no longer listed, but its transcript is paid for: keep it until it has been announced.
            untold = state in {FileState.COMPLETED, FileState.DUPLICATE} and not old.announced
            if untold or state is FileState.SUBMITTED or (mine and state is FileState.AMBIGUOUS):
                unlisted.append(replace(old, state=state, listed=True, **_facts(old, state, occasion, lease)))
            else:
                # The file may be listed again, e.g. if another run of the DAG is cleared.
                kept = FileState.AMBIGUOUS if old.state is FileState.INTENT else old.state
                unlisted.append(replace(old, state=kept, listed=False))
        elif state is not FileState.PENDING and _same_work(entry, old):
            facts = {"state": state, "listed": True, **_facts(old, state, occasion, lease)}
            done = state not in UNFINISHED
            # Most of them, in a later run, are as they were.
            same = done and all(getattr(old, name) == value for name, value in facts.items())
            listed[old.output] = old if same else replace(old, **facts)
        else:
            _begin_anew(entry, old)
    parts = [
        _part_after(old, listed.get(str(old.part_of)), occasion, policy, lease, stored=old.output in outputs)
        for old in earlier.parts
    ]
    if occasion is Occasion.CLEAR:
        parts += _unknown_parts(listed.values(), parts)
    listed.update(_lacking_as_before(earlier, listed, parts))
    return [*listed.values(), *unlisted, *parts]


def _unknown_parts(files: Iterable[FileRecord], known: Iterable[FileRecord]) -> list[FileRecord]:
    """Return those parts of files of which nothing is known: what had noted them was deleted."""
    outputs = {part.output for part in known}
    split = (file for file in files if file.state is FileState.SPLIT and file.plan is not None)
    return [part for file in split for part in part_records(file) if part.output not in outputs]


def _lacking_as_before(
    earlier: Manifest, listed: Mapping[str, FileRecord], parts: Iterable[FileRecord]
) -> dict[str, FileRecord]:
    """Return the files that have failed for want of parts, about which nothing is done now: that was reported before."""
    failed = {
        old.output: old
        for old in (*earlier.entries, *earlier.unlisted)
        if old.state is FileState.FAILED
        and old.plan is not None
        and old.output in listed
        and listed[old.output].state is FileState.SPLIT
    }
    states: dict[str, set[FileState]] = {output: set() for output in failed}
    for part in parts:
        if part.part_of in failed and part.listed:
            states[part.part_of].add(part.state)
    return {
        output: old if old.listed else replace(old, listed=True)
        for output, old in failed.items()
        if not states[output] & UNFINISHED and (states[output] & FAILED_STATES or not states[output])
    }


def _begin_anew(entry: FileRecord, old: FileRecord) -> None:
    """Have another submission be made: what late writers still note of the one before is told apart by its number."""
    entry.attempt = old.attempt + (0 if _same_work(entry, old) else 1)
    entry.other_ids = old.other_ids
    if old.generation_id is not None and old.state in WITHOUT_TRANSCRIPT:
        entry.other_ids = [*(old.other_ids or ()), old.generation_id][-MOST_OTHER_IDS:]


def _part_after(
    old: FileRecord,
    file: FileRecord | None,
    occasion: Occasion,
    policy: ResumePolicy,
    lease: int,
    *,
    stored: bool,
) -> FileRecord:
    """
    Return a part as it is taken over: listed where something is to be done about it.

    :param file: whose part it is; None where that is not listed any more
    :param stored: whether its transcript is in the folder
    """
    wanted = file is not None and file.state is FileState.SPLIT and old.output in part_outputs(file)
    state = state_after(old, occasion, policy, stored=stored)
    if wanted and state is FileState.PENDING:
        entry = FileRecord(old.source, old.fingerprint, old.output, part_of=old.part_of, part=old.part)
        _begin_anew(entry, old)
        return entry
    # What is under way is paid for, whether its file is still wanted or not.
    if wanted or state is FileState.SUBMITTED:
        return replace(old, state=state, listed=True, **_facts(old, state, occasion, lease))
    kept = FileState.AMBIGUOUS if old.state is FileState.INTENT else old.state
    return replace(old, state=kept, listed=False)


def _facts(old: FileRecord, state: FileState, occasion: Occasion, lease: int) -> dict[str, Any]:
    """Return the fields that change, besides the state, when an entry is taken over."""
    if state is FileState.SUBMITTED and occasion is Occasion.CLEAR:
        return {"deadline": None}
    if old.state in {FileState.REJECTED, FileState.SKIPPED}:
        return {"error": None, "formats": None}
    if state is FileState.SPLIT:
        return {"error": None, "completed_at": None, "formats": None}
    if old.state is FileState.INTENT and state is FileState.AMBIGUOUS:
        error = ambiguous_submission("An earlier try was cut off before the generation's id was saved.")
        return {"error": error.message, "completed_at": time.time(), "lease": lease}
    return {}


def _same_work(entry: FileRecord, old: FileRecord) -> bool:
    """Return whether both are the same request, ignoring the version of audio that can no longer be read."""
    if entry.state is FileState.FAILED:
        under_way = {FileState.INTENT, FileState.AMBIGUOUS, FileState.SPLIT}
        begun = old.generation_id is not None or old.state in under_way
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
        case FileState.AMBIGUOUS if record.reported:
            return Earlier.AMBIGUOUS
        case FileState.FAILED if record.generation_id is None and not record.attempt:
            # It could not be read: nothing was sent.
            return Earlier.NOTHING
    return _WITHOUT_ID.get(record.state, Earlier.NOTHING)


_WITHOUT_ID = {
    FileState.INTENT: Earlier.UNANSWERED,
    FileState.AMBIGUOUS: Earlier.UNANSWERED,
    FileState.FAILED: Earlier.FAILED,
    FileState.GONE: Earlier.GONE,
}
_UNRESOLVED = {
    Earlier.UNANSWERED: FileState.AMBIGUOUS,
    Earlier.AMBIGUOUS: FileState.AMBIGUOUS,
    Earlier.GONE: FileState.GONE,
    Earlier.FAILED: FileState.FAILED,
}


def state_after(record: FileRecord, occasion: Occasion, policy: ResumePolicy, *, stored: bool) -> FileState:
    """
    Return the state in which a file is taken over.

    :param stored: whether its transcript is in the folder
    """
    if record.state is FileState.SPLIT or (record.state is FileState.FAILED and record.plan is not None):
        # What is to be done is decided for each of its parts.
        return FileState.SPLIT
    earlier = _earlier(record, stored=stored)
    match resume(earlier, occasion, policy):
        # Rejected and skipped files are checked again, because the checks may have changed.
        case Action.TAKE:
            return FileState.DUPLICATE if record.state is FileState.DUPLICATE else FileState.COMPLETED
        case Action.ATTACH:
            return FileState.SUBMITTED
        case Action.FAIL:
            return _UNRESOLVED[earlier]
    # Which of its parts are to be submitted again is decided for each of them.
    return FileState.PENDING if record.plan is None else FileState.SPLIT


def adopt_outputs(
    records: Iterable[FileRecord],
    outputs: Mapping[str, FileInfo],
    read: Callable[[str], float | None],
    each: Callable[..., Iterable[Any]],
) -> None:
    """
    Count as completed what is in the folder though nobody noted it, or nobody knows it any more. Blocking.

    Whoever wrote it was killed before that, and by now the API may have forgotten it. An output that was there before a
    submission is of an earlier one, with other audio or other options.

    :param records: submitted files, and pending ones of which nothing else is known, whose outputs are in the folder
    :param outputs: what is in the folder, by its path below it
    :param read: returns the seconds of audio of the reply at such a path
    :param each: calls a function for each item, as ``map`` does
    """

    def read_reply(record: FileRecord) -> dict[str, Any] | None:
        try:
            return {"audio_seconds": read(record.output)}
        except LaplasArgumentError:
            # A file of somebody else's, or one that was deleted just now.
            return None

    found = [
        record
        for record in records
        if record.state is FileState.PENDING or outputs[record.output].modified != record.replaces
    ]
    for record, facts in zip(found, each(read_reply, found), strict=True):
        if facts is not None:
            completed_at = outputs[record.output].modified
            record.transition(FileState.COMPLETED, completed_at=completed_at, error=None, **facts)
