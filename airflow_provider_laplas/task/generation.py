"""A task that waits for one generation: submit or attach, wait, store, and return the transcript."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_laplas.airflow_compat import METRICS, Context, TriggerFailure, get_xcom
from airflow_provider_laplas.api.poller import SETTLING, Poller
from airflow_provider_laplas.api.responses import Generation
from airflow_provider_laplas.arguments import check_text
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.events import CompletionEvent
from airflow_provider_laplas.known_secrets import NO_SECRETS, Secrets
from airflow_provider_laplas.links import asset_uri
from airflow_provider_laplas.redaction import redact
from airflow_provider_laplas.results.keeping import Place, Reference, TaskKey, inline, keep_reply, load_reply
from airflow_provider_laplas.results.output import Output, choose_folder
from airflow_provider_laplas.results.publishing import check_quality, publish
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.task.base import GENERATION_ID_KEY
from airflow_provider_laplas.task.notify import emit_asset, lineage, price_of
from airflow_provider_laplas.task.outcome import Defer, Done, LeaveToAirflow, Outcome, Reschedule, Skip
from airflow_provider_laplas.task.record import GenerationRecord, RecordStore
from airflow_provider_laplas.task.submission import Begun, Stored, find_stored
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.usage import USAGE_KEY, transcript_usage
from airflow_provider_laplas.triggers import FIRST_POLL, STTCompletionTrigger

if TYPE_CHECKING:
    from airflow_provider_laplas.hooks import LaplasHook

log = logging.getLogger(__name__)

FINDINGS_KEY = "findings"
"""The XCom key of what the quality checks found: a sentence for each finding. It is not pushed where there is none."""

MOST_LINES = 100
"""The most lines of a trigger's traceback that are logged, its last ones."""


class Work(Protocol):
    """Where a task's generation comes from: its own submission, or a given id."""

    def begin(self, hook: "LaplasHook", records: RecordStore) -> Begun:
        """Return the generation that this try works on."""


@dataclass(frozen=True, slots=True)
class GivenGeneration:
    """
    A generation that another task submitted.

    :ivar timeout: seconds to wait for it, counted from the first try
    """

    generation_id: str
    timeout: float

    def begin(self, hook: "LaplasHook", records: RecordStore) -> Begun:
        """Return it, with an earlier try's deadline and, if one is stored, its reply."""
        now = time.time()
        earlier = records.load()
        if earlier is None or earlier.fingerprint != self.generation_id:
            deadline = now + self.timeout
            record = GenerationRecord(self.generation_id, records.max_tries, deadline, self.generation_id)
            records.save(record)
            return Begun(record)
        record = records.renewed(earlier, timeout=self.timeout, now=now)
        records.save(record)
        return Begun(record, find_stored(record, Place(self.generation_id, records.folder, records.task)))


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    How a task waits.

    :ivar timeout: seconds from the start of the work
    :ivar poke_interval: the longest pause between two polls, in seconds
    :ivar inline_wait: seconds of polling in the worker before the task defers. None means ``default_inline_wait``, or
        0 for a mapped task: hundreds of mapped tasks must not occupy worker slots
    :ivar reschedule: whether a task that is not deferrable frees its worker slot between two polls
    """

    timeout: float
    poke_interval: float
    deferrable: bool
    execution_timeout: timedelta | None
    inline_wait: float | None = None
    default_inline_wait: float = 0.0
    reschedule: bool = False

    def seconds_inline(self, *, mapped: bool) -> float:
        """Return how long to poll in the worker."""
        if self.inline_wait is not None:
            return self.inline_wait
        return 0.0 if mapped else self.default_inline_wait


@dataclass(slots=True)
class GenerationTask:
    """
    One run of one task over one generation.

    The connection and the task's record are each read once per run.

    :ivar work: called when the work starts, but not when it is resumed, which needs no audio
    :ivar source: where the audio is, redacted
    :ivar announce_id: called with the generation's id once it is known
    :ivar written: the reply's URI, once it is stored
    """

    context: Context = field(repr=False)
    conn_id: str
    work: Callable[[], Work]
    waiting: Waiting
    results_path: str | None
    formats: Any
    captions: Any
    quality: Any
    outlets: list[Any]
    source: str | None = None
    announce_id: Callable[[str], None] = field(default=lambda _: None, repr=False)
    written: str | None = field(default=None, init=False)
    _records: RecordStore = field(init=False, repr=False)
    _hook: "LaplasHook | None" = field(default=None, init=False, repr=False)
    _files: Mapping[str, str] = field(default_factory=dict, init=False, repr=False)
    _waiting_for: str | None = field(default=None, init=False, repr=False)

    def start(self) -> Outcome:
        """Submit, or attach to an earlier try's generation; poll, and defer if it is not done."""
        with self._connected() as hook:
            output, folder = self._output(), self._folder(hook)
            self._open_records(folder)
            begun = self.work().begin(hook, self._records)
            self.announce_id(begun.generation_id)
            if begun.stored is not None:
                log.info("Generation %s is already stored; the API is not polled.", begun.generation_id)
                return self._keep_stored(begun.generation_id, begun.stored, folder, output)
            self._waiting_for = begun.generation_id
            poller = self._poller(begun.record)
            generation = self._poll(hook, poller, begun.outcome)
            if generation is None and self.waiting.reschedule and not self.waiting.deferrable:
                # As with triggers: what runs again too soon can fail the task.
                return Reschedule(max(poller.pause(), FIRST_POLL))
            if generation is None:
                self._records.try_again()
                return self._defer(poller, folder)
            self._waiting_for = None
            return self._keep(begun.generation_id, generation.reply, folder, output)

    def resume(self, event: Any) -> Outcome:
        """Continue with the trigger's event, without calling the API again."""
        completion = CompletionEvent.from_payload(event)
        if completion.error is not None:
            raise completion.error
        reference: Any = completion.result
        # Where the reply is stored, the task's notes are: this needs no look-up of the connection.
        self._open_records(reference.rpartition("/")[0] if isinstance(reference, str) else None)
        with self._connected():
            return self._hand_on(completion.generation_id, load_reply(reference), reference, self._output())

    def trigger_failed(self, failure: TriggerFailure) -> Outcome:
        """Poll once more after the trigger timed out or failed."""
        with self._connected() as hook:
            output, folder = self._output(), self._folder(hook)
            self._open_records(folder)
            record = self._record()
            generation_id = str(record.generation_id)
            log.warning(
                "The wait for generation %s ended early (%s); polling once more. %s",
                generation_id,
                redact(failure.reason),
                # A line for each of its own.
                "\n".join(redact(line) for line in failure.traceback.splitlines()[-MOST_LINES:]),
            )
            if stored := find_stored(record, Place(generation_id, folder, self._key)):
                return self._keep_stored(generation_id, stored, folder, output)
            poller = Poller(generation_id, deadline=float("inf"))
            generation = poller.observe(_last_poll(hook, generation_id))
            if generation is None and not failure.timed_out and time.time() < record.deadline:
                return LeaveToAirflow()
            if generation is None:
                raise poller.timed_out(
                    f"was not done when the trigger that waited for it ended ({redact(failure.reason)})"
                )
            return self._keep(generation_id, generation.reply, folder, output)

    def folder(self) -> str | None:
        """
        Return the folder for replies, if there is one. The connection is looked up only if the task names none.

        :raises LaplasArgumentError: if there is none and ``formats`` needs one
        """
        if self.results_path:
            return choose_folder(self.results_path, None)
        with self._connected() as hook:
            return self._folder(hook)

    def hand_on(self, generation_ids: Sequence[str], reference: str) -> Outcome:
        """
        Check, publish and return a transcript that lies in a folder: of a recording that was submitted in parts.

        :param generation_ids: of the parts
        """
        with self._connected():
            transcript = Transcript.from_reply(load_reply(reference))
            outcome = self._publish(generation_ids[0], transcript, reference, self._output())
        if isinstance(outcome, Done):
            outcome.value["generation_ids"] = list(generation_ids)
        return outcome

    def on_kill(self) -> None:
        """Log that the generation keeps running: the API cannot cancel it."""
        if self._waiting_for:
            log.warning(
                "The task was killed while it waited for generation %s. The API cannot cancel it: it goes on and is "
                "billed. Use an STTCompletionSensor with this id to wait for it.",
                self._waiting_for,
            )

    def lineage(self) -> Any:
        """Return the audio and the files made from it, for OpenLineage."""
        return lineage([self.source] if self.source else [], map(asset_uri, self._files.values()))

    @property
    def _key(self) -> TaskKey:
        return TaskKey.from_context(self.context)

    def _open_records(self, folder: str | None) -> None:
        self._records = RecordStore(self.context, self._key, folder)

    @contextmanager
    def _connected(self) -> Iterator["LaplasHook"]:
        # Imported here to keep DAG parsing fast: requests, aiohttp and the HTTP provider take half a second.
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

        with LaplasHook(check_text("conn_id", self.conn_id)) as self._hook:
            yield self._hook

    def _record(self) -> GenerationRecord:
        """
        Return the record of the generation that this task waits for.

        :raises LaplasError: if there is no record of it
        """
        record = self._records.load()
        if record is not None and record.generation_id is not None:
            return record
        # An XCom stays while the task is deferred. It is read where the id could not be noted.
        announced = get_xcom(GENERATION_ID_KEY, **asdict(self._key))
        if isinstance(announced, str):
            return replace(record or GenerationRecord("", 0, 0.0), generation_id=announced)
        work = self.work()
        if isinstance(work, GivenGeneration):
            return GenerationRecord("", 0, 0.0, work.generation_id)
        raise LaplasError(
            "The task has no record of the generation that it waits for. Clear it to start again."
        )

    def _output(self) -> Output:
        return Output.read(self.formats, self.captions, self.quality)

    def _folder(self, hook: "LaplasHook") -> str | None:
        """
        Return the folder for replies.

        :raises LaplasArgumentError: if there is none and ``formats`` needs one
        """
        folder = choose_folder(self.results_path, hook.client.settings.results_path)
        if folder is None and set(self.formats) - {"json"}:
            raise LaplasArgumentError(
                "`formats` needs a folder: set `results_path`. Nothing was submitted by this try.",
                argument="formats",
            )
        return folder

    def _poller(self, record: GenerationRecord) -> Poller:
        return Poller(
            str(record.generation_id),
            record.deadline,
            self.waiting.poke_interval,
            record.submitted_at,
            started=record.deadline - self.waiting.timeout,
        )

    def _poll(
        self, hook: "LaplasHook", poller: Poller, outcome: Generation | LaplasError | None
    ) -> Generation | None:
        """
        Poll in the worker: at least once, for up to the inline wait; until done if the task is not deferrable.

        :param outcome: of a poll that was already made
        :return: None if it is not done
        """
        if not self.waiting.deferrable:
            inline_wait = 0.0 if self.waiting.reschedule else float("inf")
            return hook.client.wait_for(poller, inline_wait=inline_wait, first=outcome)
        inline_wait = self.waiting.seconds_inline(mapped=self._key.map_index >= 0)
        # A generation that was just submitted cannot be done yet.
        settling = poller.submitted_at is not None and time.time() - poller.submitted_at < SETTLING
        if not inline_wait and settling and outcome is None:
            return None
        return hook.client.wait_for(poller, inline_wait=inline_wait, first=outcome)

    def _defer(self, poller: Poller, folder: str | None) -> Defer:
        trigger = STTCompletionTrigger(
            conn_id=self.conn_id,
            generation_id=poller.generation_id,
            deadline=poller.deadline,
            poll_interval=poller.poll_interval,
            submitted_at=poller.submitted_at,
            results_path=folder,
            task=asdict(self._key),
        )
        return Defer.until(poller.deadline, trigger, self.waiting.execution_timeout)

    def _keep_stored(self, generation_id: str, stored: Stored, folder: str | None, output: Output) -> Outcome:
        """Publish a stored reply, copying it first if it is not in this try's folder."""
        if folder is not None and stored.reference == Place(generation_id, folder, None).uri:
            return self._hand_on(generation_id, stored.reply, stored.reference, output)
        return self._keep(generation_id, stored.reply, folder, output)

    def _keep(
        self, generation_id: str, reply: Mapping[str, Any], folder: str | None, output: Output
    ) -> Outcome:
        """Store a finished reply and publish it."""
        reference = keep_reply(reply, Place(generation_id, folder, self._key))
        return self._hand_on(generation_id, reply, reference, output)

    def _hand_on(
        self, generation_id: str, reply: Mapping[str, Any], reference: Reference, output: Output
    ) -> Outcome:
        """Remember where a reply is stored, and publish it."""
        fresh = self._remember(generation_id, reference, reply)
        transcript = Transcript.from_reply(reply)
        if fresh:
            METRICS.finished(transcript.duration)
        return self._publish(generation_id, transcript, reference, output)

    def _publish(
        self, generation_id: str, transcript: Transcript, reference: Reference, output: Output
    ) -> Outcome:
        """Check a stored transcript, write its other formats, emit asset events, and return the summary."""
        # Before the checks, because it is billed whatever their result.
        self.context["ti"].xcom_push(key=USAGE_KEY, value=transcript_usage(transcript, self._price()))
        if why := check_quality(transcript, output.quality, generation_id, report=self._report_findings):
            return Skip(why)
        if isinstance(reference, str):
            self.written = reference
            self._files = publish(reference, transcript, output.formats, output.captions, object_storage())
        elif set(output.formats) - {"json"}:
            raise LaplasArgumentError(
                f"`formats` cannot be written: the reply of generation {generation_id} could only be stored as an "
                "XCom. Clear the task once `results_path` is writable; you do not pay again.",
                argument="formats",
            )
        for uri in self._files.values():
            emit_asset(
                self.context,
                self.outlets,
                uri,
                uri=uri,
                source=self.source,
                duration=transcript.duration,
                language=label(transcript.language, self._secrets()),
                generation_id=generation_id,
            )
        return Done(summarise(generation_id, transcript, reference, self._files, self._secrets()))

    def _remember(self, generation_id: str, reference: Reference, reply: Mapping[str, Any]) -> bool:
        """
        Record where the reply is stored, for a later try.

        Airflow deletes an XCom before a later try, so a short reply is recorded itself. A record that cannot be read or
        written does not fail the task: the next try would start without that XCom.

        :return: whether this is the first record of a reply
        """
        try:
            record = self._records.load()
        except Exception:
            log.exception(
                "The note of this task cannot be read, so that its transcript cannot be added to it."
            )
            return True
        if record is None:
            return True
        result = reference if isinstance(reference, str) else inline(reply)
        # With the id, which could not be noted if the store was away when it became known.
        noted = replace(record, generation_id=generation_id, result=result)
        self._records.try_to_save(
            noted, f"Where the transcript of generation {generation_id} is stored could not be noted."
        )
        return record.result is None

    def _report_findings(self, messages: list[str]) -> None:
        self.context["ti"].xcom_push(key=FINDINGS_KEY, value=messages)

    def _price(self) -> float | None:
        return price_of(self._hook)

    def _secrets(self) -> Secrets:
        try:
            return self._hook.client.request_settings().secrets if self._hook else NO_SECRETS
        except LaplasError:
            # The transcript is there, and is handed on though the connection is not.
            return NO_SECRETS


def _last_poll(hook: "LaplasHook", generation_id: str) -> Generation | LaplasError:
    """Poll with the hook's retries, because this is the last poll."""
    try:
        return hook.client.fetch(generation_id)
    except LaplasError as error:
        return error


def summarise(
    generation_id: str,
    transcript: Transcript,
    reference: Reference,
    files: Mapping[str, str],
    secrets: Secrets = NO_SECRETS,
) -> dict[str, Any]:
    """
    Return a waiting task's return value, as small, plain JSON.

    ``text`` joins the channels with newlines; ``confidence`` is 0 to 1; ``duration`` is in seconds; ``result`` is what
    :func:`~airflow_provider_laplas.results.load_transcript` takes to load the words and the raw reply; ``files`` maps
    each format to its URI, and is empty without a ``results_path``.

    :param secrets: what must not be in the names that the reply gives
    """
    return {
        "text": transcript.text,
        "generation_id": generation_id,
        "model": label(transcript.model, secrets),
        "language": label(transcript.language, secrets),
        "duration": transcript.duration,
        "confidence": transcript.confidence,
        "result": reference,
        "files": dict(files),
    }


def label(name: str | None, secrets: Secrets) -> str | None:
    """Return a short name that a reply gives, such as a language, as it may be shown."""
    return None if name is None else redact(name, secrets=secrets, limit=80)
