"""What must be true of every history."""

import math
from typing import Any

from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.manifest.files import UNFINISHED, FileRecord, FileState
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.task.outcome import Done
from tests.simulation.airflow import Airflow, Task
from tests.simulation.api import Post
from tests.simulation.recordings import Sent
from tests.simulation.world import FOLDER, MANIFEST, BrokenPropertyError, Writer, version_of


def check_payments(airflow: Airflow) -> None:
    """No audio, of a file or of a part of one, is accepted twice unless its ambiguity was shown and consented."""
    by_url: dict[str, list[Post]] = {}
    for post in airflow.api.posts:
        by_url.setdefault(post.url, []).append(post)
    for posts in by_url.values():
        posts.sort(key=lambda post: post.asked_at)
        for number, later in enumerate(posts):
            # Of each stretch that was submitted before, the last time.
            before = {post.sent: post for post in posts[:number] if post.sent.overlaps(later.sent)}
            for earlier in before.values():
                if not _may_follow(earlier, later, airflow):
                    raise BrokenPropertyError(
                        f"no file is accepted twice: {earlier.sent} as {earlier.generation_id} by "
                        f"{earlier.writer.name}, then {later.sent} as {later.generation_id} by {later.writer.name}"
                    )


def _may_follow(earlier: Post, later: Post, airflow: Airflow) -> bool:
    """Tell whether a file that was submitted may be submitted again."""
    policy = later.writer.policy
    if earlier.fails and later.sent_at >= earlier.ready_at:
        return True
    if policy.on_expired == "resubmit" and earlier.state(later.sent_at) == "gone":
        return True
    noted_at = airflow.world.storage.noted_at.get(earlier.generation_id, math.inf)
    if policy.on_ambiguous == "resubmit":
        # What was unknown to whoever took the lease next may be submitted again, also by those who come after that one.
        leases = [each.lease_at for each in airflow.world.writers if each is not earlier.writer]
        return noted_at > min((at for at in leases if at > earlier.asked_at), default=later.asked_at)
    return noted_at > later.writer.lease_at and _consented(earlier, later.writer, airflow)


def _consented(post: Post, writer: Writer, airflow: Airflow) -> bool:
    """
    Tell whether the user, who was told that a submission is ambiguous, has cleared the task before it went on.

    A try knows that there was a Clear, and not when: what was shown after the Clear, and before the first try after it has
    begun, counts as shown before it.
    """
    work, task = (_output(post.url), post.sent.part, post.sent.version), writer.task
    shown = min(
        (at for at, ambiguous in airflow.world.storage.shown if work in ambiguous and at >= post.asked_at),
        default=math.inf,
    )
    tries: dict[int, float] = {}
    for each in airflow.world.writers:
        if each.task is task and each.started_at <= writer.started_at:
            tries.setdefault(each.tries, each.started_at)
    for cleared in task.clears:
        used = min((at for at in task.store.set_at if at > cleared), default=math.inf)
        starts = [at for at in tries.values() if at >= cleared]
        if any(shown <= cleared or shown <= at <= used for at in starts):
            return True
    return False


def _output(url: str) -> str:
    from airflow_provider_laplas.manifest.names import output_name  # noqa: PLC0415

    return output_name(url, None)


def check_ids(airflow: Airflow) -> Manifest | None:
    """Every id that an answer carried is in the merged manifest or in an error."""
    storage, world = airflow.world.storage, airflow.world
    manifest = Manifest.find(MANIFEST, storage)
    known = _ids(manifest)
    for post in airflow.api.posts:
        noted = post.generation_id in storage.noted_at
        told = post.delivered_to is not None and not post.delivered_to.dead
        if not (noted or told) or post.generation_id in known:
            continue
        if post.fails and world.elapsed >= post.ready_at:
            # What could not be transcribed is not billed.
            continue
        if post.generation_id in storage.stored and not _is_newest(post, airflow):
            # Its transcript is stored, and the recording has changed since.
            continue
        if not any(post.generation_id in text for text in world.said):
            raise BrokenPropertyError(
                f"every id is kept: {post.generation_id} of {post.url}, {'noted' if noted else 'told'}, is not in the "
                "manifest, nor in an error"
            )
    return manifest


def read_as_a_user(airflow: Airflow) -> None:
    """Whoever reads the manifest while others are at work finds every id that was noted before."""
    world = airflow.world
    noted = set(world.storage.noted_at)
    try:
        manifest = Manifest.find(MANIFEST, world.storage)
    except LaplasStorageError:
        return
    for generation_id in noted - _ids(manifest):
        post = airflow.api.by_id[generation_id]
        superseded = post.generation_id in world.storage.stored and not _is_newest(post, airflow)
        if not superseded and not (post.fails and world.elapsed >= post.ready_at):
            world.broken(f"every id is kept: {generation_id} of {post.url}, noted, is not found by a reader")


def _ids(manifest: Manifest | None) -> set[str | None]:
    records = _records(manifest).values()
    return {each for record in records for each in (record.generation_id, *(record.other_ids or ()))}


def _records(manifest: Manifest | None) -> dict[str, FileRecord]:
    return {record.output: record for record in manifest.records()} if manifest else {}


def _is_newest(post: Post, airflow: Airflow) -> bool:
    """Tell whether the recording is still as it was submitted."""
    found = airflow.world.storage.files.get(post.url)
    return found is None or post.sent.version == f"{len(found[0])}-{found[2]}"


def check_transcripts(airflow: Airflow, manifest: Manifest | None) -> None:
    """What is completed is stored: a transcript of the audio that it is of, with all of its parts."""
    storage = airflow.world.storage
    records = _records(manifest)
    for post in airflow.api.posts:
        record = records.get(_output(post.url))
        if record is None or record.state is not FileState.COMPLETED or not _is_of(record, post.sent):
            continue
        stored = storage.files.get(f"{FOLDER}/{record.output}")
        if stored is None or post.url not in stored[0]:
            raise BrokenPropertyError(f"what is completed is stored: {post.sent}")
    for record in records.values():
        if record.state is FileState.COMPLETED and record.plan is not None and record.listed:
            text = storage.files[f"{FOLDER}/{record.output}"][0]
            for number, part in enumerate(record.plan["parts"]):
                ((start, end),) = part["pieces"]
                sent = Sent(record.source, version_of(record.fingerprint), start, end, number)
                if str(sent) not in text:
                    raise BrokenPropertyError(f"a transcript is joined of all parts: {sent} is not in it")


def _is_of(record: FileRecord, sent: Sent) -> bool:
    return version_of(record.fingerprint) == sent.version


def check_end(airflow: Airflow, task: Task, manifest: Manifest | None) -> None:
    """A batch ends: with nothing that hinders it, all of its files are finished or failed."""
    if task.state not in {"success", "failed"}:
        raise BrokenPropertyError(f"a batch ends: {task.name} is {task.state}")
    if task.state == "success" and isinstance(task.outcome, Done):
        entries = manifest.entries if manifest else []
        if left := [record for record in entries if record.state in UNFINISHED]:
            raise BrokenPropertyError(f"a batch ends: {left[0].output} is {left[0].state}")
        _check_summary(task.outcome.value, entries, task)
        return
    said = airflow.world.said[-1] if airflow.world.said else ""
    if "max_failed" not in said:
        raise BrokenPropertyError(f"a batch ends: {task.name} is {task.state}: {said}")


def _check_summary(summary: dict[str, Any], entries: list[FileRecord], task: Task) -> None:
    """What a task returns counts files, and not their parts."""
    listed = {_output(url) for url in task.urls}
    if not listed <= {entry.output for entry in entries}:
        raise BrokenPropertyError("a batch ends: a file is not in the manifest")
    if any(entry.part_of is not None for entry in entries) or sum(summary["counts"].values()) != len(entries):
        raise BrokenPropertyError(f"a summary counts files, and no parts: {summary['counts']}")
    if summary["files"] != len(entries):
        raise BrokenPropertyError(f"a summary counts files, and no parts: {summary['files']} files")
