"""What must be true of every history."""

import math
from itertools import pairwise

from airflow_provider_laplas.errors import LaplasStorageError
from airflow_provider_laplas.manifest.files import UNFINISHED, FileRecord, FileState
from airflow_provider_laplas.manifest.manifest import Manifest
from airflow_provider_laplas.task.outcome import Done
from tests.simulation.airflow import Airflow, Task
from tests.simulation.api import Post
from tests.simulation.world import FOLDER, MANIFEST, BrokenPropertyError, Writer


def check_payments(airflow: Airflow) -> None:
    """No file is accepted twice unless its ambiguity was shown and consented."""
    by_url: dict[str, list[Post]] = {}
    for post in airflow.api.posts:
        by_url.setdefault(post.url, []).append(post)
    for posts in by_url.values():
        posts.sort(key=lambda post: post.asked_at)
        for earlier, later in pairwise(posts):
            if not _may_follow(earlier, later, airflow):
                raise BrokenPropertyError(
                    f"no file is accepted twice: {earlier.url} as {earlier.generation_id} by "
                    f"{earlier.writer.name}, then as {later.generation_id} by {later.writer.name}"
                )


def _may_follow(earlier: Post, later: Post, airflow: Airflow) -> bool:
    """Tell whether a file that was submitted may be submitted again."""
    policy = later.writer.task.settings.policy
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
    output, task = _output(post.url), writer.task
    shown = min(
        (at for at, outputs in airflow.world.storage.shown if output in outputs and at >= post.asked_at),
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
        if not (post.fails and world.elapsed >= post.ready_at):
            world.broken(f"every id is kept: {generation_id} of {post.url}, noted, is not found by a reader")


def _ids(manifest: Manifest | None) -> set[str | None]:
    records = _records(manifest).values()
    return {each for record in records for each in (record.generation_id, *(record.other_ids or ()))}


def _records(manifest: Manifest | None) -> dict[str, FileRecord]:
    return {record.output: record for record in (*manifest.entries, *manifest.unlisted)} if manifest else {}


def check_transcripts(airflow: Airflow, manifest: Manifest | None) -> None:
    """Every finished transcript is stored or reported."""
    storage = airflow.world.storage
    records = _records(manifest)
    for post in airflow.api.posts:
        record = records.get(_output(post.url))
        if record is None:
            continue
        stored = storage.files.get(f"{FOLDER}/{record.output}")
        if record.state is FileState.COMPLETED and (stored is None or post.url not in stored[0]):
            raise BrokenPropertyError(f"what is completed is stored: {post.url}")


def check_end(airflow: Airflow, task: Task, manifest: Manifest | None) -> None:
    """A batch ends: with nothing that hinders it, all of its files are finished or failed."""
    if task.state not in {"success", "failed"}:
        raise BrokenPropertyError(f"a batch ends: {task.name} is {task.state}")
    if task.state == "success" and isinstance(task.outcome, Done):
        entries = manifest.entries if manifest else []
        if left := [record for record in entries if record.state in UNFINISHED]:
            raise BrokenPropertyError(f"a batch ends: {left[0].output} is {left[0].state}")
        return
    said = airflow.world.said[-1] if airflow.world.said else ""
    if "max_failed" not in said:
        raise BrokenPropertyError(f"a batch ends: {task.name} is {task.state}: {said}")
