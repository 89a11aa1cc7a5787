"""A task that waits for one generation: submit or attach, wait, store, and hand the transcript on."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_laplas.airflow_compat import METRICS, Context, TriggerFailure
from airflow_provider_laplas.api.poller import SETTLING, Poller
from airflow_provider_laplas.api.responses import Generation
from airflow_provider_laplas.arguments import check_text
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.links import asset_uri
from airflow_provider_laplas.results.keeping import Place, Reference, TaskKey, inline, keep_reply, load_reply
from airflow_provider_laplas.results.output import Output, choose_folder
from airflow_provider_laplas.results.publishing import check_quality, publish
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.task.notify import emit_asset, lineage, price_of
from airflow_provider_laplas.task.outcome import Defer, Done, LeaveToAirflow, Outcome, Reschedule, Skip
from airflow_provider_laplas.task.record import GenerationRecord, RecordStore
from airflow_provider_laplas.task.submission import Begun, Stored, find_stored
from airflow_provider_laplas.transcript.model import Transcript
from airflow_provider_laplas.transcript.usage import USAGE_KEY, transcript_usage
from airflow_provider_laplas.triggers import CompletionEvent, STTCompletionTrigger

if TYPE_CHECKING:
    from airflow_provider_laplas.hooks import LaplasHook

log = logging.getLogger(__name__)


class Work(Protocol):
    """Where a task's generation comes from: a submission of its own, or an id that it was given."""

    def begin(self, hook: "LaplasHook", records: RecordStore, folder: str | None, task: TaskKey) -> Begun:
        """Return the generation that this try works on."""


@dataclass(frozen=True, slots=True)
class GivenGeneration:
    """
    A generation that another task has submitted.

    :ivar timeout: seconds to wait for it, from the first try on
    """

    generation_id: str
    timeout: float

    def begin(self, hook: "LaplasHook", records: RecordStore, folder: str | None, task: TaskKey) -> Begun:
        """Return it, with the deadline of an earlier try, and with its reply where one has stored that."""
        now = time.time()
        earlier = records.load()
        if earlier is None or earlier.fingerprint != self.generation_id:
            deadline = now + self.timeout
            record = GenerationRecord(self.generation_id, records.max_tries, deadline, self.generation_id)
            records.save(record)
            return Begun(record)
        record = records.renewed(earlier, timeout=self.timeout, now=now)
        records.save(record)
        return Begun(record, find_stored(record, Place(self.generation_id, folder, task)))


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    How a task waits.

    :ivar timeout: seconds from the beginning of the work
    :ivar poke_interval: the longest pause between two polls, in seconds
    :ivar inline_wait: seconds of polling in the worker before the task defers; None is
        ``default_inline_wait``, and 0 where the task
        is mapped: hundreds of mapped tasks must not sit on worker slots
    :ivar reschedule: whether a task that is not deferrable gives its worker slot back between two polls
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

    The connection is looked up once in each run, and the task's record read once.

    :ivar work: called when the work begins, and not when it is resumed: what is paid for needs no audio any more
    :ivar source: where the audio is, as it may be shown
    :ivar announce_id: called with the generation's id once it is known
    :ivar written: the stored reply's URI, once the task has brought it to safety
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

    def __post_init__(self) -> None:
        self._records = RecordStore(self.context)

    def start(self) -> Outcome:
        """Take up what an earlier try has begun, or begin; poll, and defer where it is not done."""
        with self._connected() as hook:
            output, folder = self._output(), self._folder(hook)
            begun = self.work().begin(hook, self._records, folder, self._key)
            self.announce_id(begun.generation_id)
            if begun.stored is not None:
                log.info("Generation %s is stored; the API is not asked.", begun.generation_id)
                return self._keep_stored(begun.generation_id, begun.stored, folder, output)
            self._waiting_for = begun.generation_id
            poller = self._poller(begun.record)
            generation = self._poll(hook, poller, begun.outcome)
            if generation is None and self.waiting.reschedule and not self.waiting.deferrable:
                return Reschedule(poller.pause())
            if generation is None:
                return self._defer(poller, folder)
            self._waiting_for = None
            return self._keep(begun.generation_id, generation.reply, folder, output)

    def resume(self, event: Any) -> Outcome:
        """Take the trigger's event; the API is not asked again."""
        completion = CompletionEvent.from_payload(event)
        if completion.error is not None:
            raise completion.error
        reference: Any = completion.result
        with self._connected():
            return self._hand_on(completion.generation_id, load_reply(reference), reference, self._output())

    def trigger_failed(self, failure: TriggerFailure) -> Outcome:
        """Poll once more where Airflow gave the trigger up, for its time-out or its death."""
        record = self._record()
        generation_id = str(record.generation_id)
        log.warning(
            "The wait for generation %s ended early (%s); polling once more. %s",
            generation_id,
            failure.reason,
            failure.traceback,
        )
        with self._connected() as hook:
            output, folder = self._output(), self._folder(hook)
            if stored := find_stored(record, Place(generation_id, folder, self._key)):
                return self._keep_stored(generation_id, stored, folder, output)
            poller = Poller(generation_id, deadline=float("inf"))
            generation = poller.observe(_last_poll(hook, generation_id))
            if generation is None and not failure.timed_out and time.time() < record.deadline:
                return LeaveToAirflow()
            if generation is None:
                raise poller.timed_out(
                    f"was not done when the trigger that waited for it ended ({failure.reason})"
                )
            return self._keep(generation_id, generation.reply, folder, output)

    def on_kill(self) -> None:
        """Say that the generation goes on: the API cannot cancel one."""
        if self._waiting_for:
            log.warning(
                "The task was ended while it waited for generation %s. The API cannot cancel it: it goes on and is "
                "billed. An STTCompletionSensor with this id takes it up again.",
                self._waiting_for,
            )

    def lineage(self) -> Any:
        """Return the audio and the files made of it, for OpenLineage."""
        return lineage([self.source] if self.source else [], map(asset_uri, self._files.values()))

    # The parts of a run

    @property
    def _key(self) -> TaskKey:
        return TaskKey.from_context(self.context)

    @contextmanager
    def _connected(self) -> Iterator["LaplasHook"]:
        # requests, aiohttp and the HTTP provider cost half a second to import, which a DAG file should not pay.
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

        with LaplasHook(check_text("conn_id", self.conn_id)) as self._hook:
            yield self._hook

    def _record(self) -> GenerationRecord:
        """
        Return the record of the generation that this task waits for.

        :raises LaplasError: where it does not know which one that is
        """
        record = self._records.load()
        if record is not None and record.generation_id is not None:
            return record
        work = self.work()
        if isinstance(work, GivenGeneration):
            return GenerationRecord("", 0, 0.0, work.generation_id)
        raise LaplasError(
            "The task does not know which generation it waits for: nothing was noted. Clear it to start anew."
        )

    def _output(self) -> Output:
        return Output.read(self.formats, self.captions, self.quality)

    def _folder(self, hook: "LaplasHook") -> str | None:
        """
        Return the folder for replies.

        :raises LaplasArgumentError: where there is none, and files are asked for
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
        Poll in the worker: for some seconds, once at least; to the end where the task is not deferrable.

        :param outcome: of a poll that was made already
        :return: None where it is not done
        """
        if not self.waiting.deferrable:
            inline_wait = 0.0 if self.waiting.reschedule else float("inf")
            return hook.client.wait_for(poller, inline_wait=inline_wait, first=outcome)
        inline_wait = self.waiting.seconds_inline(mapped=self._key.map_index >= 0)
        # What was just submitted is not done yet.
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
        """Hand on what an earlier try has kept, where it lies where this one keeps its own."""
        if folder is not None and stored.reference == Place(generation_id, folder, None).uri:
            return self._hand_on(generation_id, stored.reply, stored.reference, output)
        return self._keep(generation_id, stored.reply, folder, output)

    def _keep(
        self, generation_id: str, reply: Mapping[str, Any], folder: str | None, output: Output
    ) -> Outcome:
        """Bring a finished transcript to safety and hand it on."""
        reference = keep_reply(reply, Place(generation_id, folder, self._key))
        return self._hand_on(generation_id, reply, reference, output)

    def _hand_on(
        self, generation_id: str, reply: Mapping[str, Any], reference: Reference, output: Output
    ) -> Outcome:
        """Judge a reply that is kept, write its other formats, tell other tasks, and return the summary."""
        fresh = self._remember(reference, reply)
        transcript = Transcript.from_reply(reply)
        if fresh:
            METRICS.finished(transcript.duration)
        # Before the checks: it is billed, whatever they say.
        self.context["ti"].xcom_push(key=USAGE_KEY, value=transcript_usage(transcript, self._price()))
        if why := check_quality(transcript, output.quality, generation_id):
            return Skip(why)
        if isinstance(reference, str):
            self.written = reference
            self._files = publish(reference, transcript, output.formats, output.captions, object_storage())
        elif set(output.formats) - {"json"}:
            raise LaplasArgumentError(
                f"`formats` cannot be written: the reply of generation {generation_id} could be kept in XCom only. Clear "
                "the task once `results_path` can be written to; nothing is paid again.",
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
                language=transcript.language,
                generation_id=generation_id,
            )
        return Done(summarise(generation_id, transcript, reference, self._files))

    def _remember(self, reference: Reference, reply: Mapping[str, Any]) -> bool:
        """
        Note where the reply lies for a later try; an XCom would be gone by then, so a short reply itself is noted.

        :return: whether it was not noted before
        """
        record = self._records.load()
        if record is None:
            return True
        result = reference if isinstance(reference, str) else inline(reply)
        self._records.save(replace(record, result=result))
        return record.result is None

    def _price(self) -> float | None:
        """Return the price of a minute; a connection that is gone by now does not matter to what is finished."""
        return price_of(self._hook)


def _last_poll(hook: "LaplasHook", generation_id: str) -> Generation | LaplasError:
    """Poll with all the repetitions that a hook makes: nobody polls again after this."""
    try:
        return hook.client.fetch(generation_id)
    except LaplasError as error:
        return error


def summarise(
    generation_id: str, transcript: Transcript, reference: Reference, files: Mapping[str, str]
) -> dict[str, Any]:
    """
    Return what a waiting task returns: small, plain JSON.

    ``text`` joins several channels with newlines; ``confidence`` is 0 to 1, ``duration`` seconds; ``result`` is what
    :func:`~airflow_provider_laplas.results.load_transcript` takes to load words and raw reply; ``files`` the URI of each
    format, empty without a ``results_path``.
    """
    return {
        "text": transcript.text,
        "generation_id": generation_id,
        "model": transcript.model,
        "language": transcript.language,
        "duration": transcript.duration,
        "confidence": transcript.confidence,
        "result": reference,
        "files": dict(files),
    }
