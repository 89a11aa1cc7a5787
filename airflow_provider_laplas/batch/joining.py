"""The files of a batch that were submitted in parts: when all parts are there, they become one transcript. Blocking."""

import logging
import time
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError, LaplasMalformedReplyError
from airflow_provider_laplas.manifest.files import FAILED_STATES, UNFINISHED, FileRecord, FileState
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.media.plan import MediaPlan, clock
from airflow_provider_laplas.persistence import persistently
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import load_reply, write_reply
from airflow_provider_laplas.transcript.joining import PartReply, join_replies

log = logging.getLogger(__name__)


def join_parts(state: BatchState) -> None:
    """
    Join the replies of each file whose parts are all transcribed, and fail those of which a part has failed.

    A file waits for all of its parts, so that each has its chance. The replies of the parts stay where they are: a Clear
    submits only those again that have failed.
    """
    ready = ready_to_join(state)
    results = state.storage.map(lambda each: persistently(_join, state, *each), ready)
    for (file, _), (result, facts) in zip(ready, results, strict=True):
        if facts.get("error"):
            log.warning("%s: %s", redacted(file.source), facts["error"])
        state.transition(file, result, completed_at=time.time(), **facts)
    if ready:
        state.note()


def ready_to_join(state: BatchState) -> list[tuple[FileRecord, list[FileRecord]]]:
    """Return the files, and their parts, that wait for none of their parts any more."""
    files = list(state.having(FileState.SPLIT))
    # Most batches have none: looking for parts takes time that grows like the files.
    parts = state.open_parts() if files else {}
    found = [(file, parts.get(file.output, [])) for file in files]
    return [each for each in found if all(part.state not in UNFINISHED for part in each[1])]


def _join(state: BatchState, file: FileRecord, parts: list[FileRecord]) -> tuple[FileState, dict[str, Any]]:
    try:
        plan = MediaPlan.from_fields(file.plan)
    except ValueError as error:
        return FileState.FAILED, {"error": str(error)}
    failed = [part for part in parts if part.state in FAILED_STATES]
    if failed or len(parts) != len(plan.parts):
        return FileState.FAILED, {"error": _why(failed, plan)}
    try:
        replies = [
            PartReply(
                load_reply(state.uri_of(part), state.storage),
                tuple((piece.start, piece.end) for piece in planned.pieces),
                planned.overlap,
                planned.why,
                part.generation_id,
            )
            for part, planned in zip(parts, plan.parts, strict=True)
        ]
        reply = join_replies(replies, seconds=plan.seconds, media=plan.to_fields())
    except (LaplasArgumentError, LaplasMalformedReplyError) as error:
        return FileState.FAILED, {"error": error.message}
    # Others may have transcribed newer audio meanwhile, whose transcript must not be replaced.
    state.check()
    write_reply(state.uri_of(file), reply, state.storage)
    return FileState.COMPLETED, {"error": None, "formats": None, "audio_seconds": plan.seconds}


def _why(failed: list[FileRecord], plan: MediaPlan) -> str:
    if not failed:
        return "Parts of it are missing in the journal. Clear the task to submit them."
    first, *others = failed
    number = first.part or 0
    pieces = plan.parts[number].pieces
    where = (
        f"part {number + 1} of {len(plan.parts)}, from {clock(pieces[0].start)} to {clock(pieces[-1].end)}"
    )
    more = f" So did {len(others)} more." if others else ""
    return f"{where[0].upper()}{where[1:]}, failed: {first.error}{more} Clear the task to submit only what failed again."
