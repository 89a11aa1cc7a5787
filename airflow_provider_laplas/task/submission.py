"""Submit audio, or continue with an earlier try's submission, so that nothing is paid for twice."""

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_laplas.airflow_compat import METRICS
from airflow_provider_laplas.api.calls import Delivery, Upload
from airflow_provider_laplas.api.poller import SETTLING
from airflow_provider_laplas.api.responses import Generation
from airflow_provider_laplas.api.resume import Action, Earlier, Occasion, ResumePolicy, judge, resume
from airflow_provider_laplas.api.retry import ambiguous_submission
from airflow_provider_laplas.audio.fingerprint import as_known, fingerprint, fingerprint_request
from airflow_provider_laplas.audio.sources import open_source
from airflow_provider_laplas.errors import (
    LaplasAmbiguousSubmitError,
    LaplasArgumentError,
    LaplasError,
    LaplasGenerationGoneError,
    rebuild,
)
from airflow_provider_laplas.media.plan import MediaPlan
from airflow_provider_laplas.media.preparation import Preparation
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.results.keeping import Place, Reference, id_of, load_reply
from airflow_provider_laplas.storage import object_storage
from airflow_provider_laplas.task.record import GenerationRecord, RecordStore

if TYPE_CHECKING:
    from airflow_provider_laplas.hooks import LaplasHook

log = logging.getLogger(__name__)


class InParts(Exception):  # noqa: N818 - it is no error, but the answer to where the recording is submitted.
    """A recording has to be submitted in parts, which a single generation cannot be."""

    def __init__(self, plan: MediaPlan) -> None:
        super().__init__(f"The recording has to be submitted in {len(plan.parts)} parts.")
        self.plan = plan


@dataclass(frozen=True, slots=True)
class Stored:
    """A reply that an earlier try, or its trigger, stored, and where."""

    reply: Mapping[str, Any] = field(repr=False)
    reference: Reference


@dataclass(frozen=True, slots=True)
class Begun:
    """
    The generation that a try works on, and what is known about it.

    :ivar stored: its reply, if it is already stored
    :ivar outcome: of the one poll that was made, if any
    """

    record: GenerationRecord
    stored: Stored | None = None
    outcome: Generation | LaplasError | None = None

    @property
    def generation_id(self) -> str:
        """The generation's id."""
        return str(self.record.generation_id)


def find_stored(record: GenerationRecord, place: Place) -> Stored | None:
    """Return the stored reply of a record's generation; None if there is none that can be read."""
    reference = record.result or place.find()
    try:
        return None if reference is None else Stored(load_reply(reference), reference)
    except LaplasArgumentError as error:
        log.warning("The stored reply cannot be read; polling the API instead: %s", error)
        return None


def _say_that_it_is_other_work(records: RecordStore) -> None:
    if records.folder is None and records.task.map_index >= 0:
        log.warning(
            "Submitting: map index %s had other audio, another model or other options before. If its list has changed, "
            "others of this task may have submitted the same audio, and it is paid for again: set `results_path`, where "
            "each of them finds what the others have submitted.",
            records.task.map_index,
        )
    else:
        log.info(
            "Submitting: an earlier try submitted different audio, or with a different model or options."
        )


@dataclass(frozen=True, slots=True)
class Submission:
    """
    Audio to submit with a model and options.

    :ivar audio: what the user gave, rendered
    :ivar shown: the same, redacted
    :ivar timeout: seconds to wait for the result
    :ivar durable: whether to continue with an earlier try's generation
    :ivar preparation: what is done with the recording before; None to submit it as it is
    """

    audio: str = field(repr=False)
    shown: str
    model: str
    options: Mapping[str, Any] = field(repr=False)
    timeout: float
    policy: ResumePolicy
    durable: bool = True
    preparation: Preparation | None = None

    def begin(self, hook: "LaplasHook", records: RecordStore) -> Begun:
        """
        Return the generation of an earlier try, or submit.

        Looks up a stored transcript and polls the API at most once each, and only if an earlier try left a record.

        :raises InParts: the recording has to be submitted in parts. Nothing was submitted, or noted
        :raises LaplasAmbiguousSubmitError: a submission may have been made, and ``on_ambiguous`` is ``fail``
        :raises LaplasGenerationGoneError: the earlier generation is gone, and ``on_expired`` is ``fail``
        """
        records.share()
        own = earlier_record = records.load() if self.durable else None
        source, work = self._source(own)
        if self.durable and (own is None or own.fingerprint != work):
            earlier_record = records.find(work)
        if earlier_record is None:
            if own is not None:
                _say_that_it_is_other_work(records)
            return self._submit(hook, records, work, source)
        place = Place(str(earlier_record.generation_id), records.folder, records.task)
        begun = self._look_for(hook, records, earlier_record, place)
        earlier = self._judge(begun)
        occasion = records.occasion(earlier_record)
        match resume(earlier, occasion, self.policy):
            case Action.SUBMIT:
                ambiguous = earlier in {Earlier.UNANSWERED, Earlier.AMBIGUOUS}
                level = logging.WARNING if ambiguous else logging.INFO
                log.log(level, "Submitting: %s.", self._why(earlier, begun, occasion))
                return self._submit(hook, records, work, source)
            case Action.FAIL:
                if earlier is not Earlier.GONE:
                    # From here on a Clear is consent.
                    records.save(replace(begun.record, ambiguity_reported=True))
                raise self._failure(earlier, begun, records)
        log.info(
            "Not submitting: %s.",
            f"the transcript of generation {begun.generation_id} is stored"
            if begun.stored
            else f"an earlier try submitted it as generation {begun.generation_id}",
        )
        records.save(begun.record)
        return begun

    def _source(self, record: GenerationRecord | None) -> tuple[str | Upload, str]:
        """Return the audio to submit, and the fingerprint of the work."""
        request = (self.audio, self.model, self.options)
        work = fingerprint_request(*request)
        before = record.fingerprint if record is not None else work
        try:
            source = open_source(self.audio, object_storage())
        except LaplasArgumentError:
            # The audio may have been moved since, but its generation is paid for.
            if (
                record is None
                or record.generation_id is None
                or not before.startswith(as_known(work, before, *request))
            ):
                raise
            return self.audio, record.fingerprint
        return source, as_known(fingerprint(work, source), before, *request)

    def _look_for(
        self, hook: "LaplasHook", records: RecordStore, record: GenerationRecord, place: Place
    ) -> Begun:
        """Look for what an earlier try left: the stored reply first, then the API."""
        record = records.renewed(record, timeout=self.timeout, now=time.time())
        if record.generation_id is not None:
            stored = find_stored(record, place)
            outcome = None if stored else hook.client.poll(record.generation_id)
            return Begun(record, stored, outcome)
        if record.result is not None and (stored := find_stored(record, place)):
            # Up to now the id was missing where the store was away when it was to be noted.
            generation_id = id_of(stored.reference, stored.reply) or record.fingerprint
            return Begun(replace(record, generation_id=generation_id), stored)
        return Begun(record)

    def _judge(self, begun: Begun) -> Earlier:
        if begun.stored is not None:
            return Earlier.STORED
        if begun.outcome is None:
            return Earlier.AMBIGUOUS if begun.record.ambiguity_reported else Earlier.UNANSWERED
        earlier = judge(begun.outcome)
        # The API may not know a new id everywhere yet.
        settling = time.time() - (begun.record.submitted_at or 0.0) < SETTLING
        return Earlier.SUBMITTED if earlier is Earlier.GONE and settling else earlier

    def _why(self, earlier: Earlier, begun: Begun, occasion: Occasion) -> str:
        generation = f"generation {begun.generation_id} of an earlier try"
        if earlier is Earlier.FAILED and isinstance(begun.outcome, Generation):
            return f"{generation} had failed: {begun.outcome.reason}"
        if earlier is Earlier.GONE:
            return f"{generation} is gone, and on_expired says to resubmit"
        if occasion is Occasion.CLEAR:
            return "an earlier submission had no answer, and a user cleared the task since"
        return "an earlier submission had no answer, and on_ambiguous says to resubmit, and perhaps pay twice"

    def _failure(self, earlier: Earlier, begun: Begun, records: RecordStore) -> LaplasError:
        if earlier is Earlier.GONE and isinstance(begun.outcome, LaplasGenerationGoneError):
            where = (
                f"in {redacted(records.folder)}" if records.folder else "anywhere: no `results_path` is set"
            )
            hint = f'No transcript of it was found {where}. To submit it again, set on_expired="resubmit".'
            return rebuild(LaplasGenerationGoneError, f"{begun.outcome} {hint}", vars(begun.outcome))
        if not records.remembers:
            return ambiguous_submission(
                "An earlier try may have submitted the audio, and this Airflow keeps no note of it: set `results_path`, or "
                "[laplas] record_store = variable, and a retry goes on where the try before it has ended."
            )
        return ambiguous_submission(
            "An earlier try was cut off between submitting and learning the generation's id."
        )

    def _submit(self, hook: "LaplasHook", records: RecordStore, work: str, source: str | Upload) -> Begun:
        with ExitStack() as stack:
            return self._submit_prepared(hook, records, work, self._prepare(stack, hook, source))

    def _prepare(self, stack: ExitStack, hook: "LaplasHook", source: str | Upload) -> str | Upload:
        """Return what is submitted of the recording, until the stack ends."""
        if self.preparation is None:
            return source
        preparation = self.preparation.within(hook.client.settings)
        upload = stack.enter_context(preparation.opened(source))
        if isinstance(upload, str):
            return upload
        plan = preparation.plan(upload, self.audio)
        if not plan.is_whole:
            raise InParts(plan)
        return stack.enter_context(preparation.prepared(upload, plan, 0))

    def _submit_prepared(
        self, hook: "LaplasHook", records: RecordStore, work: str, source: str | Upload
    ) -> Begun:
        earlier = records.load()
        intent = GenerationRecord(work, records.max_tries, time.time() + self.timeout)
        if self.durable:
            records.announce(intent)
        # A later try that finds a record without an id knows that the submission may have been made. So it is noted as late
        # as can be: what fails before that leaves nothing to doubt.
        delivery = Delivery(lambda: records.intend(intent))
        try:
            generation_id = self._send(hook, source, delivery)
        except LaplasAmbiguousSubmitError as error:
            if resume(Earlier.UNANSWERED, Occasion.RETRY, self.policy) is Action.FAIL:
                records.save(replace(intent, ambiguity_reported=True))
                raise
            log.warning("Submitting again, as on_ambiguous says, and perhaps paying twice: %s", error)
            generation_id = self._send(hook, source, delivery)
        except BaseException as error:
            # An error of the API's that is not ambiguous, or a time-out of Airflow amid an upload: the submission was
            # certainly not made, so a retry may make it.
            if isinstance(error, LaplasError) or not delivery.whole:
                records.restore(earlier)
            raise
        METRICS.submitted()
        now = time.time()
        # Logged first: if saving the record fails, the id is still in the log.
        log.info("Submitted %s as generation %s.", self.shown, generation_id)
        record = replace(intent, generation_id=generation_id, submitted_at=now, deadline=now + self.timeout)
        records.try_to_save(
            record,
            f"Generation {generation_id} could not be noted: a retry of this task would take its submission for "
            "ambiguous.",
        )
        return Begun(record)

    def _send(self, hook: "LaplasHook", source: str | Upload, delivery: Delivery) -> str:
        return hook.client.submit(source, model=self.model, options=self.options, delivery=delivery)
