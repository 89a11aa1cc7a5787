"""A batch as the holder of its lease has it in memory: what is open, and counts of all else."""

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider_laplas.manifest.files import (
    ALL_FIELDS,
    FAILED_STATES,
    UNFINISHED,
    FileRecord,
    FileState,
)
from airflow_provider_laplas.manifest.journal import PAGE, Journal, read_lines
from airflow_provider_laplas.manifest.lease import Lease, check_lease
from airflow_provider_laplas.manifest.manifest import apply
from airflow_provider_laplas.manifest.parts import part_records
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage


@dataclass(slots=True)
class Tally:
    """
    Counts of a batch's files, which no longer have to be in memory.

    :ivar began_lease: the number of the lease with which the task first began: what ended under it, or a later one, is
        this run's
    :ivar states: files, and parts of files, in each state
    :ivar parts: of those, the parts
    :ivar new: files that came into a state in this run
    :ivar audio_seconds: of finished audio, as they are billed
    :ivar new_audio_seconds: of those, what was transcribed in this run
    :ivar failure: the first failure of this run: the file and why
    :ivar stopped: why nothing is submitted from the beginning, None if something is
    """

    began_lease: int
    states: Counter[str] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)
    audio_seconds: float = 0.0
    new_audio_seconds: float = 0.0
    failure: str | None = None
    stopped: str | None = None

    def add(self, record: FileRecord, sign: int = 1) -> None:
        """Count a file, or a part, in, or out with ``sign`` -1."""
        self.states[record.state] += sign
        seconds = sign * record.billed_seconds
        self.audio_seconds += seconds
        is_new = record.lease >= self.began_lease and record.state not in UNFINISHED
        if is_new:
            self.new_audio_seconds += seconds
        if record.part_of is not None:
            self.parts[record.state] += sign
        elif is_new:
            self.new[record.state] += sign
            if self.failure is None and record.state in FAILED_STATES:
                source, error = redacted(record.source), (record.error or "").rstrip(".")
                # Some errors name the file.
                self.failure = f"{error}." if source in error else f"{source}: {error}."

    @property
    def total(self) -> int:
        """All files."""
        return self.states.total() - self.parts.total()

    @property
    def unfinished(self) -> int:
        """Files that are neither finished nor failed."""
        return sum(self.states[state] - self.parts[state] for state in UNFINISHED)

    @property
    def failed(self) -> int:
        """Files that failed in this run."""
        return sum(self.new[state] for state in FAILED_STATES)

    def counts(self) -> dict[str, int]:
        """Return how many files are in each state that occurs."""
        files = {state: count - self.parts[state] for state, count in sorted(self.states.items())}
        return {str(state): count for state, count in files.items() if count}

    def __str__(self) -> str:
        return ", ".join(f"{count} {state}" for state, count in self.counts().items())


class BatchState:
    """
    The files of a batch that something is still to be done about, and the journal that notes it.

    What changes is noted by :meth:`take_changes` and :meth:`write`, or by :meth:`note`, which does both.

    :ivar lease: with which it is worked on
    :ivar tally: counts of all files
    :ivar max_tries: Airflow's count of allowed tries
    """

    def __init__(
        self, lease: Lease, storage: Storage, tally: Tally, *, max_tries: int, number: int = 0
    ) -> None:
        self.lease = lease
        self.storage = storage
        self.tally = tally
        self.max_tries = max_tries
        self.journal = Journal(lease.manifest, lease.number, storage, number)
        self._open: dict[FileState, dict[str, FileRecord]] = {state: {} for state in FileState}
        self._changed: dict[str, tuple[FileRecord, set[str]]] = {}
        self._unwritten: list[str] = []
        # Pending files, in the order of the plan: what of it is in memory, and where the rest begins.
        self._queue: deque[FileRecord] = deque()
        self._plan: Journal | None = None
        self._planned = 0
        self._next_page = 0
        self._skipped = 0

    @property
    def uri(self) -> str:
        """The manifest's URI."""
        return self.lease.manifest

    @property
    def folder(self) -> str:
        """The folder of the outputs."""
        return self.uri.rpartition("/")[0]

    def uri_of(self, record: FileRecord) -> str:
        """Return where a file's transcript lies, or would."""
        return f"{self.folder}/{record.output}"

    # The files

    def having(self, *states: FileState) -> Iterator[FileRecord]:
        """Iterate over the open files in some states; of pending ones only those that were begun before."""
        return (record for state in states for record in list(self._open[state].values()))

    def find(self, output: str) -> FileRecord | None:
        """Return the open file with an output."""
        return next((files[output] for files in self._open.values() if output in files), None)

    def add(self, record: FileRecord) -> None:
        """Take a file in that something is to be done about. It is not counted."""
        self._open[record.state][record.output] = record

    def replace(self, record: FileRecord) -> None:
        """Take a file in, instead of what is known of it here. It is not counted."""
        for files in self._open.values():
            files.pop(record.output, None)
        self.add(record)

    def close(self, record: FileRecord) -> None:
        """Forget a file that nothing more is to be done about."""
        self._open[record.state].pop(record.output, None)

    def transition(self, record: FileRecord, state: FileState, **facts: Any) -> None:
        """Put a file into a state, with what is known of it then. It is noted by the next :meth:`note`."""
        if state not in UNFINISHED and state is not record.state:
            facts.setdefault("lease", self.lease.number)
        if state is FileState.INTENT:
            facts["attempt"] = record.attempt + 1
        self.tally.add(record, -1)
        self._open[record.state].pop(record.output, None)
        names = record.transition(state, **facts)
        self._open[state][record.output] = record
        self.tally.add(record)
        self._changed.setdefault(record.output, (record, set()))[1].update(names)

    def split(self, record: FileRecord, fingerprint: str, plan: Mapping[str, Any]) -> None:
        """
        Have a file be submitted in parts, which are pending from here on. It is noted by the next :meth:`note`.

        :param fingerprint: of the audio that was planned, which may be newer than the one that was listed
        :param plan: as a :class:`~airflow_provider_laplas.media.MediaPlan` says
        """
        self.transition(record, FileState.SPLIT, fingerprint=fingerprint, plan=dict(plan))
        for part in part_records(record, plan):
            self.tally.add(part)
            self.add(part)
            self._changed[part.output] = (part, set(ALL_FIELDS))

    def open_parts(self) -> dict[str, list[FileRecord]]:
        """Return the open parts of each file, by its output, in their order."""
        found: dict[str, list[FileRecord]] = {}
        for record in self.having(*FileState):
            if record.part_of is not None:
                found.setdefault(record.part_of, []).append(record)
        return {output: sorted(parts, key=lambda part: part.part or 0) for output, parts in found.items()}

    def touch(self, record: FileRecord, **facts: Any) -> None:
        """Change what is known of a file, and not its state."""
        self.transition(record, record.state, **facts)

    def next_pending(self, count: int) -> list[FileRecord]:
        """
        Take the next files to be submitted, so many at most. Blocking, where a page of the plan has to be read.

        What is not submitted then has to be given back by :meth:`add`, or be put into a state.
        """
        begun = self._open[FileState.PENDING]
        taken = [begun.pop(output) for output in list(begun)[:count]]
        while len(taken) < count:
            if not self._queue and not self._read_page():
                break
            taken.append(self._queue.popleft())
        return taken

    def _read_page(self) -> bool:
        if self._plan is None or self._position >= self._planned:
            return False
        # The first line of all is no file.
        lines = self._plan.read_page(self._next_page)[self._skipped or int(self._next_page == 0) :]
        self._queue.extend(map(FileRecord.from_fields, lines))
        self._next_page, self._skipped = self._next_page + 1, 0
        return True

    @property
    def _position(self) -> int:
        """The plan's line with which the files begin that are still to be taken."""
        return min(self._next_page * PAGE + self._skipped, self._planned) - len(self._queue)

    # What is noted

    @property
    def changed(self) -> bool:
        """Whether something changed that is not noted, or being noted, yet."""
        return bool(self._changed or self._unwritten)

    def take_changes(self) -> list[str]:
        """Return what changed since, as lines for :meth:`write`."""
        lines = [*self._unwritten, *(record.to_line(names) for record, names in self._changed.values())]
        self._unwritten, self._changed = [], {}
        return lines

    def write(self, lines: list[str]) -> None:
        """Write what changed into the journal. Blocking. What could not be written is part of the next changes."""
        if not lines:
            return
        try:
            self.journal.append(lines)
        except BaseException:
            self._unwritten = [*lines, *self._unwritten]
            raise

    def note(self) -> None:
        """Note what changed. Blocking."""
        self.write(self.take_changes())

    def check(self) -> None:
        """
        Return if the lease is still held. Blocking.

        :raises LaplasArgumentError: if somebody else has taken it since
        """
        check_lease(self.lease, self.storage)

    def begin(self, pending: list[FileRecord], others: Iterable[str], header: Mapping[str, Any]) -> None:
        """
        Note with what the batch begins. Blocking.

        :param pending: the files to be submitted, in order
        :param others: lines of other files that are new, or not what they were
        :param header: facts of the batch, by their names in the manifest
        """
        plan = [json.dumps(header), *(record.to_line() for record in pending)] if pending else []
        others = list(others)
        if plan:
            self._plan, self._planned = self.journal, len(plan)
            self._next_page = self.journal.write_plan(plan)
            self._queue.extend(pending)
        elif others:
            others.insert(0, json.dumps(header))
        for start in range(0, len(others), 4 * PAGE):
            self.journal.append(others[start : start + 4 * PAGE])

    def take_lease(self, lease: Lease) -> None:
        """Go on under a lease that was taken after the one that it was handed over under."""
        self.lease = lease
        self.journal = Journal(lease.manifest, lease.number, self.storage)

    # Handing over from the worker to the trigger, and back

    def hand_over(self) -> None:
        """Note what a trigger needs that waits under this lease, and a worker that goes on after it. Blocking."""
        self.note()
        self.journal.write_checkpoint(
            {
                "began_lease": self.tally.began_lease,
                "max_tries": self.max_tries,
                "tally": {item.name: getattr(self.tally, item.name) for item in fields(Tally)},
                "plan": [self._plan.lease, self._planned, self._position] if self._plan else None,
                "open": [_briefly(record) for files in self._open.values() for record in files.values()],
            }
        )

    @classmethod
    def resumed(cls, lease: Lease, storage: Storage) -> "BatchState | None":
        """
        Return the batch as it was handed over under a lease, with what was noted since. Blocking.

        :return: None if it was never handed over, or a manifest has been written meanwhile, which holds it
        """
        content = Journal(lease.manifest, lease.number, storage).read_checkpoint()
        if content is None:
            return None
        try:
            return cls._resumed(content, lease, storage)
        except FileNotFoundError:
            return None

    @classmethod
    def _resumed(cls, content: Mapping[str, Any], lease: Lease, storage: Storage) -> "BatchState":
        tally = Tally(**content["tally"])
        tally.states, tally.parts, tally.new = map(Counter, (tally.states, tally.parts, tally.new))
        state = cls(lease, storage, tally, max_tries=content["max_tries"], number=content["number"])
        if content["plan"]:
            plan_lease, state._planned, position = content["plan"]
            state._plan = Journal(lease.manifest, plan_lease, storage)
            # Read when it is needed: a trigger submits nothing.
            state._next_page, state._skipped = divmod(position, PAGE)
        records = {each["output"]: FileRecord.from_fields(each) for each in content["open"]}
        since = state.journal.segments_after(content["number"])
        before = dict(records)
        for line in read_lines(since, storage):
            if line.get("output") in records:
                apply(records, line)
        for output, record in records.items():
            if record is not before[output]:
                tally.add(before[output], -1)
                tally.add(record)
            state.add(record)
        state.journal.number = max([content["number"], *(segment.number for segment in since)])
        return state


def _briefly(record: FileRecord) -> dict[str, Any]:
    """Return what is to be known of a file to wait for it: what is long and not needed for that stays in the journal."""
    content = record.to_fields()
    if record.state is not FileState.PENDING:
        content["fingerprint"] = ""
        content.pop("content", None)
    return content
