"""What the worker does about transcripts that are stored: check their quality, and write their other formats. Blocking."""

from typing import Any

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.batch.joining import join_parts
from airflow_provider_laplas.errors import (
    LaplasArgumentError,
    LaplasMalformedReplyError,
    LaplasQualityError,
)
from airflow_provider_laplas.manifest.files import FAILED_STATES, UNFINISHED, FileRecord, FileState
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.manifest.summary import SummaryWriter
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import load_transcript
from airflow_provider_laplas.results.output import Output
from airflow_provider_laplas.results.publishing import check_quality, publish

AT_ONCE = 1000
"""Files after which it is noted how far the worker is, so that its folder is not taken for abandoned."""


def publish_completed(state: BatchState, output: Output) -> None:
    """
    Check the quality of newly completed files, write their other formats, and copy them for duplicates.

    A trigger has done so for most files: what is left is what it had something to report of, or could not write, and what
    an earlier run has transcribed without the formats of this one.
    """

    def lacks_formats(record: FileRecord) -> bool:
        return record.formats is None or bool(set(output.formats) - set(record.formats))

    join_parts(state)
    lacking = [
        record
        for record in state.having(FileState.COMPLETED, FileState.DUPLICATE)
        if record.part_of is None and lacks_formats(record)
    ]
    originals = {record.output: state.find(record.duplicate_of) for record in lacking if record.duplicate_of}
    # A duplicate that has its reply is handled like any file; one that has none waits for its original.
    todo = [
        record
        for record in lacking
        if not originals.get(record.output) and (record.duplicate_of is None or record.formats is not None)
    ]
    summary = SummaryWriter(state)
    for start in range(0, len(todo), AT_ONCE):
        some = todo[start : start + AT_ONCE]
        results = state.storage.map(lambda record: persistently(_publish, record, state, output), some)
        for record, (result, facts) in zip(some, results, strict=True):
            state.transition(record, result, **facts)
        state.note()
        persistently(summary.write_if_due)
    pairs = [(record, original) for record in lacking if (original := originals.get(record.output))]
    results = state.storage.map(lambda pair: persistently(_share, state, *pair), pairs)
    for (record, _), (result, facts) in zip(pairs, results, strict=True):
        state.transition(record, result, **facts)
    state.note()
    waiting = [record for record in state.having(FileState.DUPLICATE) if lacks_formats(record)]
    kept = {record.output for record in waiting} | {record.duplicate_of for record in waiting}
    split = {record.output for record in state.having(FileState.SPLIT)}
    for record in state.having(*set(FileState) - UNFINISHED):
        if record.output not in kept and record.part_of not in split:
            state.close(record)


def _publish(record: FileRecord, state: BatchState, output: Output) -> tuple[FileState, dict[str, Any]]:
    uri = state.uri_of(record)
    try:
        transcript = load_transcript(uri, state.storage)
        if why := check_quality(transcript, output.quality, record.generation_id, name=redacted(uri)):
            return FileState.SKIPPED, {"error": why}
        files = publish(uri, transcript, output.formats, output.captions, state.storage)
    except (LaplasQualityError, LaplasArgumentError, LaplasMalformedReplyError) as error:
        METRICS.failed(error)
        return FileState.REJECTED, {"error": error.message}
    return FileState.COMPLETED, {"formats": sorted({*files, *(record.formats or ())})}


def _share(state: BatchState, record: FileRecord, original: FileRecord) -> tuple[FileState, dict[str, Any]]:
    if original.state is FileState.COMPLETED:
        for name, other in zip(record.names(original.formats), original.names(), strict=True):
            text = state.storage.read_text(f"{state.folder}/{other}")
            state.storage.write_text(f"{state.folder}/{name}", text)
        facts = {"formats": original.formats, "completed_at": original.completed_at}
        return FileState.DUPLICATE, facts | {"lease": original.lease}
    if original.state in FAILED_STATES | {FileState.SKIPPED}:
        return original.state, {"error": original.error, "completed_at": original.completed_at}
    return record.state, {}
