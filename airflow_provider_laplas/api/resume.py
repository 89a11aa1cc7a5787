"""
What a try does with work that an earlier try or run has begun: one table, for a single file and for each of a batch.

Pure, and the only place that reads ``on_ambiguous`` and ``on_expired``.
"""

from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_laplas.api.poller import ENDS_A_WAIT
from airflow_provider_laplas.api.responses import Generation, State
from airflow_provider_laplas.errors import LaplasError, LaplasGenerationGoneError


class Earlier(StrEnum):
    """What there is of the same work: what was noted of it, and what is found of that now."""

    NOTHING = "nothing"
    """Nothing was noted; or other audio, another model or other options."""

    UNANSWERED = "unanswered"
    """A submission was begun, and no id is known: the API may have taken, and billed, it."""

    SUBMITTED = "submitted"
    """A generation, which is running or done at the API, or of which a poll could not tell."""

    STORED = "stored"
    """A transcript that lies where it is kept."""

    DELETED = "deleted"
    """A transcript that lay where it is kept, and does no longer."""

    FAILED = "failed"
    """A generation that the API could not transcribe, or a file that it refused."""

    GONE = "gone"
    """A generation that the API does not know any more, and whose transcript was not stored."""


class Occasion(StrEnum):
    """Why the work is taken up."""

    RETRY = "retry"
    """A further try of the same task, or the same try once more."""

    CLEAR = "Clear"
    """A user has cleared the task since."""

    LATER_RUN = "later run"
    """Another DAG run, or another task, over the same folder."""


class Action(StrEnum):
    """What is done about it."""

    SUBMIT = "submit"
    ATTACH = "attach"
    TAKE = "take"
    FAIL = "fail"
    """Neither submit nor wait: say what became of the earlier work."""


@dataclass(frozen=True, slots=True)
class ResumePolicy:
    """
    What the user chose.

    :ivar on_ambiguous: for a submission that was not answered: ``fail``, or ``resubmit``, and perhaps pay twice
    :ivar on_expired: for a generation that is gone, with its transcript: ``fail`` or ``resubmit``
    """

    on_ambiguous: str = "fail"
    on_expired: str = "fail"


def resume(earlier: Earlier, occasion: Occasion, policy: ResumePolicy) -> Action:
    """Return what is done about earlier work."""
    match earlier:
        case Earlier.STORED:
            return Action.TAKE
        case Earlier.SUBMITTED:
            return Action.ATTACH
        # A Clear is consent: whoever clears has read the error, and the account's usage page.
        case Earlier.UNANSWERED if occasion is not Occasion.CLEAR and policy.on_ambiguous != "resubmit":
            return Action.FAIL
        case Earlier.GONE if policy.on_expired != "resubmit":
            return Action.FAIL
        # Not by every later run: it would fail, and be paid for, each time.
        case Earlier.FAILED if occasion is Occasion.LATER_RUN:
            return Action.FAIL
    return Action.SUBMIT


def judge(outcome: Generation | LaplasError) -> Earlier:
    """
    Return what a poll says of a generation that was submitted earlier.

    :raises LaplasError: where no further poll could tell: a refused key, a wrong connection
    """
    if isinstance(outcome, Generation):
        return Earlier.FAILED if outcome.state is State.FAILED else Earlier.SUBMITTED
    if isinstance(outcome, LaplasGenerationGoneError):
        return Earlier.GONE
    if isinstance(outcome, ENDS_A_WAIT):
        raise outcome
    # A poll that failed says nothing about the generation, which is paid for.
    return Earlier.SUBMITTED
