"""How a batch begins: what is to be done about each file, given what earlier tries and runs have done."""

import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.resume import Occasion
from airflow_provider_laplas.audio.fingerprint import as_known, fingerprint, fingerprint_request
from airflow_provider_laplas.backends import FileInfo
from airflow_provider_laplas.batch.content import Content
from airflow_provider_laplas.batch.limits import BatchLimits
from airflow_provider_laplas.batch.sources import Source
from airflow_provider_laplas.batch.submit import Request
from airflow_provider_laplas.batch.wait import seconds_of
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import TRANSCRIBED, FileRecord, FileState
from airflow_provider_laplas.manifest.journal import Segment
from airflow_provider_laplas.manifest.lease import Lease
from airflow_provider_laplas.manifest.manifest import NAME, Manifest
from airflow_provider_laplas.manifest.names import fits, legacy_output_name
from airflow_provider_laplas.manifest.parts import counted
from airflow_provider_laplas.manifest.state import BatchState, Tally
from airflow_provider_laplas.manifest.summary import check_version_1, keep, leave, write_summary
from airflow_provider_laplas.manifest.takeover import adopt_outputs, take_over
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import Storage

log = logging.getLogger(__name__)

SMALL = 1024 * 1024
"""Bytes of a journal that are not worth a new manifest before the task ends."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """
    The first step of a task, which has just taken the lease.

    :ivar outputs: what is in the folder
    :ivar before: the newest snapshot when the task began, before it took the lease
    :ivar began: when the first try since the last Clear began, in epoch seconds
    """

    lease: Lease
    outputs: dict[str, FileInfo] = field(repr=False)
    request: Request
    limits: BatchLimits
    storage: Storage = field(repr=False)
    before: Segment | None
    began: float = math.inf

    def begin(
        self, sources: Mapping[str, Source], max_tries: int, *, durable: bool, last_tries: int | None
    ) -> BatchState | None:
        """
        Decide what is to be done about each file, check the limits, and note it.

        :param sources: the files, by their outputs
        :param last_tries: ``max_tries`` when this task last began, None where it has not
        :return: None if there is nothing to do
        :raises LaplasArgumentError: if there are more files than the limits allow, or version 0.1 is at work
        """
        earlier = self._earlier()
        known = {record.output: record for record in earlier.records()}
        sources, records = self._decide(sources, earlier, known, max_tries, last_tries, durable=durable)
        listed = [record for record in records if record.listed]
        if not listed:
            leave(self.lease, self.storage)
            return None
        for record in listed:
            # A user's Clear begins a new one.
            if record.state is FileState.SUBMITTED and record.deadline is None:
                record.deadline = time.time() + self.request.timeout
        content = Content(sources, self.storage, self.lease.number, lambda: keep(self.lease, self.storage))
        if self.limits.deduplicate:
            content.mark_duplicates([record for record in listed if record.part_of is None])
        tally = Tally(self._began_lease(earlier))
        for record in counted(records, tally.began_lease):
            tally.add(record)
        # Parts are always open. Their file was within the limits when it was cut.
        pending = [r for r in listed if r.state is FileState.PENDING and r.part_of is None]
        self._check_limits(pending, content, tally)
        others = [r for r in records if r.state is not FileState.PENDING or not r.listed or r.part_of]
        state = BatchState(self.lease, self.storage, tally, max_tries=max_tries)
        for record in others:
            if record.listed:
                state.add(record)
        header = {
            "owner": dict(self.lease.owner),
            "max_tries": max_tries,
            "began_lease": tally.began_lease,
        }
        state.begin(pending, [r.to_line() for r in others if r != known.get(r.output)], header)
        write_summary(self.lease, self.storage, tally)
        log.info("Files: %s.", tally)
        self._tell_failures(listed)
        return state

    def foresee(
        self, sources: Mapping[str, Source], max_tries: int, *, durable: bool, last_tries: int | None
    ) -> list[FileRecord]:
        """
        Return what :meth:`begin` would have open, and what it would fail, without noting anything.

        :param sources: the files, by their outputs
        """
        earlier, _ = Manifest.gather(self.lease.manifest, self.storage, self.outputs)
        earlier = earlier or Manifest(self.lease.manifest, {}, 0)
        known = {record.output: record for record in earlier.records()}
        sources, records = self._decide(sources, earlier, known, max_tries, last_tries, durable=durable)
        listed = [record for record in records if record.listed]
        if self.limits.deduplicate:
            content = Content(sources, self.storage, self.lease.number, lambda: None)
            content.mark_duplicates([record for record in listed if record.part_of is None])
        return listed

    def _decide(
        self,
        sources: Mapping[str, Source],
        earlier: Manifest,
        known: Mapping[str, FileRecord],
        max_tries: int,
        last_tries: int | None,
        *,
        durable: bool,
    ) -> tuple[Mapping[str, Source], list[FileRecord]]:
        """Return the files by their outputs as they are called from here on, and what is to be done about each."""
        sources = self._with_legacy_names(sources, known)
        self.outputs.update(self._missed(sources, known))
        # Those of a file whose transcript is stored are not needed, and may be deleted.
        needed = (p for p in earlier.parts if p.part_of in sources and p.part_of not in self.outputs)
        self.outputs.update(self._missed([part.output for part in needed], known))
        asks = any(source.asks for source in sources.values())
        # Threads are for what waits: for a hundred thousand files that a listing has told of, they cost seconds.
        each = self.storage.map if asks else map
        new = list(each(self._record, sources, sources.values(), map(known.get, sources)))
        if not durable:
            return sources, self._anew(new, earlier)
        records = self._take_over(new, earlier, max_tries, last_tries)
        self._adopt(records, sources, known)
        return sources, records

    def _tell_failures(self, listed: Iterable[FileRecord]) -> None:
        failed = [r for r in listed if r.state is FileState.FAILED and r.lease == self.lease.number]
        for record in failed:
            METRICS.failed(LaplasArgumentError(str(record.error), argument="audio"))
        if failed:
            log.warning(
                "%d files failed before they were submitted, the first: %s", len(failed), failed[0].error
            )

    def _earlier(self) -> Manifest:
        manifest, new = Manifest.gather(self.lease.manifest, self.storage, self.outputs)
        if manifest is None:
            return Manifest(self.lease.manifest, {}, 0)
        check_version_1(manifest, self.lease.owner)
        if self._outweigh(new):
            # So that what is read at a begin grows like the batch, however often it is cut off.
            manifest.fold(new, self.lease, self.storage)
        return manifest

    def _outweigh(self, new: Iterable[Segment]) -> bool:
        """Tell whether a manifest's new segments are larger than itself; a few of them never are."""
        names = (segment.uri.removeprefix(f"{self._folder}/") for segment in new)
        # Those that were written since are not in the list.
        size = sum(self.outputs[name].size for name in names if name in self.outputs)
        return size > max(self.outputs[NAME].size if NAME in self.outputs else 0, SMALL)

    def _began_lease(self, earlier: Manifest) -> int:
        mine = earlier.owner == self.lease.owner
        return (mine and earlier.began_lease) or self.lease.number

    def _with_legacy_names(
        self, sources: Mapping[str, Source], known: Mapping[str, FileRecord]
    ) -> Mapping[str, Source]:
        """Return the sources by their outputs, under the names that version 0.1 has given to those that it knew."""
        names: dict[str, str] = {}
        taken = set(sources)
        for output, source in sources.items():
            legacy = legacy_output_name(source.audio, source.folder)
            # Most names are the same in both.
            if legacy is None or legacy in taken or not self._is_to_be_found(known.get(legacy), source):
                continue
            names[output] = legacy
            taken.add(legacy)
        return {names.get(output, output): source for output, source in sources.items()} if names else sources

    def _is_to_be_found(self, record: FileRecord | None, source: Source) -> bool:
        # Version 0.1 gave two sources the same name now and then.
        if record is None or redacted(record.source) != redacted(source.audio):
            return False
        if record.output in self.outputs:
            return True
        # A file without a transcript and without a submission is begun anew, under its new name.
        anew = record.state in {*TRANSCRIBED, FileState.DUPLICATE, FileState.PENDING}
        return not anew and fits(record.output)

    def _record(self, output: str, source: Source, earlier: FileRecord | None) -> FileRecord:
        request = (source.audio, self.request.model, self.request.options)
        work = fingerprint_request(*request)
        hidden = redacted(source.audio)
        before = work
        if earlier is not None and redacted(earlier.source) == hidden:
            before = earlier.fingerprint
        # A file that was listed is found again by its name alone, whatever that looks like; it has no password.
        shown = hidden if source.folder is None else source.audio
        found = self.outputs.get(output)
        replaces = found.modified if found else None
        try:
            opened = source.open(self.storage)
            version, etag = fingerprint(work, opened), "" if isinstance(opened, str) else opened.etag
            return FileRecord(
                shown, as_known(version, before, *request, etag=etag), output, replaces=replaces
            )
        except LaplasArgumentError as error:
            return FileRecord(
                shown,
                as_known(work, before, *request),
                output,
                FileState.FAILED,
                completed_at=time.time(),
                error=error.message,
                lease=self.lease.number,
            )

    def _take_over(
        self, new: list[FileRecord], earlier: Manifest, max_tries: int, last_tries: int | None
    ) -> list[FileRecord]:
        mine = earlier.owner == self.lease.owner
        if mine and last_tries is None:
            last_tries = earlier.max_tries
        if last_tries is None:
            occasion = Occasion.LATER_RUN
        else:
            # A try with fewer began before a Clear, and has only now taken the lease: nobody has consented to it.
            occasion = Occasion.CLEAR if max_tries > last_tries else Occasion.RETRY
            if earlier.read_from != self.before or earlier.shown_at > self.began:
                # Another try has reported since: whoever cleared the task had not seen that.
                occasion = Occasion.RETRY
        return take_over(
            new,
            earlier,
            self.outputs,
            self.request.policy,
            occasion,
            mine=mine,
            lease=self.lease.number,
        )

    def _missed(self, sources: Iterable[str], known: Mapping[str, FileRecord]) -> dict[str, FileInfo]:
        """Return the stored outputs that the listing lacks: asking costs less than to pay again for one that is there."""

        def ask(output: str) -> FileInfo | None:
            try:
                return self.storage.info(f"{self._folder}/{output}")
            except FileNotFoundError:
                return None

        stored = {*TRANSCRIBED, FileState.DUPLICATE}
        lacking = [
            output
            for output in sources
            if output in known and known[output].state in stored and output not in self.outputs
        ]
        found = zip(lacking, self.storage.map(ask, lacking) if lacking else (), strict=True)
        return {output: info for output, info in found if info is not None}

    def _adopt(
        self, records: list[FileRecord], sources: Mapping[str, Source], known: Mapping[str, FileRecord]
    ) -> None:
        def is_of_this_audio(record: FileRecord) -> bool:
            """Tell whether an output of which nothing is noted was made after the audio was changed last."""
            if record.state is not FileState.PENDING or record.output in known:
                return False
            if record.part_of is not None:
                # Its name tells of which audio it is.
                return True
            return sources[record.output].modified(self.storage) <= self.outputs[record.output].modified

        there = [record for record in records if record.output in self.outputs]
        adopt_outputs(
            [r for r in there if r.state is FileState.SUBMITTED or is_of_this_audio(r)],
            self.outputs,
            lambda output: seconds_of(f"{self._folder}/{output}", self.storage),
            self.storage.map,
        )

    @property
    def _folder(self) -> str:
        return self.lease.manifest.rpartition("/")[0]

    def _anew(self, new: list[FileRecord], earlier: Manifest) -> list[FileRecord]:
        """Return the files as if nothing had been done; what late writers still note of it is told apart."""
        known = {record.output: record for record in earlier.records()}
        for record in new:
            if (old := known.pop(record.output, None)) is not None:
                record.attempt = old.attempt + 1
        return [*new, *(replace(record, listed=False) for record in known.values())]

    def _check_limits(self, pending: list[FileRecord], content: Content, tally: Tally) -> None:
        refused = self._refused(pending, content, tally)
        if refused is not None:
            if not tally.states[FileState.SUBMITTED]:
                raise refused
            # What was submitted before is paid for: it is waited for first.
            tally.stopped = refused.message

    def _refused(
        self, pending: list[FileRecord], content: Content, tally: Tally
    ) -> LaplasArgumentError | None:
        """Return the error for files that are more than the limits allow."""
        most, limit = self.limits.max_files, self.limits.max_audio_seconds
        if most is not None and len(pending) > most:
            return LaplasArgumentError(
                f"`max_files` is {most}, but there are {len(pending)} files to submit. Nothing was submitted.",
                argument="max_files",
            )
        if limit is None:
            return None
        total = tally.new_audio_seconds + content.total_seconds(pending)
        if total <= limit:
            return None
        return LaplasArgumentError(
            f"`max_audio_seconds` is {limit:g}, but the audio is {total:.0f} s long. Nothing was submitted.",
            argument="max_audio_seconds",
        )
